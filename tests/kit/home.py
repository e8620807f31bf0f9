"""The registrar of a home network, with handsets that register and application servers that hear of it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from itertools import count

from ims_core.errors import NotFound
from ims_core.flow import Address, Flow, format_address
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.message import Request, Response
from ims_core.node import Node
from ims_core.profiles.model import ServiceProfile
from ims_core.registrar.identities import Identities
from ims_core.registrar.ims import ImsEnrolment
from ims_core.registrar.location import Binding, Domains, Location
from ims_core.registrar.registrar import Registrar
from ims_core.registrar.registrations import RegistrationChange, Registrations
from ims_core.registrar.third_party import ThirdParties
from ims_core.registrar.watching import serve_watching
from ims_core.roles.routing import Decision, ToService
from ims_core.security.aka import AkaAuthenticator
from ims_core.security.digest import Challenge, DigestAuthenticator, answer_challenge, request_digest
from ims_core.security.params import parse_digest
from ims_core.subscribers.centre import AuthenticationCentre
from ims_core.subscribers.directory import Directory
from ims_core.subscribers.identities import public_identity
from ims_core.subscribers.sequence import SequenceNumbers
from ims_core.subscribers.subscriber import Aka, Password, Subscriber, Subscribers
from ims_core.transactions.endpoint import Endpoint, ResponseReceived
from tests.kit.network import Network, seeded_ids
from tests.kit.phone import DOMAIN, PASSWORD, Phone

SCSCF_ADDRESS: Address = ("192.0.2.3", 5060)
SCSCF = f"sip:scscf@{format_address(SCSCF_ADDRESS)}"
SERVICE_ROUTE = f"<sip:orig@{format_address(SCSCF_ADDRESS)};lr>"
ALICE, ALICE_TEL = "sip:+8613800000001@ims.example", "tel:+8613800000001"
ALICE_IMSI = "sip:001010000000001@ims.example"
BOB = "sip:bob@ims.example"
OFFICE, DESKS = "sip:office@ims.example", "sip:desk-!.*!@ims.example"
MUTE = "sip:mute@ims.example"

SUBSCRIBERS = (
    Subscriber(
        f"alice@{DOMAIN}",
        Password(PASSWORD),
        (
            (
                public_identity(ALICE_IMSI, barred=True),
                public_identity(ALICE, profile="voice"),
                public_identity(ALICE_TEL, profile="voice"),
            ),
            (public_identity("sip:alice.private@ims.example"),),
        ),
    ),
    Subscriber(
        f"bob@{DOMAIN}",
        Aka(bytes(16), bytes(range(16)), b"\x80\0"),
        ((public_identity(BOB, profile="voice"),),),
    ),
    *(
        Subscriber(
            f"{name}@{DOMAIN}",
            Password(PASSWORD),
            ((public_identity(OFFICE, profile="office"), public_identity(DESKS, profile="desks")),),
        )
        for name in ("carol", "dave")
    ),
    Subscriber(f"mute@{DOMAIN}", Password(PASSWORD), ((public_identity(MUTE, barred=True),),)),
)


class Home:
    """An S-CSCF that registers, and does nothing else, at ``SCSCF_ADDRESS`` by UDP and TCP.

    It knows ``subscribers``, or those of a ``source``. With ``listeners`` and ``clock`` it is for real sockets, and not
    attached to the network. ``changes`` are those of registrations. The sender of a SUBSCRIBE is who its
    P-Asserted-Identity says, else who From says.
    """

    def __init__(
        self,
        network: Network,
        *,
        subscribers: Iterable[Subscriber] = SUBSCRIBERS,
        source: Subscribers | None = None,
        profiles: Iterable[ServiceProfile] = (),
        is_protected: Callable[[Request, Flow, Iterable[Binding]], bool] = lambda request, flow, held: False,
        is_here: Callable[[str], bool] = lambda uri: False,
        listeners: Mapping[tuple[str, Address], str] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.network = network
        self.changes: list[RegistrationChange] = []
        here = [(transport, SCSCF_ADDRESS) for transport in ("UDP", "TCP")]
        advertised = listeners or dict.fromkeys(here, format_address(SCSCF_ADDRESS))
        ids = seeded_ids(f"home {network.seed}")
        chance = seeded_ids(f"vectors {network.seed}")
        centre = AuthenticationCentre(
            SequenceNumbers(lambda now: now + 1e9),
            lambda length: b"".join(chance.number(256).to_bytes(1, "big") for _ in range(length)),
        )
        self.directory: Subscribers = Directory(subscribers, centre) if source is None else source
        self.domains = Domains(DOMAIN, [format_address(address) for _, address in advertised])
        self.location = Location()
        self.endpoint = Endpoint(clock=clock or network.clock, ids=ids, sent_by=advertised)
        self.identities = Identities(self.directory, self.location)
        self.registrations = Registrations(self.identities, self.endpoint.clock)
        self.registrations.listeners.append(self.changes.append)
        self.enrolment = ImsEnrolment(
            self.domains,
            self.registrations,
            {
                Password: DigestAuthenticator(DOMAIN, self._password_of, b"a secret of the test"),
                Aka: AkaAuthenticator(DOMAIN, self.directory, b"a secret of the test"),
            },
            is_protected=is_protected,
        )
        self.registrar = Registrar(
            self.domains, self.location, ids, enrolment=self.enrolment, service_route=[SERVICE_ROUTE]
        )
        self.node = Node(
            self.endpoint,
            domains=self.domains,
            location=self.location,
            router=self,
            advertised=advertised,
            secret=b"another secret of the test",
        )
        self.node.on_location = self.registrations.note
        self.node.services["core"] = lambda call: call.reject(404)
        profile_of = {profile.name: profile for profile in profiles}.get
        self.third_parties = ThirdParties(self.node.ua, self.registrations, SCSCF, profile_of, is_here=is_here)
        self.notifier = serve_watching(self.node.ua, self.registrations, profile_of=profile_of)
        if listeners is None:
            network.attach(self.node, *here)

    def route(self, request: Request, flow: Flow, now: float) -> Decision | Challenge:
        """Decide about a request (``routing.Router``)."""
        if request.method == "REGISTER":
            return self.registrar.handle(request, flow, now)
        if request.method == "SUBSCRIBE":
            sender = request.get("P-Asserted-Identity") or request.require("From")
            return ToService("core", parse_name_addr(sender).uri_text)
        raise NotFound

    def contacts(self, aor: str) -> list[str]:
        """The contacts bound to an address-of-record."""
        return [binding.contact for binding in self.location.bindings(aor)]

    def deregister(self, *args: object, **options: object) -> int:
        """Take an identity off the network, at once."""
        gone = self.registrations.deregister(*args, **options)  # type: ignore[arg-type]
        self.node.settle()
        return gone

    def assert_idle(self) -> None:
        """No transaction and no subscription is left; bindings may be."""
        assert self.endpoint.transactions() == {"client": 0, "server": 0}
        assert len(self.notifier) == len(self.node.ua.usages) == 0

    def _password_of(self, user: str) -> str | None:
        subscriber = self.directory.by_private(f"{user}@{DOMAIN}")
        credentials = None if subscriber is None else subscriber.credentials
        return credentials.password if isinstance(credentials, Password) else None


class Handset(Phone):
    """A phone of the subscriber ``private``, which answers challenges to its REGISTERs."""

    def __init__(self, home: Home, name: str = "alice", *, private: str = "", transport: str = "UDP") -> None:
        super().__init__(home.network, name, transport=transport, proxy=SCSCF_ADDRESS)
        self.home = home
        self.private = private or f"{name}@{DOMAIN}"
        self.challenges: list[str] = []
        self.challenged: Response | None = None
        self._call = self.endpoint.ids.call_id()
        self._numbers = count(1)
        self._counts = count(1)

    def enrol(
        self,
        identity: str = ALICE,
        *headers: tuple[str, str],
        contact: str | None = "",
        expires: int = 600,
        answers: bool = True,
        password: str = PASSWORD,
        names_itself: bool = True,
    ) -> Response:
        """REGISTER ``identity``, with the phone's own contact unless told otherwise, and return the last response.

        ``names_itself``: it sends its private identity in the first request already, as phones of IMS do.
        """
        start = f'Digest username="{self.private}", realm="{DOMAIN}", nonce="", uri="sip:{DOMAIN}", response=""'
        authorization = [("Authorization", start)] if names_itself else []
        response = self.send_register(identity, *authorization, *headers, contact=contact, expires=expires)
        if response.status == 401 and answers:
            self.challenged = response
            self.challenges = response.whole_values("WWW-Authenticate")
            response = self.send_register(
                identity, ("Authorization", self.answer(password)), *headers, contact=contact, expires=expires
            )
        return response

    def answer(self, password: str = PASSWORD) -> str:
        """Credentials for the last challenge."""
        params = parse_digest(self.challenges[0])
        assert params is not None
        if not params["algorithm"].startswith("AKA"):
            return answer_challenge(
                self.challenges[0], "REGISTER", f"sip:{DOMAIN}", self.private, password, cnonce="c", nc=1
            )
        made = self.home.directory.answer(self.private, base64.b64decode(params["nonce"])[:16])
        assert made is not None
        fields = {"nonce": params["nonce"], "uri": f"sip:{DOMAIN}", "qop": "auth", "nc": "00000001", "cnonce": "c"}
        ha1 = hashlib.md5(f"{self.private}:{DOMAIN}:".encode() + made.res, usedforsecurity=False).hexdigest()
        digest = request_digest("MD5", "REGISTER", fields, ha1, b"")
        quoted = {**fields, "username": self.private, "realm": DOMAIN, "response": digest}
        plain = {"nc", "qop"}
        listed = ", ".join(
            f"{name}={value}" if name in plain else f'{name}="{value}"' for name, value in quoted.items()
        )
        return f"Digest {listed}, algorithm=AKAv1-MD5"

    def send_register(
        self, identity: str, *headers: tuple[str, str], contact: str | None = "", expires: int = 600
    ) -> Response:
        """Send one REGISTER and return what comes back."""
        assert self.proxy is not None
        request = Request("REGISTER", f"sip:{DOMAIN}")
        request.add("Max-Forwards", "70")
        request.add("From", f"<{identity}>;tag={self.endpoint.ids.tag()}")
        request.add("To", f"<{identity}>")
        request.add("Call-ID", self._call)
        request.add("CSeq", f"{next(self._numbers)} REGISTER")
        if contact is not None:
            request.add("Contact", contact or f"<{self.uri}>")
        request.add("Expires", str(expires))
        for name, value in headers:
            request.add(name, value)
        transaction = self.endpoint.request(request, self.proxy, None)
        self.network.run(0.05)
        responses = [
            event.response
            for event in self.events
            if isinstance(event, ResponseReceived) and event.transaction is transaction
        ]
        return responses[-1]
