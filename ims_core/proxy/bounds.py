"""What keeps a request from going on for ever: hops, loops and breadth (RFC 3261 section 16.3, RFC 5393)."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from ims_core.errors import BadRequest, LoopDetected, TooManyHops
from ims_core.messages.extensions import check_required

if TYPE_CHECKING:
    from ims_core.messages.message import Request

MAX_FORWARDS: Final = 70
MAX_BREADTH: Final = 60


def hops_left(request: Request) -> int:
    """Return the new Max-Forwards of a request that may go on (16.3 step 3). Raises ``SipError``."""
    value = request.get("Max-Forwards")
    if value is None:
        return MAX_FORWARDS
    hops = value.lstrip("0") or value[-1:]  # RFC 4475 section 3.1.1.1: zeros may lead
    if not (hops.isascii() and hops.isdigit() and len(hops) <= 3):
        raise BadRequest("Malformed Max-Forwards")
    if hops == "0":
        raise TooManyHops
    return min(int(hops), 255) - 1


def check_proxy_required(request: Request, understood: Container[str] = ()) -> None:
    """Refuse what demands an extension of proxies that is not ``understood`` (16.3 step 5). Raises ``BadExtension``."""
    if "proxy-require" in request.keys:
        check_required(request, understood, name="Proxy-Require")


def breadth_of(request: Request) -> int:
    """Return how many branches the request may have at a time (RFC 5393 section 5.3.3). Raises ``BadRequest``.

    Whoever asks for more than our maximum gets that: "the proxy MUST overwrite it".
    """
    value = request.get("Max-Breadth")
    if value is None:
        return MAX_BREADTH
    if not (value.isascii() and value.isdigit() and len(value) <= 10):
        raise BadRequest("Malformed Max-Breadth")
    return min(int(value), MAX_BREADTH)


def divide(breadth: int, branches: int) -> Iterator[int]:
    """Share ``breadth`` out among so many branches, as evenly as can be."""
    share, rest = divmod(breadth, branches)
    return (share + (number < rest) for number in range(branches))


class Loops:
    """Knows a request that has been here before, and would take the same way again, by its Via (RFC 5393 section 4.2).

    The mark, which becomes the second part of the branch, varies with all that decides where a request goes: its
    Request-URI and the Route that is followed. So a spiral, which comes back for another target, passes. As the
    mark is made with ``secret``, no other element can have written it.
    """

    def __init__(self, secret: bytes) -> None:
        self._mac = blake2b(digest_size=6, key=secret)

    def mark(self, request: Request, route: Iterable[str] = ()) -> str:
        """Return the mark of ``request``, which goes on along ``route``. Raises ``LoopDetected``."""
        mac = self._mac.copy()
        mac.update("\n".join((request.uri, *route)).encode("utf-8", "surrogateescape"))
        mark = f".{mac.hexdigest()}"
        for key, line in zip(request.keys, request.lines, strict=True):
            if key == "via" and mark in line:
                raise LoopDetected
        return mark
