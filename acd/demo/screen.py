"""What the demonstration shows: a live picture of the floor on a terminal with ``rich``, else lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from acd.core.agents import AgentState

if TYPE_CHECKING:
    from acd.demo.server import FloorNow
    from acd.http import AgentView

LINE_EVERY_SECONDS = 5.0
WIDTH = 78
_STATE_COLOURS = {
    AgentState.READY: "green",
    AgentState.TALKING: "cyan",
    AgentState.WRAP_UP: "yellow",
}


class Screen(Protocol):
    """Where the demonstration shows what happens."""

    def say(self, text: str) -> None:
        """Show that something happened now."""

    def floor(self, floor: FloorNow) -> None:
        """Show the floor as it is now."""

    def write(self, text: str) -> None:
        """Show a text as it is."""

    def close(self) -> None:
        """Show nothing live any more."""


class Lines:
    """Lines for a file, a pipe or a simple terminal; the floor comes every few seconds. ``clock`` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._last = -LINE_EVERY_SECONDS

    def say(self, text: str) -> None:
        """Print the text behind the time since the start."""
        self.write(f"{self._clock() - self._start:6.1f} s  {text}")

    def floor(self, floor: FloorNow) -> None:
        """Print one line, unless the last one is fresh."""
        now = self._clock() - self._start
        if now - self._last >= LINE_EVERY_SECONDS:
            self._last = now
            self.say(f"  floor: {summary(floor)}")

    def write(self, text: str) -> None:
        """Print a text."""
        print(text, flush=True)

    def close(self) -> None:
        """Nothing to do."""


class Live:
    """A picture of the floor that stays at the bottom of the terminal, what happens scrolling by above it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._console: Any = import_module("rich.console").Console(highlight=False)
        self._live: Any = import_module("rich.live").Live(console=self._console, refresh_per_second=4, transient=True)
        self._table: Any = import_module("rich.table").Table
        self._group: Any = import_module("rich.console").Group
        self._text: Any = import_module("rich.text").Text
        self._live.start()

    def say(self, text: str) -> None:
        """Print the text behind the time since the start."""
        line = self._text(f"{self._clock() - self._start:6.1f} s  ", style="bright_black")
        self._console.print(line.append(text, style="default"))

    def floor(self, floor: FloorNow) -> None:
        """Draw the floor anew."""
        parts = (self._queues(floor), self._agents(floor), self._calls(floor))
        self._live.update(self._group(*(piece for part in parts for piece in ("", part))))

    def write(self, text: str) -> None:
        """Print a text, however long its lines are."""
        self._console.print(self._text(text), soft_wrap=True)

    def close(self) -> None:
        """Take the picture away."""
        self._live.stop()

    def _queues(self, floor: FloorNow) -> object:
        table = self._columns("queue", "waiting", "longest", "offered", "answered", "service level")
        for queue in floor.queues:
            waiting = self._text(str(queue.waiting), style="bold yellow" if queue.waiting else "")
            longest = f"{queue.longest_wait_seconds:.0f} s" if queue.waiting else ""
            level = percent(queue.service_level)
            table.add_row(queue.name, waiting, longest, str(queue.offered), str(queue.answered), level)
        return table

    def _agents(self, floor: FloorNow) -> object:
        table = self._columns("agent", "state", "for", "with", "calls taken")
        callers = {call.id: call.caller for call in floor.calls}
        for agent in _present(floor):
            state = self._text(agent.state.replace("_", " "), style=_STATE_COLOURS.get(agent.state, "magenta"))
            lasting = f"{agent.state_seconds:.0f} s"
            table.add_row(agent.name, state, lasting, callers.get(agent.call_id or "", ""), str(agent.calls_taken))
        return table

    def _calls(self, floor: FloorNow) -> object:
        table = self._columns("call", "dialled", "stage", "queue", "position", "agent")
        for call in floor.calls:
            position = str(call.position or "") if call.stage == "waiting" else ""
            table.add_row(call.caller, call.dialled, call.stage, call.queue or "", position, call.agent or "")
        return table

    def _columns(self, *names: str) -> Any:
        table = self._table(box=None, pad_edge=False, width=WIDTH, header_style="bold blue")
        for name in names:
            table.add_column(name, no_wrap=True, ratio=1, min_width=len(name))
        return table


def open_screen(*, plain: bool) -> Screen:
    """Return the best screen there is."""
    if not plain and sys.stdout.isatty() and find_spec("rich") is not None:
        return Live()
    return Lines()


def summary(floor: FloorNow) -> str:
    """Tell the floor in one line."""
    waiting = sum(queue.waiting for queue in floor.queues)
    agents = [f"{agent.name} {agent.state.replace('_', ' ')}" for agent in _present(floor)]
    levels = [f"{queue.name} {percent(queue.service_level)}" for queue in floor.queues if queue.offered]
    return f"{waiting} waiting; {', '.join(agents) or 'nobody'}; service level {', '.join(levels) or '-'}"


def _present(floor: FloorNow) -> list[AgentView]:
    return [agent for agent in floor.agents if agent.state is not AgentState.LOGGED_OUT]


def percent(share: float | None) -> str:
    """Return a share as per cent."""
    return "-" if share is None else f"{share:.0%}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows of cells in columns, the first row being the names of the columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)
