"""A named SIP peer by which calls leave and come: a carrier, or another platform."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from ims_core.locate.courier import Several
from ims_core.locate.ordering import in_order
from ims_core.locate.records import Srv
from ims_core.messages.uri import parse_uri
from ims_core.trunks.numbers import DialPlan, Form, is_e164, rewritten
from ims_core.trunks.registration import Account, Registration, State
from ims_core.trunks.server import Server, Watched

if TYPE_CHECKING:
    from ims_core.security.credentials import Credentials
    from ims_core.ua.session import Session
    from ims_core.ua.useragent import UserAgent

INBOUND: Final = "in"
OUTBOUND: Final = "out"
FINE: Final = 1000
"""By what weights are multiplied: the draw of RFC 2782 counts from 0, which favours small ones."""


class Peer(Struct, frozen=True, kw_only=True):
    """What is configured of a trunk.

    ``domain`` is what Request-URIs of calls to it name. ``account`` is registered there; ``credentials`` answer who
    challenges our calls. ``caller`` is the number that is shown outside, empty: the caller's own. ``plan`` tells how
    numbers are dialled here, None: they are taken and sent as they are; ``form`` how the trunk wants them, unless one
    of the ``prefixes`` fits, which are replaced. ``most_calls`` counts both directions, 0: no limit.
    """

    id: str
    servers: tuple[Server, ...] = ()
    domain: str = ""
    account: Account | None = None
    credentials: Credentials | None = None
    ping_seconds: float = 0.0
    plan: DialPlan | None = None
    form: Form = "e164"
    prefixes: dict[str, str] = {}
    caller: str = ""
    weight: int = 1
    most_calls: int = 0


class Trunk:
    """A trunk at work, from ``start`` to ``stop``.

    ``calls`` are sessions with their direction, ``counted`` how many there were and ``limited`` how many found the
    trunk full, by direction; ``left`` is how many went on by another trunk. ``on_server`` is told of a server that
    goes up or down, ``on_registration`` of the registration. ``user``, a name-addr, asks whether servers live.
    """

    def __init__(
        self,
        ua: UserAgent,
        peer: Peer,
        *,
        user: str,
        on_server: Callable[[Trunk, Watched], None],
        on_registration: Callable[[Trunk, Registration], None],
        chance: Callable[[], float],
    ) -> None:
        self.peer = peer
        self.calls: dict[Session, str] = {}
        self.counted: Counter[str] = Counter({INBOUND: 0, OUTBOUND: 0})
        self.limited: Counter[str] = Counter({INBOUND: 0, OUTBOUND: 0})
        self.left = 0
        self._number = ua.endpoint.ids.number
        self.servers = [
            Watched(ua, server, user, peer.ping_seconds, lambda watched: on_server(self, watched))
            for server in peer.servers
        ]
        self.registration: Registration | None = None
        if peer.account is not None:
            self.registration = Registration(
                ua, peer.account, lambda registration: on_registration(self, registration), chance=chance
            )

    def start(self) -> None:
        """Begin to ping and to register."""
        for server in self.servers:
            server.start()
        if self.registration is not None:
            self.registration.start()

    def stop(self) -> None:
        """Ping no more, and take the registration back."""
        for server in self.servers:
            server.stop()
        if self.registration is not None:
            self.registration.stop()

    def follow(self, former: Trunk) -> None:
        """Start in place of a trunk that is configured in another way, and take over its calls and counts.

        A registration of the same Contact is made anew and not taken back, which might be heard too late.
        """
        self.calls, self.counted, self.limited, self.left = former.calls, former.counted, former.limited, former.left
        ours, theirs = self.registration, former.registration
        if ours is not None and theirs is not None and ours.account.contact == theirs.account.contact:
            theirs.close()
            former.registration = None
        former.stop()
        self.start()

    # State --------------------------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether calls can leave by it: some server serves, and it is registered where that is wanted."""
        is_known = self.registration is None or self.registration.state is State.REGISTERED
        return is_known and any(server.usable for server in self.servers)

    @property
    def is_full(self) -> bool:
        """Whether it carries as many calls as it may."""
        return bool(self.peer.most_calls) and len(self.calls) >= self.peer.most_calls

    def took(self, session: Session, direction: str) -> None:
        """Count a call until ``lost``."""
        self.calls[session] = direction
        self.counted[direction] += 1

    def owns(self, host: str) -> bool:
        """Whether the trunk is registered with the server at this address."""
        registration = self.registration
        if registration is None or registration.flow is None or registration.state is not State.REGISTERED:
            return False
        return registration.flow.remote[0] == host

    # Calls that leave ----------------------------------------------------------------------------------------

    def hop(self, *, or_else: bool) -> Several:
        """Return the servers for a call, drawn by weight within a priority, those known to be down left out.

        The one that we are registered with comes first: others need not know us. When all are down all are tried.
        ``or_else``: there is another trunk for the call.
        """
        usable = [server for server in self.servers if server.usable] or self.servers
        records = [Srv(each.server.priority, each.server.weight * FINE, 0, each.server.uri) for each in usable]
        uris = [record.target for record in in_order(records, self._number)]
        if self.registration is not None:
            uris.sort(key=self.registration.server.__ne__)
        return Several(tuple(uris), or_else)

    def route(self) -> tuple[str, ...]:
        """Return what a call is to be sent by beyond the servers: the Service-Route (RFC 3608), if there is one."""
        return self.registration.service_route if self.registration is not None else ()

    def target(self, number: str) -> str:
        """Return the Request-URI for a number in E.164, or for one that is none."""
        peer = self.peer
        written = rewritten(number, peer.prefixes)
        if written is None:
            written = number if peer.plan is None else peer.plan.written(number, peer.form)
        return f"sip:{_escaped(written)}@{peer.domain};user=phone"

    def shown(self, caller: str) -> str:
        """Return the From of a call for ``caller``, a name-addr: a number that the carrier will take, or anonymous."""
        peer = self.peer
        number = peer.caller or (caller if is_e164(caller) else "")
        if peer.plan is not None:
            number = peer.plan.written(number, peer.form)
        if not number and peer.account is not None:
            return f"<{peer.account.aor}>"
        return f"<sip:{_escaped(number) or 'anonymous'}@{peer.domain}>"


def domain_of(servers: tuple[Server, ...]) -> str:
    """Return host and port of the first server: what a trunk is called when it has no domain of its own."""
    if not servers:
        return ""
    uri = parse_uri(servers[0].uri)
    host = f"[{uri.host}]" if ":" in uri.host else uri.host
    return host if uri.port is None else f"{host}:{uri.port}"


def _escaped(number: str) -> str:
    return number.replace("#", "%23")
