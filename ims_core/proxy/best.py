"""Which of several final responses goes back (RFC 3261 section 16.7 steps 6 and 7)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ims_core.messages.message import Response

CHALLENGES: Final = frozenset((401, 407))
_HELPS_A_RETRY = {401: 0, 407: 0, 415: 1, 420: 1, 484: 1}


def rank(status: int, *, is_invite: bool) -> tuple[int, int]:
    """Order final responses, best first: 6xx, then the lowest class, within 4xx what helps the sender to try again.

    Silence (408) comes last of its class, and to anything but an INVITE last of all, as it must not be told
    (RFC 4320 section 4.2). So does 503, which says nothing of this proxy, within 5xx.
    """
    if status >= 600:
        return 0, status
    if status == 408:
        return (4, 3) if is_invite else (9, 0)
    return status // 100, _HELPS_A_RETRY.get(status, 2 if status != 503 else 3)


def with_all_challenges(best: Response, challenges: Iterable[Response]) -> Response:
    """Let the sender answer every branch that asks for credentials."""
    best = best.copy()
    for other in challenges:
        for name in ("WWW-Authenticate", "Proxy-Authenticate"):
            for value in other.whole_values(name):
                best.add(name, value)
    return best
