"""What the configuration means to the trunks of the SIP node, and what is told of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import structlog

from acd.emergency import Emergencies, Fallbacks
from acd.numbering import Numbering, outside, plan_of
from acd.policy import is_number
from acd.way import Way
from ims_core.errors import NotFound, ServiceUnavailable
from ims_core.messages.headers import quote_string
from ims_core.roles.routing import Decision, ToService
from ims_core.security.credentials import Credentials
from ims_core.trunks.exchange import Arrival, Exchange, Route
from ims_core.trunks.numbers import dialled_in
from ims_core.trunks.registration import Account, Registration, State
from ims_core.trunks.server import Server, Watched
from ims_core.trunks.trunk import INBOUND, OUTBOUND, Peer, Trunk, domain_of

if TYPE_CHECKING:
    from acd.config import Config
    from acd.config import Trunk as Configured
    from ims_core.flow import Flow
    from ims_core.ids import Ids
    from ims_core.messages.message import Request
    from ims_core.messages.uri import Uri
    from ims_core.node import Node
    from ims_core.registrar.location import Domains
    from ims_core.ua.incoming import IncomingCall
    from ims_core.ua.session import Session

CHANCES = 1 << 16

log = structlog.get_logger()


class Called(NamedTuple):
    """A call as the engine takes it: the number as it is configured or in E.164, who calls, by which trunk."""

    dialled: str
    caller: str
    trunk: str = ""


class Border:
    """Decides at the border (``ims.Border``): which calls from trunks are for us, and who may call outside.

    Both are asked of ``present`` each time. ``serves`` tells whether a URI names this platform. What is for an
    emergency service goes by ``emergencies`` before, and ``fallbacks`` are those for whom there is no way outside. The
    border ``beside`` it is of another element in the same process.
    """

    def __init__(
        self,
        exchange: Exchange,
        present: Callable[[], Config],
        serves: Callable[[Uri], bool],
        clock: Callable[[], float],
        beside: Border | None = None,
    ) -> None:
        self.exchange = exchange
        others = None if beside is None else beside.emergencies
        self.emergencies: Emergencies = Emergencies(exchange, present, serves, clock=clock, beside=others)
        self.fallbacks: Fallbacks = Fallbacks(present) if beside is None else beside.fallbacks
        self._present = present
        self._serves = serves
        self._numbering: tuple[Config | None, Numbering] = (None, Numbering(None, ()))

    def arriving(self, request: Request, flow: Flow) -> Decision | None:
        """Have the service take an INVITE of a trunk for a number of ours; anything else goes its usual way.

        Raises ``NotFound`` for what agents alone dial: who calls by a trunk may say that he is one.
        """
        if request.method != "INVITE" or not self.exchange.trunks:
            return None
        arrival = self.exchange.arrival(request, flow)
        if arrival is None or (request.target.scheme != "tel" and not self._serves(request.target)):
            return None
        if self.number_of(arrival) is not None:
            return ToService("acd", arrival.caller)
        account = arrival.trunk.peer.account
        if account is not None and request.target.user == account.contact:
            raise NotFound
        if is_number(self._present(), request.target.user.partition(";")[0]):
            raise NotFound
        return None

    def comes_from(self, request: Request, flow: Flow) -> bool:
        """Whether a request that is for a user comes from a trunk; nobody registers from there."""
        exchange = self.exchange
        return request.method != "REGISTER" and bool(exchange.trunks) and exchange.is_from_trunk(request, flow)

    def leaving(self, request: Request, user: str) -> Decision | None:
        """Have the service call outside for a user who may, if a route takes the number."""
        return ToService("acd", user) if request.method == "INVITE" and self.leads_out(request, user) else None

    def leads_out(self, request: Request, user: str) -> str:
        """Return the number outside that an INVITE of ``user`` is for, empty when there is none, or not for him."""
        config, target = self._present(), request.target
        account = config.accounts.get(user)
        if account is None or not account.may_call_outside or not config.outbound:
            return ""
        if target.scheme != "tel" and not self._serves(target):
            return ""
        dialled, context = dialled_in(target)
        if not dialled or dialled in config.numbers or dialled in config.accounts or dialled in config.agents:
            return ""
        plan = plan_of(config.dialling)
        number = dialled if plan is None else plan.e164(dialled, context)
        if self._numbers(config).find(number) is not None:
            return ""
        return number if self.exchange.leads_out(number) else ""

    def number_of(self, arrival: Arrival) -> str | None:
        """Return the number called as it is configured, None when it is none of ours."""
        return self._numbers(self._present()).find(arrival.dialled, arrival.number)

    def _numbers(self, config: Config) -> Numbering:
        known, numbering = self._numbering
        if known is not config:
            numbering = Numbering(plan_of(config.dialling), config.numbers)
            self._numbering = config, numbering
        return numbering


class Trunks:
    """The trunks of a running engine."""

    def __init__(self, node: Node, border: Border) -> None:
        self._node = node
        self.border = border
        self._exchange = border.exchange
        self._domain = ""
        self._config: Config | None = None
        node.ua.watchers.append(self._exchange)

    def follow(self, config: Config) -> None:
        """Have the trunks that ``config`` names; one that has not changed goes on as it is, with its calls."""
        self._config, self._domain = config, config.server.domain
        exchange = self._exchange
        wanted = {name: peer_of(config, trunk) for name, trunk in config.trunks.items()}
        before, exchange.trunks = exchange.trunks, {}
        for name, peer in wanted.items():
            trunk = before.pop(name, None)
            if trunk is None or trunk.peer != peer:
                successor = self._new(peer)
                if trunk is None:
                    successor.start()
                else:
                    successor.follow(trunk)
                trunk = successor
            exchange.trunks[name] = trunk
        for trunk in before.values():
            trunk.stop()
        exchange.routes = tuple(Route(route.match, route.trunks, route.share) for route in config.outbound)

    def stop(self) -> None:
        """Take all registrations back."""
        for trunk in self._exchange.trunks.values():
            trunk.stop()

    @property
    def is_settled(self) -> bool:
        """Whether no registrar is to answer any more."""
        return all(
            trunk.registration is None or trunk.registration.is_settled for trunk in self._exchange.trunks.values()
        )

    @property
    def all(self) -> Mapping[str, Trunk]:
        """The trunks by their ids."""
        return self._exchange.trunks

    # Calls --------------------------------------------------------------------------------------------------

    def called(self, incoming: IncomingCall) -> Called:
        """Read who calls whom; a call from a trunk counts to it until its session ends."""
        request, identity = incoming.request, incoming.identity
        assert incoming.dialog is not None
        arrival = self._exchange.arrival(request, incoming.dialog.flow) if self._exchange.trunks else None
        if arrival is None:
            return Called(request.target.user, identity)
        number = self.border.number_of(arrival)
        return Called(number or request.target.user, identity, arrival.trunk.peer.id)

    def take(self, session: IncomingCall, trunk_id: str) -> None:
        """Count a call that came, and answer challenges to it.

        Raises ``ServiceUnavailable`` when the trunk carries as many as it may.
        """
        trunk = self._exchange.trunks.get(trunk_id)
        if trunk is None:
            return
        if trunk.is_full:
            trunk.limited[INBOUND] += 1
            raise ServiceUnavailable("Too many calls of this trunk", headers=(("Retry-After", "5"),))
        if trunk.peer.credentials is not None:
            session.answer_by(trunk.peer.credentials)
        trunk.took(session, INBOUND)

    def leads_out(self, incoming: IncomingCall) -> str:
        """Return the number outside that a user calls who may, else an empty text."""
        return self.border.leads_out(incoming.request, incoming.identity)

    def ways_to(self, target: str, caller: str, name: str = "", *, falls_back: bool = False) -> list[Way] | None:
        """Return the ways to a number outside, best first; None for a SIP URI.

        ``name`` is shown with the number of who calls, who ``falls_back`` where none serves: then the last is not
        waited for any longer than the others. Raises ``ServiceUnavailable`` when there is no way now.
        """
        assert self._config is not None
        number = outside(target, self._config.dialling)
        if number is None:
            return None
        trunks = self._exchange.ways(number)
        if not trunks:
            raise ServiceUnavailable("No trunk to there")
        return [
            Way(
                trunk.target(number),
                trunk.hop(or_else=falls_back or trunk is not trunks[-1]),
                trunk.route(),
                trunk=trunk.peer.id,
                number=number,
                caller=f"{quote_string(name)} {trunk.shown(caller)}" if name else trunk.shown(caller),
                credentials=trunk.peer.credentials,
            )
            for trunk in trunks
        ]

    def left(self, session: Session, trunk_id: str) -> None:
        """Count a call that leaves until its session ends."""
        trunk = self._exchange.trunks.get(trunk_id)
        if trunk is not None:
            trunk.took(session, OUTBOUND)

    def is_down(self, number: str) -> bool:
        """Whether no trunk to a number outside is up."""
        return self._exchange.is_down(number)

    @property
    def fallbacks(self) -> Fallbacks:
        """Those for whom there is no way outside."""
        return self.border.fallbacks

    @property
    def emergencies(self) -> Emergencies:
        """The emergency calls."""
        return self.border.emergencies

    def failed_over(self, trunk_id: str, reason: str) -> None:
        """Take note that a call goes on by another trunk."""
        log.warning("trunk.failed_over", trunk=trunk_id, reason=reason)
        trunk = self._exchange.trunks.get(trunk_id)
        if trunk is not None:
            trunk.left += 1

    # Inside -------------------------------------------------------------------------------------------------

    def _new(self, peer: Peer) -> Trunk:
        return Trunk(
            self._node.ua,
            peer,
            user=f"<sip:{self._domain}>",
            on_server=_tell_server,
            on_registration=_tell_registration,
            chance=lambda: self._node.endpoint.ids.number(CHANCES) / CHANCES,
        )


def build_border(
    present: Callable[[], Config],
    *,
    ids: Ids,
    domains: Domains,
    clock: Callable[[], float],
    beside: Border | None = None,
) -> Border:
    """Build the border of an element; what is configured is asked of ``present`` each time."""
    exchange = Exchange(lambda host: source_of(present(), host), ids.number)
    return Border(exchange, present, domains.serves, clock, beside)


def source_of(config: Config, host: str) -> str | None:
    """Return the trunk that is configured to send from an address, None when there is none."""
    for name, trunk in config.trunks.items():
        if any(host in source for source in trunk.sources):
            return name
    return None


def peer_of(config: Config, trunk: Configured) -> Peer:
    """Return a trunk as the SIP node knows it."""
    if isinstance(trunk.servers, Mapping):
        servers = tuple(Server(server.uri, server.priority, server.weight) for server in trunk.servers.values())
    else:
        servers = tuple(Server(uri, priority) for priority, uri in enumerate(trunk.servers))
    domain = trunk.domain or domain_of(servers)
    credentials = None
    if trunk.user is not None and trunk.password is not None:
        credentials = Credentials(trunk.user, str(trunk.password))
    account = None
    if trunk.register and credentials is not None:
        account = Account(
            f"sip:{credentials.user}@{domain}",
            domain,
            tuple(server.uri for server in sorted(servers, key=lambda server: server.priority)),
            credentials,
            _contact(trunk.id, domain, credentials),
            trunk.expires_seconds,
        )
    return Peer(
        id=trunk.id,
        servers=servers,
        domain=domain,
        account=account,
        credentials=credentials,
        ping_seconds=trunk.ping_seconds,
        plan=plan_of(config.dialling, trunk),
        form=trunk.numbers,
        prefixes=dict(trunk.prefixes),
        caller=trunk.caller or "",
        weight=trunk.weight,
        most_calls=trunk.max_calls,
    )


def _contact(trunk: str, domain: str, credentials: Credentials) -> str:
    """Return the user part of the Contact of a registration: nobody guesses it, and a restart does not change it."""
    key = credentials.password.encode()[:64]
    data = f"{trunk} {domain} {credentials.user}".encode()
    return f"t{hashlib.blake2b(data, key=key, digest_size=10).hexdigest()}"


def _tell_server(trunk: Trunk, watched: Watched) -> None:
    if watched.up:
        log.info("trunk.up", trunk=trunk.peer.id, server=watched.server.uri)
    else:
        log.warning("trunk.down", trunk=trunk.peer.id, server=watched.server.uri, reason=watched.reason)


def _tell_registration(trunk: Trunk, registration: Registration) -> None:
    if registration.state is State.REGISTERED and not registration.reason:
        log.info("trunk.registered", trunk=trunk.peer.id, seconds=round(registration.expires_in))
    elif registration.state is State.UNREGISTERED:
        log.info("trunk.unregistered", trunk=trunk.peer.id)
    elif registration.reason:
        log.warning(
            "trunk.registration_failed",
            trunk=trunk.peer.id,
            reason=registration.reason,
            refused=registration.state is State.REFUSED,
        )
