"""Which header lines messages have, in which order: peers send the same ones again and again.

Known layouts form a tree, a step for each line. A step remembers which one came after it last, so that most lines are
but compared with what is expected of them.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from ims_core.messages.headers import TOKEN
from ims_core.messages.names import canonical

# in every request (8.1.1); Max-Forwards may be missing (16.3)
MANDATORY: Final = ("via", "from", "to", "call-id", "cseq")
ONCE_ONLY: Final = (*MANDATORY[1:], "max-forwards", "content-length", "content-type")
STEPS_REMEMBERED: Final = 4096
REMEMBERED_LINES: Final = 32
REMEMBERED_LENGTH: Final = 64  # of a name
_COPIED: Final = frozenset(MANDATORY)


def copied_by_response(keys: list[str], status: int = 0) -> list[int]:
    """Return the positions of the lines that a response copies from its request (8.2.6.1, 8.2.6.2)."""
    return [position for position, key in enumerate(keys) if key in _COPIED or (status == 100 and key == "timestamp")]


@mypyc_attr(acyclic=True)
class Layout:
    """The canonical names of header lines in their order, and the position at which each name is first.

    ``missing`` and ``several`` say what is wrong with that, empty where nothing is; ``copied`` are the positions of the
    lines that go into a response (8.2.6.2). ``starts`` is where the value of each line starts, where none of them is
    continued in a further line (7.3.1); else it is empty.
    """

    __slots__ = ("copied", "keys", "missing", "places", "several", "starts")

    def __init__(self, keys: list[str], starts: list[int]) -> None:
        self.keys = keys
        self.starts = starts
        self.copied = copied_by_response(keys)
        self.places: dict[str, int] = {}
        for position, key in enumerate(keys):
            self.places.setdefault(key, position)
        self.missing = ""
        for name in MANDATORY:
            if name not in self.places:
                self.missing = f"Missing {name.title()} header"
                break
        self.several = ""
        for name in ONCE_ONLY:
            if keys.count(name) > 1:
                self.several = f"Several {name.title()} headers"
                break


@mypyc_attr(acyclic=True)
class _Step:
    """One line, behind those before it; ``start`` is how it begins."""

    __slots__ = ("expected", "following", "keys", "layout", "start", "starts")

    def __init__(self, start: str, keys: list[str], starts: list[int]) -> None:
        self.start = start
        self.keys = keys
        self.starts = starts
        self.expected: _Step | None = None
        self.following: dict[str, _Step] = {}
        self.layout: Layout | None = None


class Layouts:
    """The layouts of messages, those of at most ``limit`` steps remembered; all are forgotten when it takes more."""

    def __init__(self, limit: int = STEPS_REMEMBERED) -> None:
        self._limit = limit
        self._first = _Step("", [], [])
        self._steps = 0

    def __len__(self) -> int:
        return self._steps

    def of(self, lines: list[str]) -> Layout | None:
        """Return the layout of header lines; None where one does not begin with ``Name:``, or they are very many."""
        step = self._first
        for line in lines:
            following = step.expected
            if following is None or not line.startswith(following.start):
                following = self._turn(step, line)
                if following is None:
                    return None
            step = following
        layout = step.layout
        if layout is None:
            layout = step.layout = Layout(step.keys, step.starts)
        return layout

    def _turn(self, step: _Step, line: str) -> _Step | None:
        """Return the step for a line that was not expected; it is from now on."""
        name = line[: line.find(":") + 1]
        following = step.following.get(name)
        if following is None:
            token = name[:-1]
            if not token or len(token) > REMEMBERED_LENGTH or not TOKEN.issuperset(token):
                return None
            if len(step.keys) >= REMEMBERED_LINES:
                return None
            if self._steps >= self._limit:
                self._first = _Step("", [], [])
                self._steps = 0
            following = step.following[name] = _Step(name, [*step.keys, canonical(token)], [*step.starts, len(name)])
            self._steps += 1
        step.expected = following
        return following
