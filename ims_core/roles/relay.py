"""Which requests go on to elements and domains that are not ours, and by which way: never to just anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from ims_core.messages.headers import parse_name_addr
from ims_core.messages.uri import Uri, parse_uri
from ims_core.proxy.forking import Target
from ims_core.proxy.routes import routes_beyond

if TYPE_CHECKING:
    from ims_core.messages.message import Request


class Relay:
    """Says where a request of one of our own users leaves this element, if it may.

    ``domains`` maps each foreign domain that they may reach to the URI of the next hop towards it, empty: wherever
    RFC 3263 finds the domain. ``elements`` are the URIs of further elements that may follow ours in a Route which a
    user preloads, as a Service-Route names them (RFC 3608). ``is_local`` tells whether a URI names this element.
    """

    def __init__(
        self, *, is_local: Callable[[Uri], bool], domains: Mapping[str, str], elements: Iterable[str] = ()
    ) -> None:
        self._is_local = is_local
        self._ways = {
            domain.lower(): (f"<{_loose(next_hop)}>",) if next_hop else () for domain, next_hop in domains.items()
        }
        self._elements = {_place(parse_uri(uri)) for uri in (*elements, *filter(None, domains.values()))}

    def target(self, request: Request) -> Target | None:
        """Return where ``request`` is relayed to; None: nowhere, it is for this element. Raises ``SipError``.

        A preloaded Route to any other place is not followed: the Request-URI counts.
        """
        beyond = routes_beyond(request, self._is_local) if "route" in request.keys else ()
        if beyond and _place(parse_name_addr(beyond[0]).uri) in self._elements:
            return Target(request.uri, route=beyond)
        way = self._ways.get(request.target.host)
        return None if way is None or self._is_local(request.target) else Target(request.uri, route=way)


def _place(uri: Uri) -> tuple[str, int | None]:
    return uri.host, uri.port


def _loose(uri: str) -> str:
    return uri if parse_uri(uri).is_loose_router else f"{uri};lr"
