"""All trunks of an element: from which one a call comes, and by which ones a call leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from msgspec import Struct

from ims_core.errors import SipError, UnsupportedScheme
from ims_core.locate.ordering import in_order
from ims_core.locate.records import Srv
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.uri import Uri
from ims_core.trunks.numbers import dialled_in, matches
from ims_core.trunks.trunk import FINE, OUTBOUND, Trunk

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request
    from ims_core.ua.session import Session

Share = Literal["order", "weight"]
LEADS_ON: Final = frozenset((401, 407, 408, 502, 503, 504))
"""What a call by one trunk may end with for the next one to be tried: it does not serve (408 and 503 stand also for no
answer and no connection), does not reach what is behind it, or does not take our credentials. Whatever else is said,
is said of the number called; and once the callee rings, the call is his."""
NOBODY: Final = Uri("", "", "", "", None, {})


class Route(Struct, frozen=True):
    """Numbers that fit one of the patterns of ``match`` leave by ``trunks``: in this order, or shared by weight."""

    match: tuple[str, ...]
    trunks: tuple[str, ...]
    share: Share = "order"


class Arrival(NamedTuple):
    """A call from a trunk: the number called, as it came and in E.164, and who calls."""

    trunk: Trunk
    dialled: str
    number: str
    caller: str


class Exchange:
    """Holds the trunks by their ids.

    ``source_of(host)`` names the trunk that is configured to send from an address, None when there is none.
    ``number(n)`` is a random number below n.
    """

    def __init__(self, source_of: Callable[[str], str | None], number: Callable[[int], int]) -> None:
        self.trunks: dict[str, Trunk] = {}
        self.routes: tuple[Route, ...] = ()
        self.source_of = source_of
        self._number = number

    # In -----------------------------------------------------------------------------------------------------

    def trunk_of(self, request: Request, flow: Flow) -> Trunk | None:
        """Return the trunk that sent a request outside any dialog, None when it is from somebody else.

        Known are the configured sources; where a trunk has registered: the address of its registrar, and whoever calls
        the Contact that only the registrar was told.
        """
        source = self.source_of(flow.remote[0])
        if source is not None:
            return self.trunks.get(source)
        for trunk in self.trunks.values():
            account = trunk.peer.account
            if account is not None and (trunk.owns(flow.remote[0]) or account.contact == request.target.user):
                return trunk
        return None

    def is_from_trunk(self, request: Request, flow: Flow) -> bool:
        """Whether a request outside any dialog comes from a trunk."""
        return self.source_of(flow.remote[0]) is not None or self.trunk_of(request, flow) is not None

    def trusts(self, host: str) -> bool:
        """Whether a trunk is known to send from this address."""
        return self.source_of(host) is not None or any(trunk.owns(host) for trunk in self.trunks.values())

    def arrival(self, request: Request, flow: Flow) -> Arrival | None:
        """Read who calls whom in an INVITE from a trunk; None when it is from none."""
        trunk = self.trunk_of(request, flow)
        if trunk is None:
            return None
        called, plan = self._called(request, trunk), trunk.peer.plan
        if plan is None:
            return Arrival(trunk, called.user, called.user, _caller(request).user)
        dialled, context = dialled_in(called)
        return Arrival(trunk, dialled, plan.e164(dialled, context), plan.e164(*dialled_in(_caller(request))))

    # Out ----------------------------------------------------------------------------------------------------

    def leads_out(self, number: str) -> bool:
        """Whether some route takes ``number``."""
        return self._route(number) is not None

    def is_down(self, number: str) -> bool:
        """Whether some route takes ``number``, and no trunk of it is up."""
        route = self._route(number)
        return route is not None and not any(
            trunk.is_up for name in route.trunks if (trunk := self.trunks.get(name)) is not None
        )

    def ways(self, number: str) -> list[Trunk]:
        """Return the trunks to try for ``number``, best first: those that are up, and only if there is none the others.

        A trunk that is full is left out, and counts that.
        """
        route = self._route(number)
        if route is None:
            return []
        named = [trunk for name in route.trunks if (trunk := self.trunks.get(name)) is not None and trunk.servers]
        if route.share == "weight":
            records = [Srv(0, trunk.peer.weight * FINE, 0, trunk.peer.id) for trunk in named]
            named = [self.trunks[record.target] for record in in_order(records, self._number)]
        candidates = [trunk for trunk in named if trunk.is_up] or named
        free = []
        for trunk in candidates:
            if trunk.is_full:
                trunk.limited[OUTBOUND] += 1
            else:
                free.append(trunk)
        return free

    # The sessions (``useragent.SessionWatcher``) --------------------------------------------------------------

    def session_changed(self, session: Session) -> None:
        """Take note of a session that is new, rings or was answered."""

    def session_closed(self, session: Session, cause: str, code: int | None) -> None:
        """Count a call no more."""
        for trunk in self.trunks.values():
            trunk.calls.pop(session, None)

    # Inside -------------------------------------------------------------------------------------------------

    def _route(self, number: str) -> Route | None:
        return next((route for route in self.routes if any(matches(each, number) for each in route.match)), None)

    def _called(self, request: Request, trunk: Trunk) -> Uri:
        """Return whom the INVITE is for.

        One for our Contact says in P-Called-Party-ID (RFC 7315 section 4.2) or, as most carriers have it, in To which
        number was dialled.
        """
        account = trunk.peer.account
        if account is None or request.target.user != account.contact:
            return request.target
        party = request.get("P-Called-Party-ID")
        return parse_name_addr(party).uri if party is not None else request.to.uri


def _caller(request: Request) -> Uri:
    """Return who calls: what the trunk asserts (RFC 3325 section 9.1), which is trusted to, else From."""
    for value in request.values("P-Asserted-Identity"):
        try:
            return parse_name_addr(value).uri
        except SipError:
            continue
    try:
        return request.from_.uri
    except UnsupportedScheme:
        return NOBODY
