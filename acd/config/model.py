"""The configuration as the engine reads it: frozen structures, everything resolved, every default here.

What each key means for the person who sets it is written beside it in `configs/demo.toml`.
Durations are seconds as float; 0 is "off" where the type allows it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct, field

from acd.config.addresses import Advertised, HostPort, Listener, Nameserver, Network
from acd.config.emergency import Emergency, Fallback
from acd.config.ims import Ims, SubscriberTable
from acd.config.media import Media
from acd.config.profiles import ProfileTable
from acd.config.recordings import Recording
from acd.config.routing import Agent, AgentTable, Calendar, Callers, Needs, Queue, TalkTime
from acd.config.speech import Speech
from acd.config.values import (
    AreaCode,
    BatchSize,
    Bytes,
    CdrUrl,
    CommitSeconds,
    Count,
    CountryCode,
    Dialled,
    DialPrefix,
    Digit,
    Domain,
    FeatureCode,
    Identifier,
    NextHop,
    NumberPattern,
    NumberPrefix,
    Origin,
    Priority,
    Prompt,
    Rate,
    Repeats,
    RouteUri,
    Seconds,
    Secret,
    Share,
    ShownNumber,
    SomeCount,
    SomeSeconds,
    Subdirectory,
    Text,
    Timezone,
    UploadUrl,
    UrlPath,
    UserName,
    Users,
)
from ims_core.profiles.model import ServiceProfile
from ims_core.security.guard import SCANNERS
from ims_core.trunks.numbers import Form

Role = Literal["subscriber", "agent"]
Algorithm = Literal["MD5", "SHA-256", "SHA-512-256"]


class Server(Struct, frozen=True, kw_only=True):
    """What belongs to no single part."""

    domain: Domain
    drain_seconds: Seconds = 30.0
    language: Literal["en", "zh"] = "en"
    timezone: Timezone = Timezone("UTC")


class SipTls(Struct, frozen=True, kw_only=True):
    """Certificates of listeners and connections for TLS (RFC 5922)."""

    certificate: Text
    key: Text | None = None
    ca: Text | None = None
    client_certificates: Literal["none", "optional", "required"] = "none"
    verify_peers: bool = True


class WebSocket(Struct, frozen=True, kw_only=True):
    """Which pages may connect by WebSocket, and where (RFC 7118)."""

    origins: tuple[Origin, ...] = ()
    path: UrlPath = ""


class Sip(Struct, frozen=True, kw_only=True):
    """Transports, timers (RFC 3261 Table 4) and who must prove who they are."""

    listen: tuple[Listener, ...] = (Listener("udp", "127.0.0.1", 5060), Listener("tcp", "127.0.0.1", 5060))
    advertise: Advertised | None = None
    tls: SipTls | None = None
    websocket: WebSocket = field(default_factory=WebSocket)
    nameservers: tuple[Nameserver, ...] = ()
    keepalive_seconds: Seconds = 120.0
    authentication: Literal["digest", "off"] = "digest"
    t1_seconds: SomeSeconds = 0.5
    t2_seconds: SomeSeconds = 4.0
    t4_seconds: SomeSeconds = 5.0
    ring_seconds: SomeSeconds = 180.0
    fork_seconds: SomeSeconds = 20.0
    reservation_seconds: SomeSeconds = 15.0
    session_expires_seconds: Count = 1800
    min_session_seconds: SomeCount = 90
    hide_topology: bool = False
    relay: Mapping[Domain, NextHop] = field(default_factory=dict)
    receive_buffer_bytes: Bytes = 4 * 1024 * 1024
    max_message_bytes: Bytes = 65_535


class Registrar(Struct, frozen=True, kw_only=True):
    """How long a REGISTER binding lasts and how many there may be (RFC 3261 10.3)."""

    default_expires_seconds: SomeCount = 3600
    min_expires_seconds: SomeCount = 60
    max_expires_seconds: SomeCount = 7200
    max_contacts: SomeCount = 10
    nonce_seconds: SomeSeconds = 300.0
    algorithms: tuple[Algorithm, ...] = ("MD5",)
    qop: tuple[Literal["auth", "auth-int"], ...] = ("auth",)
    service_route: tuple[RouteUri, ...] = ()
    flow_timer_seconds: Count = 120
    survive_restart: bool = True


class TrunkServer(Struct, frozen=True, kw_only=True):
    """One server of a trunk, and when it is tried."""

    uri: RouteUri
    priority: Count = 0
    weight: Share = 1


class Trunk(Struct, frozen=True, kw_only=True):
    """Another platform: its calls are taken without a challenge, calls leave by it. `servers` is {} for none."""

    id: str
    sources: tuple[Network, ...] = ()
    servers: tuple[RouteUri, ...] | Mapping[Identifier, TrunkServer] = ()
    domain: Text | None = None
    user: UserName | None = None
    password: Secret | None = None
    register: bool = False
    expires_seconds: SomeCount = 3600
    ping_seconds: Seconds = 30.0
    country: CountryCode | None = None
    area: AreaCode | None = None
    numbers: Form = "e164"
    prefixes: Mapping[NumberPrefix, NumberPrefix] = field(default_factory=dict)
    caller: ShownNumber | None = None
    weight: Share = 1
    max_calls: Count = 0


class Dialling(Struct, frozen=True, kw_only=True):
    """How numbers are dialled here; without a country they are taken as they come."""

    country: CountryCode | None = None
    area: AreaCode | None = None
    international: DialPrefix = "00"
    national: DialPrefix = "0"
    direct: tuple[NumberPattern, ...] = ()
    local: tuple[NumberPattern, ...] = ()


class Outbound(Struct, frozen=True, kw_only=True):
    """By which trunks calls to some numbers leave; the first of all routes that fits counts."""

    match: tuple[NumberPattern, ...]
    trunks: tuple[Identifier, ...]
    share: Literal["order", "weight"] = "order"


class AccountTable(Struct, frozen=True, kw_only=True):
    """One `[[accounts]]` table as it is written."""

    user: UserName | None = None
    users: tuple[Users, ...] = ()
    password: Secret
    roles: tuple[Role, ...] = ("subscriber",)
    algorithms: tuple[Algorithm, ...] = ()
    may_call_outside: bool = False
    talk: TalkTime = TalkTime()


class Account(Struct, frozen=True, kw_only=True):
    """A user of the domain who may register with digest; without algorithms of his own by those of the registrar."""

    user: str
    password: Secret
    roles: frozenset[Role]
    algorithms: tuple[Algorithm, ...] = ()
    may_call_outside: bool = False
    talk: TalkTime = TalkTime()


class Http(Struct, frozen=True, kw_only=True):
    """The HTTP interface; `listen` None: none is served."""

    listen: HostPort | None = HostPort("127.0.0.1", 8080)
    token: Secret | None = None


class Storage(Struct, frozen=True, kw_only=True):
    """Where files are written; all of them lie under `dir`."""

    dir: Text = "./var"
    recordings: Subdirectory = "recordings"
    cdr: CdrUrl = ""

    @property
    def path(self) -> Path:
        """The directory of everything written."""
        return Path(self.dir)

    @property
    def recordings_path(self) -> Path:
        """The directory of the recordings."""
        return self.path / self.recordings

    @property
    def journal_path(self) -> Path:
        """The file of the event log."""
        return self.path / "journal.sqlite"

    @property
    def route_key_path(self) -> Path:
        """The file of the key that signs the routes of proxied dialogs."""
        return self.path / "route.key"

    @property
    def queue_log_path(self) -> Path:
        """The file of Asterisk's queue_log."""
        return self.path / "queue_log"

    @property
    def cdr_url(self) -> str:
        """The SQLAlchemy URL of the CDRs."""
        return self.cdr or f"sqlite:///{self.path / 'cdr.sqlite'}"


