"""Dialogs: what two user agents agree on once one has answered the other (RFC 3261 section 12)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ims_core.errors import BadRequest, SipError, UnsupportedScheme
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.message import Request, Response, response_to
from ims_core.ua.offers import AGREED

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.ua.offers import Turn


class OutOfOrder(SipError):
    """The CSeq of a request is lower than one seen before (12.2.2 asks for a 500)."""

    status = 500


class Dialog:
    """The state of one dialog.

    ``local`` and ``remote`` are From and To values as this side sends them; ``flow`` is where the peer was heard,
    or where the request that made the dialog was sent. ``turn`` tells whose offer or answer is to come.
    """

    __slots__ = (
        "call_id", "flow", "local", "local_cseq", "local_tag", "remote", "remote_cseq", "remote_tag", "remote_target",
        "route_set", "turn",
    )  # fmt: skip

    def __init__(
        self,
        *,
        call_id: str,
        local: str,
        remote: str,
        local_tag: str,
        remote_tag: str,
        remote_target: str,
        route_set: list[str],
        flow: Flow,
        local_cseq: int = 0,
        remote_cseq: int = 0,
    ) -> None:
        self.call_id = call_id
        self.local = local
        self.remote = remote
        self.local_tag = local_tag
        self.remote_tag = remote_tag
        self.remote_target = remote_target
        self.route_set = route_set
        self.flow = flow
        self.local_cseq = local_cseq
        self.remote_cseq = remote_cseq
        self.turn: Turn = AGREED

    @classmethod
    def as_server(cls, request: Request, local_tag: str, flow: Flow) -> Dialog:
        """Make the dialog of the side that answers (12.1.1). Raises ``BadRequest`` without a way to the peer."""
        return cls(
            call_id=request.call_id,
            local=f"{request.require('To')};tag={local_tag}",
            remote=request.require("From"),
            local_tag=local_tag,
            remote_tag=request.from_tag,
            remote_target=_contact_uri(request),
            route_set=_recorded_route(request),
            remote_cseq=request.cseq.number,
            flow=flow,
        )

    @classmethod
    def as_client(cls, request: Request, response: Response, flow: Flow) -> Dialog:
        """Make the dialog of the side that asked (12.1.2). Raises ``BadRequest`` without a way to the peer."""
        return cls(
            call_id=request.call_id,
            local=request.require("From"),
            remote=response.require("To"),
            local_tag=request.from_tag,
            remote_tag=response.to_tag,
            remote_target=_contact_uri(response),
            route_set=_recorded_route(response)[::-1],
            local_cseq=request.cseq.number,
            flow=flow,
        )

    def request(self, method: str, *, cseq: int | None = None) -> Request:
        """Build a request within the dialog (12.2.1.1); ``cseq`` is given for an ACK, whose number is its INVITE's."""
        if cseq is None:
            self.local_cseq += 1
            cseq = self.local_cseq
        lines = [
            f"From: {self.local}",
            f"To: {self.remote}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
            "Max-Forwards: 70",
        ]
        request = Request(
            method, self.remote_target, keys=["from", "to", "call-id", "cseq", "max-forwards"], lines=lines
        )
        routes = self.route_set
        if routes and not parse_name_addr(routes[0]).uri.is_loose_router:
            request.uri = parse_name_addr(routes[0]).uri_text
            routes = [*routes[1:], f"<{self.remote_target}>"]
        for route in routes:
            request.add("Route", route)
        return request

    def refresh(self, response: Response) -> None:
        """Take a 2xx to a target refresh request of ours: the peer may be elsewhere from now on (12.2.1.2)."""
        if "contact" in response.keys:
            with suppress(BadRequest):  # he is where he was, as far as we know
                self.remote_target = _contact_uri(response)

    def confirm(self, dialog: Dialog) -> None:
        """Go on as ``dialog``, which the 2xx made: "the route set ... is recomputed" (13.2.2.4)."""
        self.route_set = dialog.route_set
        self.remote_target = dialog.remote_target
        self.remote = dialog.remote

    @property
    def next_hop(self) -> str:
        """The URI that requests within the dialog are sent to: the first route, else the remote target (8.1.2)."""
        return parse_name_addr(self.route_set[0]).uri_text if self.route_set else self.remote_target

    def accept(self, request: Request) -> None:
        """Take note of a request of the peer (12.2.2). Raises ``OutOfOrder``; an ACK may repeat a number."""
        number = request.cseq.number
        if number < self.remote_cseq:
            # a NOTIFY may be overtaken, by the BYE of the call that it shares a dialog with: its news are to come again
            again = (("Retry-After", "1"),) if request.method == "NOTIFY" else ()
            raise OutOfOrder("CSeq out of order", headers=again)
        self.remote_cseq = number
        if request.method in _TARGET_REFRESH and "contact" in request.keys:
            self.remote_target = _contact_uri(request)


def establishing(request: Request, status: int, local_tag: str, contact: str) -> Response:
    """Make a response to ``request`` that establishes or refreshes the dialog with its sender (12.1.1)."""
    response = response_to(request, status, to_tag=local_tag)
    for key, line in zip(request.keys, request.lines, strict=True):
        if key == "record-route":
            response.keys.append(key)
            response.lines.append(line)
    response.add("Contact", contact)
    return response


def _contact_uri(message: Request | Response) -> str:
    contact = message.contact
    if contact is None:
        raise BadRequest("Missing Contact header")
    try:
        return contact.uri.text
    except UnsupportedScheme:
        raise BadRequest("Unsupported scheme in Contact") from None


def _recorded_route(message: Request | Response) -> list[str]:
    """Return the Record-Route values, all of which can be used as Route."""
    routes = message.values("Record-Route")
    try:
        for route in routes:
            _ = parse_name_addr(route).uri
    except UnsupportedScheme:
        raise BadRequest("Unsupported scheme in Record-Route") from None
    return routes


_TARGET_REFRESH = frozenset(("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY"))  # RFC 3311 5.1, RFC 6665 4.4.1
