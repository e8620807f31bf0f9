"""What a role decides about a request; a refusal is raised as the ``SipError`` its sender gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ims_core.messages.message import Response
from ims_core.proxy.forward import Forward, ToService

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request
    from ims_core.security.digest import Challenge

__all__ = ["HERE", "Decision", "Forward", "Router", "ToScscf", "ToService"]

HERE: Final = "here"  # this element itself answers: REGISTER aside, an OPTIONS or a method it does not serve


class ToScscf(NamedTuple):
    """The first hop admits the request, sent by ``identity`` (empty: a stranger whom nobody asked).

    ``is_user``: by one of our own users, and not by another platform on somebody's behalf.
    """

    identity: str
    is_user: bool = True


Decision = Response | Forward | ToService
"""What becomes of a request; a response is sent as it is."""


class Router(Protocol):
    """Decides about requests outside any dialog: what makes an element a proxy, a registrar or an IMS core."""

    def route(self, request: Request, flow: Flow, now: float) -> Decision | Challenge:
        """Decide about ``request``, which came by ``flow``. Raises the ``SipError`` that its sender gets.

        A challenge is returned where every first request gets one: to raise it would cost a twentieth of that.
        """
