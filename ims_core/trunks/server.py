"""One server of a trunk, and whether it lives: OPTIONS pings say so (RFC 3261 section 11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from ims_core.locate.courier import Several
from ims_core.ua.alarm import Alarm
from ims_core.ua.messaging import ping

if TYPE_CHECKING:
    from ims_core.ua.messaging import Outcome
    from ims_core.ua.useragent import UserAgent

DOWN_AFTER: Final = 2
"""Pings in vain, one after the other; a single answer shows that the server is back."""

PATIENCE: Final = 4.0
"""Seconds within which an answer is expected."""

NOT_SERVING: Final = frozenset((408, 503, 504))
"""Answers that do not count as a sign of life: nobody answered (408, ours or of a proxy on the way), the server says
that it does not serve (503), or a proxy before it did not reach it (504). Whatever else a server says, 405 and 404
being usual, it is there and reads requests."""


class Server(Struct, frozen=True):
    """Where a trunk is reached; servers of the lowest ``priority`` come first, in proportion to their ``weight``."""

    uri: str
    priority: int = 0
    weight: int = 1


class Watched:
    """A server, pinged every ``seconds`` as ``user``, a name-addr; 0: never, and it counts as up.

    ``up`` is None until something is known. ``on_change`` is called when it goes up or down.
    """

    def __init__(
        self, ua: UserAgent, server: Server, user: str, seconds: float, on_change: Callable[[Watched], None]
    ) -> None:
        self.server = server
        self.up: bool | None = None
        self.reason = ""
        self.answered_in = 0.0
        self._ua = ua
        self._user = user
        self._seconds = seconds
        self._on_change = on_change
        self._patience = min(PATIENCE, seconds)
        self._asked = 0
        self._waits = False
        self._missed = 0
        self._alarm = Alarm(ua.endpoint, self._on_alarm)

    @property
    def usable(self) -> bool:
        """Whether calls may be sent there."""
        return self.up is not False

    def start(self) -> None:
        """Begin to ping."""
        if self._seconds:
            self._ask()

    def stop(self) -> None:
        """Ping no more."""
        self._asked += 1
        self._alarm.close()

    def _on_alarm(self) -> None:
        if self._waits:
            self._waits = False
            self._asked += 1
            self._alarm.set(self._seconds - self._patience)
            self._judge(alive=False, reason="no answer")
        else:
            self._ask()

    def _ask(self) -> None:
        self._asked += 1
        self._waits = True
        number = self._asked
        self._alarm.set(self._patience)
        ping(
            self._ua,
            Several((self.server.uri,)),
            self.server.uri,
            self._user,
            lambda outcome: self._answered(number, outcome),
        )

    def _answered(self, number: int, outcome: Outcome) -> None:
        if number != self._asked:
            return
        self._waits = False
        self.answered_in = outcome.seconds
        self._alarm.set(self._seconds)
        self._judge(alive=outcome.status not in NOT_SERVING, reason=f"{outcome.status} {outcome.reason}")

    def _judge(self, *, alive: bool, reason: str) -> None:
        self._missed = 0 if alive else self._missed + 1
        up = True if alive else False if self._missed >= DOWN_AFTER else self.up
        if up is not self.up:
            self.up, self.reason = up, reason
            self._on_change(self)
