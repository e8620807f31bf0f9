"""Every metric of the engine, declared in this one file.

Two kinds. What has a duration is observed when it happens, through the verbs of `Metrics`. Everything else is
read at scrape time from `Readings`, plain numbers that the parts keep anyway, so that a message or a packet costs
no more than adding to an int. Labels take values from closed sets: never a number that somebody dialled.
"""

from __future__ import annotations

import math
import platform
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, get_args

import msgspec
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from acd.cdr import Cdr, Outcome
from acd.core.agents import AgentState
from acd.core.events import Forced
from acd.core.floor import FloorSnapshot, QueueSnapshot
from acd.journal.store import COMMIT_BOUNDS, JournalCounters
from acd.kpi.definitions import KPIS, SERVICE_LEVELS
from acd.kpi.report import Item
from acd.reservation import Wait
from acd.store import StoreCounters
from acd.trunkview import TrunkView
from acd.upload import UploadCounters
from ims_core.flow import TRANSPORTS
from ims_core.locate.errand import FAILOVERS
from ims_core.locate.records import KINDS, OUTCOMES
from ims_core.roles.emergency import Step
from ims_core.security import digest
from ims_core.security.door import COUNTED
from ims_core.security.guard import REASONS
from ims_core.setup import ROLES, STAGES, Role, Stage
from ims_core.transport.tls import FAILURES
from ims_core.transport.visitors import TURNED_AWAY
from ims_core.trunks.registration import State
from media.api import MediaCounters

# The methods of RFC 3261, 3262, 3311, 3428, 3515, 3903, 6086 and 6665; any other is counted as "other".
METHODS = frozenset(
    "ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER SUBSCRIBE UPDATE".split()
)
WAIT_BUCKETS = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800)
SETUP_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 20, 30, 60, 120)
TALK_BUCKETS = (5, 10, 30, 60, 120, 180, 300, 600, 900, 1800, 3600)
RESERVATION_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30)
# The outcomes of a caller's wait in a queue, for the histogram of waits.
ANSWERED, ABANDONED, OTHER = "answered", "abandoned", "other"


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """The plain numbers of one moment; a mapping's values are totals since the start.

    `sip_messages` by (direction "in" or "out", method, "request" or a status class as "2xx"), `sip_dropped` by
    reason, `sip_unexpected` by (machine, state, event), `inputs_ignored` (of the distributor) by kind, `caller_lookups`
    by source, `connections_turned_away` and `bans` by reason, `rejected` (for load) by method. `admission_rate` is
    infinite without overload, `accept_latency` in seconds. `today` are the key figures of the day, an item for each
    queue.
    """

    ready: bool = False
    draining: bool = False
    calls: int = 0
    dialogs: int = 0
    transactions: int = 0
    tasks: int = 0
    bindings: int = 0
    connections: Mapping[str, int] = {}
    connections_turned_away: Mapping[str, int] = {}
    handshakes_failed: Mapping[str, int] = {}
    dns_answers: Mapping[tuple[str, str], int] = {}
    failovers: Mapping[str, int] = {}
    servers_dead: int = 0
    trunks: Sequence[TrunkView] = ()
    emergencies: Mapping[str, int] = {}
    fallbacks: int = 0
    authentications: Mapping[str, int] = {}
    bans: Mapping[str, int] = {}
    rejected: Mapping[str, int] = {}
    admission_rate: float = math.inf
    accept_latency: float = 0.0
    sip_messages: Mapping[tuple[str, str, str], int] = {}
    sip_dropped: Mapping[str, int] = {}
    sip_sessions: Mapping[str, int] = {}
    sip_unexpected: Mapping[tuple[str, str, str], int] = {}
    inputs_ignored: Mapping[str, int] = {}
    caller_lookups: Mapping[str, int] = {}
    policy: int = 0
    today: Sequence[Item] = ()
    floor: FloorSnapshot = FloorSnapshot((), ())
    media: MediaCounters = MediaCounters()
    cdr: StoreCounters = StoreCounters(0, 0, 0, 0)
    cdr_upload: UploadCounters = UploadCounters()
    journal: JournalCounters = JournalCounters()


