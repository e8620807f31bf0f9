"""How long the set-up of a call takes, stage by stage, as one element sees it.

From the INVITE that came or left to the first provisional response beyond 100, to the first 180 and to the 2xx
(compare the session request delay of RFC 6076 section 4.3, which ends where the first of them comes).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from ims_core.structs import Record

Stage = Literal["progress", "ringing", "answered"]
Role = Literal["callee", "caller", "proxy"]
STAGES: Final[tuple[Stage, ...]] = ("progress", "ringing", "answered")
ROLES: Final[tuple[Role, ...]] = ("callee", "caller", "proxy")


class SetUp(Record):
    """The set-up of one call. ``role`` is what this element is in it; ``began`` is by the element's clock.

    Each stage is in seconds since then, None until it is reached; ``tell`` is called once for each.
    """

    role: Role
    call_id: str
    began: float
    tell: Callable[[SetUp, Stage, float], None]
    progress: float | None = None
    ringing: float | None = None
    answered: float | None = None

    def take(self, status: int, now: float) -> None:
        """Take note of a response that was sent or came."""
        seconds = now - self.began
        if status >= 200:
            if status < 300 and self.answered is None:
                self.answered = seconds
                self.tell(self, "answered", seconds)
        elif status > 100:
            if self.progress is None:
                self.progress = seconds
                self.tell(self, "progress", seconds)
            if status == 180 and self.ringing is None:
                self.ringing = seconds
                self.tell(self, "ringing", seconds)


Measure = Callable[[SetUp, Stage, float], None]
"""Takes the seconds to a stage that was reached."""
