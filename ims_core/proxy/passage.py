"""How one request gets through this proxy: what each copy of it is to say (RFC 3261 section 16.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from ims_core.messages.message import Request
from ims_core.proxy.routes import lead_on

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.locate.courier import Hop
    from ims_core.proxy.forking import Target
    from ims_core.proxy.hiding import TopologyHiding
    from ims_core.proxy.record_route import RecordRoute

DIALOG_FORMING = frozenset(("INVITE", "SUBSCRIBE", "REFER", "NOTIFY"))
_NOTHING = Request("", "")


class Passage(Struct, eq=False):
    """A request on its way from ``came_by``: ``hops`` is its new Max-Forwards, ``token`` our signature for its Call-ID.

    ``mark`` ends the branch of each copy. We stay in the path of the dialog that a ``request`` may form.
    """

    request: Request
    came_by: Flow
    hops: int
    token: str
    record_route: RecordRoute
    hiding: TopologyHiding | None = None
    mark: str = ""
    records: bool = False
    depends_on_flow: bool = False

    def __post_init__(self) -> None:
        self.records = self.request.method in DIALOG_FORMING
        self.depends_on_flow = self.records or self.hiding is not None

    def copy(self, uri: str) -> Request:
        """Return a copy for ``uri`` with one hop less to go."""
        copy = self.request.copy()
        copy.uri = uri
        copy.set("Max-Forwards", str(self.hops))
        return copy

    def copy_for(self, target: Target, breadth: int) -> tuple[Request, Hop]:
        """Return the copy for ``target`` with its share of the breadth, and the way there. Raises ``SipError``."""
        copy = self.copy(target.uri)
        copy.set("Max-Breadth", str(breadth))
        copy.remove("Route")
        for route in reversed(target.route):
            copy.prepend("Route", route)
        next_hop = lead_on(copy)
        return copy, target.flow or next_hop

    def prepare(self, copy: Request, leaves_by: Flow) -> None:
        """Write into a copy what depends on the way it takes."""
        if self.records:
            self.record_route.write(copy, self.token, self.came_by, leaves_by)
        if self.hiding is not None:
            self.hiding.cross(copy, self, leaves_by)

    def let_go(self) -> None:
        """Drop the request, unless its Via is still to be restored: contexts wait out the time of their branches."""
        if self.hiding is None:
            self.request = _NOTHING