class CdrUpload(Struct, frozen=True, kw_only=True):
    """Where CDRs are sent by HTTP, how many at a time, and what happens when that fails."""

    url: UploadUrl | None = None
    token: Secret | None = None
    ca: Text | None = None
    batch: BatchSize = 100
    timeout_seconds: SomeSeconds = 10.0
    retry_seconds: SomeSeconds = 1.0
    longest_retry_seconds: SomeSeconds = 300.0
    refusals: SomeCount = 5


class Journal(Struct, frozen=True, kw_only=True):
    """The event log: how much of it is at risk, for how long it is kept, and whether Asterisk's form is written too."""

    commit_seconds: CommitSeconds = 0.05
    sync: Literal["full", "normal"] = "full"
    keep_days: Count = 0
    queue_log: bool = False


class Log(Struct, frozen=True, kw_only=True):
    """How much is logged and in which form."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class ToFlow(Struct, frozen=True, kw_only=True):
    """The number is answered by a menu; priority and needs count in the queue that is chosen."""

    flow: Identifier
    priority: Priority = 0
    needs: Needs = Needs()


class ToQueue(Struct, frozen=True, kw_only=True):
    """The number leads straight into a queue; a higher priority is served first."""

    queue: Identifier
    priority: Priority = 0
    needs: Needs = Needs()


class ToEcho(Struct, frozen=True, kw_only=True):
    """The number sends the caller's audio back."""

    echo: Literal[True]


