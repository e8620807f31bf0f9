"""Who phones whom, when, and what must come of it: the demonstration as data."""

from __future__ import annotations

from typing import Literal, NamedTuple

from acd.cdr import Cdr, EndedBy, Outcome

# The menu of the demo waits for a key twice as often and longer than an onlooker has patience for.
SETTINGS = ("flows.hotline.repeats=0", "flows.hotline.timeout_seconds=2")

SHOW_SECONDS = 55.0
"""The show must be over so long after its phones are ready."""
LOG_IN = "*11"
RING_SECONDS = 1.2
"""How long an agent lets the phone ring."""
THINK_SECONDS = 2.5
"""How long a caller listens to the greeting before pressing a key."""


class Caller(NamedTuple):
    """A caller: dials ``dials`` ``at`` seconds into the show, presses ``key``; ``hangs_up`` ends the talk."""

    user: str
    at: float
    dials: str
    key: str
    talks: float
    hangs_up: Literal[EndedBy.CALLER, EndedBy.AGENT]
    hertz: int


class Agent(NamedTuple):
    """An agent whose phone registers by ``transport`` where the phone can."""

    user: str
    transport: Literal["udp", "tcp"]
    hertz: int


AGENTS = (Agent("1001", "udp", 620), Agent("1002", "tcp", 700))
CALLERS = (
    Caller("caller1", 0.0, "10000", "1", 10.0, EndedBy.CALLER, 440),
    Caller("caller2", 1.5, "10000", "2", 9.0, EndedBy.AGENT, 470),
    Caller("caller3", 3.0, "10001", "", 10.0, EndedBy.CALLER, 500),
    Caller("caller4", 4.5, "10000", "0", 8.0, EndedBy.AGENT, 530),
    Caller("caller5", 6.0, "10000", "", 7.0, EndedBy.CALLER, 560),
)


def plan(caller: Caller) -> str:
    """Say what a caller does, as in "dials 10000 and presses 1"."""
    if caller.key:
        return f"dials {caller.dials} and will press {caller.key}"
    return f"dials {caller.dials}" + (" and will press nothing" if caller.dials == "10000" else "")


def fault(caller: Caller, cdr: Cdr | None) -> str:
    """Say what is wrong with the record of a caller's call; empty when all is well."""
    if cdr is None:
        return "has no record"
    if cdr.outcome is not Outcome.ANSWERED or cdr.connected is None:
        return f"was not answered by an agent: {cdr.outcome}{f' ({cdr.reason})' if cdr.reason else ''}"
    for side, quality in (("caller", cdr.quality_caller), ("agent", cdr.quality_agent)):
        if quality is None or quality.packets == 0:
            return f"has no audio from the {side}"
        if quality.mos is None:
            return f"has no voice quality from the {side}: {quality.basis}"
    if cdr.ended_by is not caller.hangs_up:
        return f"was ended by the {cdr.ended_by}, not by the {caller.hangs_up}"
    if cdr.recording is None:
        return "was not recorded"
    return ""
