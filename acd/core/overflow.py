"""When a caller does not wait in a queue any longer, and where he goes: rules, the first that fits counts.

Rules are looked at when the caller comes to the queue and again whenever something they speak of can have changed:
an agent logging in or out, the queue opening or closing, and the instant that `next_look` names. How many wait and
how long it will take are looked at on arrival only: who was let in keeps his place while others come after him.

A caller never returns to a queue that he left by a rule, so rules that send callers round in circles come to an end.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Container, Iterable


class When(StrEnum):
    """The condition of a rule; `above` is a number of callers for LENGTH, seconds for the two that follow."""

    LENGTH = "length"  # more than `above` callers would wait, he among them
    EXPECTED_WAIT = "expected_wait"  # he is expected to wait longer than `above`
    WAITED = "waited"  # he has waited `above` in this queue
    NO_AGENT = "no_agent"  # none of the queue's agents is logged in
    CLOSED = "closed"  # outside the queue's hours


class Target(StrEnum):
    """What becomes of the caller."""

    QUEUE = "queue"  # waits in another queue, his place kept by original arrival
    ANNOUNCEMENT = "announcement"
    EXTERNAL = "external"
    CALLBACK = "callback"
    VOICEMAIL = "voicemail"
    RELEASE = "release"


class OverflowRule(msgspec.Struct, frozen=True):
    """Send callers to `to` `when` it is so; `where` is the queue, the prompt or the address meant.

    Raises ValueError for a queue without a name and for a negative `above`.
    """

    when: When
    to: Target
    where: str = ""
    above: float = 0.0

    def __post_init__(self) -> None:
        if self.to is Target.QUEUE and not self.where:
            raise ValueError("an overflow to a queue must say to which")
        if not self.above >= 0:
            raise ValueError(f"above must be at least 0, not {self.above}")


class Plight(msgspec.Struct, frozen=True, gc=False):
    """What a caller faces in a queue at `now`, having come to it at `since`.

    On arrival `length` counts those who wait, himself included, and `expected_wait` is in seconds; both are 0 for a
    caller whom an agent can be offered to at once, and None where they are not looked at or not known.
    """

    now: float
    since: float
    has_agent: bool = True
    is_open: bool = True
    length: int | None = None
    expected_wait: float | None = None


def decide(rules: Iterable[OverflowRule], plight: Plight, left: Container[str] = ()) -> OverflowRule | None:
    """Return the first rule that fits, or None: he waits. `left` are the queues he was in, the present one too."""
    for rule in rules:
        if _holds(rule, plight) and not (rule.to is Target.QUEUE and rule.where in left):
            return rule
    return None


def next_look(rules: Iterable[OverflowRule], plight: Plight, left: Container[str] = ()) -> float | None:
    """Return when `decide` is to be asked anew if nothing happens until then; None: never."""
    instants = [
        plight.since + rule.above
        for rule in rules
        if rule.when is When.WAITED and not (rule.to is Target.QUEUE and rule.where in left)
    ]
    return min((instant for instant in instants if instant > plight.now), default=None)


def _holds(rule: OverflowRule, plight: Plight) -> bool:
    match rule.when:
        case When.LENGTH:
            return plight.length is not None and plight.length > rule.above
        case When.EXPECTED_WAIT:
            return plight.expected_wait is not None and plight.expected_wait > rule.above
        case When.WAITED:
            return plight.since + rule.above <= plight.now
        case When.NO_AGENT:
            return not plight.has_agent
        case When.CLOSED:
            return not plight.is_open