class ToAnnouncement(Struct, frozen=True, kw_only=True):
    """The number plays prompts and hangs up."""

    announcement: tuple[Prompt, ...]


Number = ToFlow | ToQueue | ToEcho | ToAnnouncement


class Flow(Struct, frozen=True, kw_only=True):
    """A menu: the greeting once, then the menu, repeated `repeats` times while nothing is pressed."""

    id: str
    greeting: tuple[Prompt, ...] = ()
    menu: tuple[Prompt, ...]
    choices: Mapping[Digit, Identifier]
    timeout_seconds: SomeSeconds = 5.0
    repeats: Repeats = 2
    default: Identifier


class FeatureCodes(Struct, frozen=True, kw_only=True):
    """What an agent dials to change state."""

    log_in: FeatureCode = "*11"
    log_out: FeatureCode = "*12"
    pause: FeatureCode = "*13"
    ready: FeatureCode = "*14"


class Trace(Struct, frozen=True, kw_only=True):
    """The SIP messages kept per call for the ladder diagram: the newest `calls` calls, `messages` of each."""

    sip: bool = False
    calls: SomeCount = 100
    messages: SomeCount = 200


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds that keep one fault from taking everything; above `calls` a caller gets 503."""

    calls: SomeCount = 2000
    call_seconds: SomeSeconds = 4 * 3600.0
    tcp_connections: SomeCount = 2000
    tcp_stall_seconds: SomeSeconds = 30.0
    handshake_seconds: SomeSeconds = 10.0
    unsent_bytes: Bytes = 1024 * 1024


class Protection(Struct, frozen=True, kw_only=True):
    """Whom the SIP listeners do not hear, and how much they hear of strangers."""

    enabled: bool = True
    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    requests_per_second: Rate = 50.0
    burst: SomeCount = 200
    wrong_credentials: Count = 10
    unanswered_challenges: Count = 60
    ban_seconds: SomeSeconds = 600.0
    connections_per_source: Count = 500
    stranger_seconds: Seconds = 120.0
    scanners: tuple[Text, ...] = SCANNERS


class Overload(Struct, frozen=True, kw_only=True):
    """When new requests are turned away because those before them wait too long."""

    enabled: bool = True
    target_seconds: SomeSeconds = 0.010


class Sections(Struct, frozen=True, kw_only=True):
    """The tables that mean the same in the file and in the engine."""

    server: Server
    sip: Sip = field(default_factory=Sip)
    registrar: Registrar = field(default_factory=Registrar)
    ims: Ims = field(default_factory=Ims)
    subscribers: tuple[SubscriberTable, ...] = ()
    trunks: Mapping[Identifier, Trunk] = field(default_factory=dict)
    dialling: Dialling = field(default_factory=Dialling)
    outbound: tuple[Outbound, ...] = ()
    media: Media = field(default_factory=Media)
    http: Http = field(default_factory=Http)
    storage: Storage = field(default_factory=Storage)
    recording: Recording = field(default_factory=Recording)
    speech: Speech = field(default_factory=Speech)
    cdr_upload: CdrUpload = field(default_factory=CdrUpload)
    journal: Journal = field(default_factory=Journal)
    log: Log = field(default_factory=Log)
    queues: Mapping[Identifier, Queue] = field(default_factory=dict)
    calendars: Mapping[Identifier, Calendar] = field(default_factory=dict)
    callers: Callers = field(default_factory=Callers)
    flows: Mapping[Identifier, Flow] = field(default_factory=dict)
    numbers: Mapping[Dialled, Number] = field(default_factory=dict)
    feature_codes: FeatureCodes = field(default_factory=FeatureCodes)
    trace: Trace = field(default_factory=Trace)
    limits: Limits = field(default_factory=Limits)
    protection: Protection = field(default_factory=Protection)
    overload: Overload = field(default_factory=Overload)
    emergency: Emergency = field(default_factory=Emergency)
    fallback: Fallback = field(default_factory=Fallback)


class Document(Sections, frozen=True, kw_only=True):
    """A configuration file as it is written."""

    accounts: tuple[AccountTable, ...] = ()
    agents: Mapping[Users, AgentTable] = field(default_factory=dict)
    profiles: Mapping[Identifier, ProfileTable] = field(default_factory=dict)


class Config(Sections, frozen=True, kw_only=True):
    """The configuration of an engine; accounts by user, agents by id (their user)."""

    accounts: Mapping[str, Account] = field(default_factory=dict)
    agents: Mapping[str, Agent] = field(default_factory=dict)
    profiles: Mapping[str, ServiceProfile] = field(default_factory=dict)