class Metrics:
    """The metrics of one engine.

    `queues` gives for each queue id its service level threshold in seconds, which becomes a bucket of the waits.
    `read` is called in the thread of `render` at each scrape.
    """

    def __init__(self, queues: Mapping[str, float], read: Callable[[], Readings]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._read = read
        ProcessCollector(registry=self.registry)
        self.registry.register(_Scrape(self))
        waited = Histogram(
            "acd_queue_wait_seconds",
            "Time from entering the queue until an agent answered, the caller gave up, or we released the caller.",
            ("queue", "outcome"),
            buckets=sorted({*map(float, WAIT_BUCKETS), *queues.values()}),
            registry=self.registry,
        )
        talked = Histogram(
            "acd_talk_seconds",
            "Time from the agent's answer to the end of the call.",
            ("queue",),
            buckets=TALK_BUCKETS,
            registry=self.registry,
        )
        reserved = Histogram(
            "acd_resources_wait_seconds",
            "Time a call waited for what its caller reserves first (preconditions), by how that ended.",
            ("outcome",),
            buckets=RESERVATION_BUCKETS,
            registry=self.registry,
        )
        self._reserved = {how: reserved.labels(how) for how in get_args(Wait)}
        self._set_up = Histogram(
            "acd_sip_setup_seconds",
            "Time from the INVITE to the first 18x (progress), the first 180 (ringing) and the 2xx (answered), by the "
            "hop that measures and its role: callee and caller of calls that end there, proxy of those forwarded.",
            ("hop", "role", "stage"),
            buckets=SETUP_BUCKETS,
            registry=self.registry,
        )
        self._stages: dict[tuple[str, str, str], Histogram] = {}
        self._histograms = waited, talked
        self._waited: dict[tuple[str, str], Histogram] = {}
        self._talked: dict[str, Histogram] = {}
        self._offers: Tally[str] = Tally()
        self.serve(queues)
        self._diverted: Tally[tuple[str, str]] = Tally()
        self._moved: Tally[tuple[str, str]] = Tally()
        self._forced: Tally[str] = Tally(dict.fromkeys(Forced, 0))
        self._refused_changes = 0
        self._outcomes: Tally[Outcome] = Tally(dict.fromkeys(Outcome, 0))
        self._arrived = 0

    def serve(self, queues: Iterable[str]) -> None:
        """Have figures of these queues, too."""
        waited, talked = self._histograms
        for name in queues:
            if name not in self._talked:
                self._waited |= {(name, how): waited.labels(name, how) for how in (ANSWERED, ABANDONED, OTHER)}
                self._talked[name] = talked.labels(name)
                self._offers[name] = 0

    def call_arrived(self) -> None:
        """Count an INVITE that is for us, before anything is decided about it."""
        self._arrived += 1

    def resources_awaited(self, how: Wait, seconds: float) -> None:
        """Observe how long a call waited for its caller's resources."""
        self._reserved[how].observe(seconds)

    def measure_hop(self, hop: str) -> None:
        """Have figures of the set-up of calls at this hop, too."""
        for role in ROLES:
            for stage in STAGES:
                self._stages[hop, role, stage] = self._set_up.labels(hop, role, stage)

    def stage_reached(self, hop: str, role: Role, stage: Stage, seconds: float) -> None:
        """Observe how long a call took to a stage of its set-up."""
        self._stages[hop, role, stage].observe(seconds)

    def call_offered(self, queue: str) -> None:
        """Count an agent's phone being called."""
        self._offers[queue] += 1

    def call_diverted(self, cause: str, target: str) -> None:
        """Count a caller sent out of the queues by an overflow rule."""
        self._diverted[cause, target] += 1

    def call_moved(self, cause: str, queue: str) -> None:
        """Count a caller who goes on waiting in another queue."""
        self._moved[cause, queue] += 1

    def agent_forced(self, state: str) -> None:
        """Count a supervisor's decision about an agent."""
        self._forced[state] += 1

    def change_refused(self) -> None:
        """Count a configuration with mistakes that was not followed."""
        self._refused_changes += 1

    def call_ended(self, cdr: Cdr) -> None:
        """Count the end of a call and observe how long it waited and talked."""
        self._outcomes[cdr.outcome] += 1
        if cdr.queue in self._talked and cdr.queued is not None:
            if cdr.connected is not None:
                how = ANSWERED
                self._talked[cdr.queue].observe(cdr.talked_seconds)
            else:
                how = ABANDONED if cdr.outcome in (Outcome.ABANDONED, Outcome.CANCELLED) else OTHER
            self._waited[cdr.queue, how].observe(cdr.waited_seconds)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return the page for a scrape, and its content type, in the form that the Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def scrape(self) -> Iterator[Metric]:
        """Yield everything that is read from plain numbers."""
        readings = self._read()
        yield from _engine(readings)
        yield from _routing(readings)
        yield counter("acd_calls_arrived", "INVITEs that began a call with us.", {(): self._arrived})
        yield counter(
            "acd_calls_ended",
            "Calls that ended, by how they ended.",
            {(outcome.value,): count for outcome, count in self._outcomes.items()},
            "outcome",
        )
        yield counter(
            "acd_offers",
            "Times an agent's phone was called for a caller of the queue.",
            {(queue,): count for queue, count in self._offers.items()},
            "queue",
        )
        yield counter(
            "acd_overflow_diverted",
            "Callers whom an overflow rule sent out of the queues, by the rule's condition and where to.",
            self._diverted,
            "cause",
            "target",
        )
        yield counter(
            "acd_overflow_moved",
            "Callers who went on waiting in another queue, by the rule's condition or api, and that queue.",
            self._moved,
            "cause",
            "queue",
        )
        forced = {(state,): count for state, count in self._forced.items()}
        yield counter("acd_agents_forced", "States that supervisors forced upon agents.", forced, "state")
        yield counter(
            "acd_config_refused", "Configurations with mistakes, not followed at run time.", {(): self._refused_changes}
        )
        yield from _floor(readings)
        yield from _expected_wait(readings.floor.queues)
        yield from _kpis(readings.today)
        yield from _sip(readings)
        yield from _trunks(readings.trunks)
        yield from _emergencies(readings)
        yield from _media(readings.media)
        yield from _cdr(readings.cdr)
        yield from _cdr_upload(readings.cdr_upload)
        yield from _journal(readings.journal)


class _Scrape(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        """Declare nothing: what is collected is known only at a scrape."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return what this scrape shows."""
        return self._metrics.scrape()


Values = Mapping[Any, float]  # by the values of the labels, in their order


def counter(name: str, definition: str, values: Values, *labels: str) -> Metric:
    """Return totals by the values of `labels`."""
    family = CounterMetricFamily(name, definition, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def gauge(name: str, definition: str, values: Values | float, *labels: str) -> Metric:
    """Return present values by those of `labels`, or the only one."""
    family = GaugeMetricFamily(name, definition, labels=labels)
    for key, value in values.items() if isinstance(values, Mapping) else [((), values)]:
        family.add_metric(key, value)
    return family


def _engine(readings: Readings) -> Iterator[Metric]:
    build = {(version("ims-acd"), platform.python_version()): 1}
    yield gauge("acd_build_info", "Always 1; the labels say what runs.", build, "version", "python")
    yield gauge("acd_ready", "1 while new calls are taken: SIP and media accept traffic and no drain.", readings.ready)
    yield gauge("acd_draining", "1 from the request to stop until the end of the process.", readings.draining)
    yield gauge("acd_calls", "Calls under way, from the INVITE to the last BYE.", readings.calls)
    yield gauge("acd_tasks", "asyncio tasks alive.", readings.tasks)


def _routing(readings: Readings) -> Iterator[Metric]:
    yield gauge("acd_policy", "The policy that calls are offered by: its number.", readings.policy)
    found = {(source,): count for source, count in readings.caller_lookups.items()}
    yield counter("acd_caller_lookups", "Look-ups of callers' profiles, by where they were found.", found, "source")


def _floor(readings: Readings) -> Iterator[Metric]:
    queues, agents = readings.floor.queues, readings.floor.agents
    waiting = {(queue.id,): queue.waiting for queue in queues}
    yield gauge("acd_queue_waiting", "Callers in the queue who talk to nobody yet.", waiting, "queue")
    longest = {(queue.id,): queue.longest_wait_seconds for queue in queues}
    yield gauge("acd_queue_longest_wait_seconds", "How long the first caller has waited.", longest, "queue")
    for name, definition in (
        ("offered", "Callers who entered the queue."),
        ("answered", "Callers of the queue whom an agent answered."),
        ("abandoned", "Callers who hung up before an agent answered."),
        ("overflowed", "Callers whom we sent from the queue to elsewhere."),
        ("released", "Callers whom we released from the queue: shutdown, lost media, longest wait."),
    ):
        counts = {(queue.id,): getattr(queue, name) for queue in queues}
        yield counter(f"acd_queue_{name}", definition, counts, "queue")
    by_queue = {(queue.id, state.value): queue.agents.get(state, 0) for queue in queues for state in AgentState}
    yield gauge(
        "acd_queue_agents",
        "Agents who serve the queue, by state; one counts in each queue.",
        by_queue,
        "queue",
        "state",
    )
    states = Tally(agent.state for agent in agents)
    yield gauge("acd_agents", "Agents, by state.", {(state.value,): states[state] for state in AgentState}, "state")
    ignored = {(str(kind),): count for kind, count in readings.inputs_ignored.items()}
    yield counter("acd_inputs_ignored", "Late or repeated inputs that changed nothing, by kind.", ignored, "kind")


def _expected_wait(queues: Iterable[QueueSnapshot]) -> Iterator[Metric]:
    estimates = {
        (queue.id, bound): getattr(queue.expected_wait, bound)
        for queue in queues
        if queue.expected_wait is not None
        for bound in ("low", "expected", "high")
    }
    yield gauge(
        "acd_expected_wait_seconds",
        "The wait of one more caller: expected, and from low to high in four cases of five; nothing while not known.",
        estimates,
        "queue",
        "bound",
    )
    good = {(queue.id, name): accuracy for queue in queues for name, accuracy in queue.estimators.items()}
    labels = "queue", "estimator"
    scored = {key: accuracy.scored for key, accuracy in good.items()}
    yield counter("acd_expected_wait_scored", "Estimates that were compared with the wait that came.", scored, *labels)
    for name, attribute, definition in (
        ("error_seconds", "error_seconds", "The mean absolute error of the last hundred or so estimates."),
        ("bias_seconds", "bias_seconds", "Their mean error; above 0 for waits shorter than expected."),
        ("coverage_ratio", "coverage", "The share of waits within the range that was given; 0.8 is intended."),
    ):
        figures = _known({key: getattr(accuracy, attribute) for key, accuracy in good.items()})
        yield gauge(f"acd_expected_wait_{name}", definition, figures, *labels)


def _kpis(today: Sequence[Item]) -> Iterator[Metric]:
    """Show each key figure as it is defined; a queue in which one has no denominator yet has none."""
    for kpi in KPIS.values():
        figures = {(item.id,): getattr(item.kpis, kpi.name) for item in today}
        yield gauge(f"acd_kpi_{kpi.name}", f"{kpi.title} today: {kpi.formula}", _known(figures), "queue")
    variants = ", ".join(f"{kpi.name}: {kpi.formula.rstrip('.')}" for kpi in SERVICE_LEVELS.values())
    levels = {
        (item.id, variant): getattr(item.service_levels[0], variant) for item in today for variant in SERVICE_LEVELS
    }
    definition = f"Service level today, T being the queue's service_level_seconds, by variant; {variants}."
    yield gauge("acd_kpi_service_level", definition, _known(levels), "queue", "variant")


def _trunks(trunks: Sequence[TrunkView]) -> Iterator[Metric]:
    up = {(trunk.id, server.uri): server.up is not False for trunk in trunks for server in trunk.servers}
    yield gauge("acd_trunk_up", "1 unless the server of the trunk does not answer pings.", up, "trunk", "server")
    registered = {
        (trunk.id,): trunk.registration.state is State.REGISTERED for trunk in trunks if trunk.registration is not None
    }
    yield gauge("acd_trunk_registered", "1 while we are registered with the trunk, as wanted.", registered, "trunk")
    for name, attribute, definition in (
        ("calls", "calls", "Calls by trunks, by direction: in or out."),
        ("limited", "limited", "Calls turned away or sent elsewhere because the trunk had max_calls, by direction."),
    ):
        counts = {
            (trunk.id, direction): count for trunk in trunks for direction, count in getattr(trunk, attribute).items()
        }
        yield counter(f"acd_trunk_{name}", definition, counts, "trunk", "direction")
    under_way = {(trunk.id, direction): count for trunk in trunks for direction, count in trunk.calls_under_way.items()}
    yield gauge("acd_trunk_calls_under_way", "Calls by trunks now, by direction.", under_way, "trunk", "direction")
    failed_over = {(trunk.id,): trunk.failed_over for trunk in trunks}
    yield counter("acd_trunk_failovers", "Calls that went on by another trunk than this.", failed_over, "trunk")


def _emergencies(readings: Readings) -> Iterator[Metric]:
    steps = {(step.value,): readings.emergencies.get(step.value, 0) for step in Step}
    yield counter(
        "acd_emergency_requests",
        "Requests for emergency services: sent to a trunk (called), to the next one (failed_over), and how they ended; "
        "diverted ones were answered 380.",
        steps,
        "step",
    )
    fallbacks = {(): readings.fallbacks}
    yield counter("acd_fallbacks", "Calls refused for want of a way outside, for handsets to fall back.", fallbacks)


def _known(figures: Mapping[Any, float | None]) -> Values:
    return {key: figure for key, figure in figures.items() if figure is not None}


def _sip(readings: Readings) -> Iterator[Metric]:
    messages: Tally[tuple[str, ...]] = Tally()
    for (direction, method, kind), count in readings.sip_messages.items():
        messages[direction, method if method in METHODS else "other", kind] += count
    yield counter(
        "acd_sip_messages",
        "SIP messages, retransmissions included: requests, and responses by status class.",
        messages,
        "direction",
        "method",
        "class",
    )
    dropped = {(reason,): count for reason, count in readings.sip_dropped.items()}
    yield counter("acd_sip_dropped", "Received data that was no usable SIP message, by reason.", dropped, "reason")
    yield counter(
        "acd_sip_unexpected",
        "Events that a transaction did not expect in its state.",
        readings.sip_unexpected,
        "machine",
        "state",
        "event",
    )
    expired, glares = {(): readings.sip_sessions.get("timer", 0)}, {(): readings.sip_sessions.get("491", 0)}
    yield counter("acd_sip_sessions_expired", "Sessions ended because nobody refreshed them (RFC 4028).", expired)
    yield counter("acd_sip_glares", "Times that offers of both sides met: a 491 sent or received.", glares)
    yield gauge("acd_sip_transactions", "SIP transactions alive.", readings.transactions)
    yield gauge("acd_sip_dialogs", "SIP dialogs alive.", readings.dialogs)
    yield gauge("acd_sip_bindings", "Contacts registered.", readings.bindings)
    verdicts = {(outcome.value,): readings.authentications.get(outcome.value, 0) for outcome in digest.Outcome}
    yield counter(
        "acd_sip_authentications",
        "Requests that were asked for credentials, by what they had: right ones, none, outdated or wrong ones.",
        verdicts,
        "outcome",
    )
    bans = {(reason,): readings.bans.get(reason, 0) for reason in REASONS}
    yield gauge("acd_sip_bans", "Sources that are not heard, by why.", bans, "reason")
    rejected = {(method,): readings.rejected.get(method, 0) for method in (*sorted(COUNTED), "other")}
    yield counter("acd_sip_rejected", "New requests turned away for load, by method.", rejected, "method")
    rate = readings.admission_rate
    yield gauge("acd_sip_admission_rate", "New requests taken in per second; +Inf while there is no overload.", rate)
    yield gauge(
        "acd_sip_accept_latency_seconds",
        "How long what comes in has waited until it is looked at, a moving average.",
        readings.accept_latency,
    )
    connections = {(name.lower(),): readings.connections.get(name, 0) for name in TRANSPORTS if name != "UDP"}
    yield gauge("acd_sip_connections", "Connections open.", connections, "transport")
    away = {(reason,): readings.connections_turned_away.get(reason, 0) for reason in TURNED_AWAY}
    definition = "Connections not taken, or closed again, to keep room: there was none, or too many of one source's."
    yield counter("acd_sip_connections_turned_away", definition, away, "reason")
    failed = {(reason,): readings.handshakes_failed.get(reason, 0) for reason in FAILURES}
    yield counter("acd_sip_tls_handshakes_failed", "TLS handshakes that failed, by reason.", failed, "reason")
    answers = {(kind, outcome): readings.dns_answers.get((kind, outcome), 0) for kind in KINDS for outcome in OUTCOMES}
    definition = "Questions to nameservers, by the kind of record and what came."
    yield counter("acd_sip_dns_answers", definition, answers, "kind", "outcome")
    failovers = {(cause,): readings.failovers.get(cause, 0) for cause in FAILOVERS}
    definition = "Requests that went on to another server, or by another transport, by why the first did not serve."
    yield counter("acd_sip_failovers", definition, failovers, "cause")
    yield gauge("acd_sip_servers_dead", "Servers of peers that are known not to serve.", readings.servers_dead)


def _media(media: MediaCounters) -> Iterator[Metric]:
    packets = {("in",): media.packets_received, ("out",): media.packets_sent}
    yield counter("acd_rtp_packets", "RTP packets.", packets, "direction")
    octets = {("in",): media.octets_received, ("out",): media.octets_sent}
    yield counter("acd_rtp_bytes", "Bytes of RTP packets, UDP and IP headers aside.", octets, "direction")
    yield counter(
        "acd_rtp_lost_packets", "RTP packets that were sent to us and did not arrive.", {(): media.packets_lost}
    )
    yield counter(
        "acd_rtp_discarded_packets",
        "Packets not used: no RTP, from a stranger, or not accepted by the system on sending.",
        {
            ("invalid",): media.packets_invalid,
            ("foreign",): media.packets_foreign,
            ("unsent",): media.packets_unsent,
        },
        "reason",
    )
    yield counter("acd_rtp_timeouts", "Legs whose peer stopped sending RTP for too long.", {(): media.rtp_timeouts})
    yield counter("acd_dtmf_digits", "Keys pressed, by RFC 4733.", {(): media.digits})
    yield counter(
        "acd_prompts_missing", "Prompts that were to be played and are not there.", {(): media.prompts_missing}
    )
    yield counter("acd_recording_errors", "Recordings that could not be written in full.", {(): media.recording_errors})
    yield counter(
        "acd_media_worker_restarts", "Media workers that went away and were replaced.", {(): media.worker_restarts}
    )
    yield gauge("acd_media_workers", "Media workers that there should be.", media.workers)
    yield gauge("acd_media_workers_healthy", "Media workers that answer in time.", media.workers_healthy)
    yield gauge("acd_media_legs", "RTP sessions open.", media.legs)
    yield gauge("acd_media_recordings", "Recordings being written.", media.recordings)
    yield gauge("acd_media_ports_in_use", "UDP ports in use for RTP and RTCP.", media.ports_in_use)
    yield gauge("acd_media_ports", "UDP ports that there are for RTP and RTCP.", media.ports_total)


def _cdr(cdr: StoreCounters) -> Iterator[Metric]:
    yield gauge("acd_cdr_waiting", "CDRs in memory that are still to be written.", cdr.queued)
    yield counter("acd_cdr_written", "CDRs written.", {(): cdr.written})
    yield counter("acd_cdr_dropped", "CDRs lost: no room to wait, or not storable.", {(): cdr.dropped})
    yield counter("acd_cdr_write_failures", "Failed attempts to write CDRs.", {(): cdr.failures})


def _cdr_upload(upload: UploadCounters) -> Iterator[Metric]:
    yield gauge("acd_cdr_upload_waiting", "CDRs that are still to be sent to cdr_upload.url.", upload.waiting)
    definition = "CDRs set aside because the endpoint does not take them, until they are sent again by the API."
    yield gauge("acd_cdr_upload_set_aside", definition, upload.set_aside)
    yield counter("acd_cdr_upload_sent", "CDRs that the endpoint has acknowledged.", {(): upload.sent})
    failed = {(): upload.failures}
    yield counter("acd_cdr_upload_failures", "Requests with CDRs that were refused or not answered.", failed)


def _journal(journal: JournalCounters) -> Iterator[Metric]:
    yield gauge("acd_journal_waiting", "Events in memory that are still to be written.", journal.waiting)
    yield counter("acd_journal_written", "Events written to the log.", {(): journal.written})
    yield counter("acd_journal_dropped", "Events lost: no room to wait, or not storable.", {(): journal.dropped})
    yield counter("acd_journal_failures", "Failed attempts to write to the log.", {(): journal.failures})
    yield gauge(
        "acd_journal_at_risk_seconds",
        "How long the first event of the latest commit had waited to be safe.",
        journal.at_risk_seconds,
    )
    total, buckets = 0, list[tuple[str, float]]()
    for bound, count in zip((*COMMIT_BOUNDS, math.inf), journal.commits, strict=True):
        total += count
        buckets.append(("+Inf" if bound == math.inf else str(bound), total))
    yield HistogramMetricFamily(
        "acd_journal_commit_seconds", "Time of each commit to the log.", buckets, journal.commit_seconds
    )
