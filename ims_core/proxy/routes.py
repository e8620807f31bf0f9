"""The Route of a request: what of it is ours, and where it leads (RFC 3261 sections 16.4, 16.6 and 16.12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ims_core.errors import BadRequest
from ims_core.messages.headers import first_value_end, parse_name_addr
from ims_core.messages.uri import Uri, parse_uri

if TYPE_CHECKING:
    from ims_core.messages.message import Request

MOST_OWN_ROUTES = 16  # two of each passage, and spirals are rare


def next_route(request: Request) -> Uri | None:
    """Return the URI of the topmost Route, None when there is none. Raises ``BadRequest``."""
    value = request.get("Route")
    return parse_name_addr(value[: first_value_end(value)].strip()).uri if value else None


def take_own_routes(request: Request, is_local: Callable[[Uri], bool]) -> Iterator[Uri]:
    """Take the URIs that lead to this element off the top of the Route and yield each (16.4).

    Raises ``BadRequest``, also when there are more of them than any way through here leaves behind.
    """
    for _ in range(MOST_OWN_ROUTES):
        route = next_route(request)
        if route is None or not is_local(route):
            return
        request.pop_value("Route")
        yield route
    raise BadRequest("Too many routes to one element")


def routes_beyond(request: Request, is_local: Callable[[Uri], bool]) -> tuple[str, ...]:
    """Return the Route values that follow those of this element. Raises ``BadRequest``."""
    values = request.values("Route")
    for position, value in enumerate(values):
        if not is_local(parse_name_addr(value).uri):
            return tuple(values[position:])
    return ()


def undo_strict_routing(request: Request, is_ours: Callable[[Uri], bool]) -> Uri | None:
    """Restore the Request-URI that a strict router has put last into the Route, ours being in its place.

    16.4: "If the Request-URI of the request contains a value this proxy previously placed into a Record-Route
    header field". Returns that value; None: nothing was to be done.
    """
    if not request.uri[:5].lower().startswith(("sip:", "sips:")):
        return None
    ours = request.target
    routes = request.values("Route")
    if not routes or not is_ours(ours):
        return None
    request.uri = parse_name_addr(routes.pop()).uri_text
    request.remove("Route")
    for route in reversed(routes):
        request.prepend("Route", route)
    return ours


def strip_maddr(request: Request, is_local: Callable[[Uri], bool]) -> None:
    """Take off a ``maddr`` that names this element, with the port and transport that led here (16.4)."""
    if "maddr" not in request.uri:
        return
    target = request.target
    maddr = target.params.get("maddr", "")
    if not maddr:
        return
    here = f"[{maddr}]" if ":" in maddr and not maddr.startswith("[") else maddr
    if not is_local(parse_uri(f"sip:{here}:{target.address[1]}")):
        return
    head, separator, headers = request.uri.partition("?")
    start, *params = head.split(";") if "@" not in head else _split_after_user(head)
    if target.port is not None:
        start = start[: start.rindex(":")]
    kept = [param for param in params if param.partition("=")[0].lower() not in {"maddr", "transport"}]
    request.uri = ";".join((start, *kept)) + separator + headers


def _split_after_user(uri: str) -> list[str]:
    user, _, rest = uri.rpartition("@")
    host, *params = rest.split(";")
    return [f"{user}@{host}", *params]


def lead_on(request: Request) -> str:
    """Return the URI of the next hop: the topmost Route or, without one, the Request-URI (16.6 steps 6 and 7).

    For a strict router that URI becomes the Request-URI, which is appended to the Route. Raises ``BadRequest``.
    """
    value = request.get("Route")
    if not value:
        return request.uri
    first = parse_name_addr(value[: first_value_end(value)].strip())
    if not first.uri.is_loose_router:
        request.pop_value("Route")
        request.add("Route", f"<{request.uri}>")
        request.uri = first.uri_text
    return first.uri_text
