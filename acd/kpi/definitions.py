"""Each key figure, defined once: its name is that of the function, its formula the docstring.

A KPI is None where its denominator is zero. A service level has a threshold T besides: the usual variants differ in
what they make of callers who hang up within T, so each has a name of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Generic, Literal, NamedTuple, TypeVar

from acd.core.agents import AgentState

if TYPE_CHECKING:
    from acd.kpi.tally import Calls, Work

Unit = Literal["share", "seconds", "calls an hour"]
T = TypeVar("T")


class Figures(NamedTuple):
    """What was counted of a queue, a number, an agent, or all.

    `calls` is empty for an agent. `seconds`, by agent state, are those of all agents concerned; none for a number.
    `short` of those who abandoned did so after a wait too short to count.
    """

    calls: Calls
    work: Work
    seconds: Mapping[str, float] = {}
    short: int = 0

    @property
    def at_work_seconds(self) -> float:
        """Talk, hold and wrap-up of the agents; a consultation is part of a talk."""
        return sum(self.seconds.get(state, 0.0) for state in _AT_WORK)


_AT_WORK = (AgentState.TALKING, AgentState.HOLD, AgentState.CONSULTING, AgentState.WRAP_UP)


class Within(NamedTuple):
    """Of all `calls`, those `answered` and those `abandoned` after a wait of at most T."""

    calls: Calls
    answered: int
    abandoned: int


class Kpi(NamedTuple, Generic[T]):
    """A key figure: what it is called, what it is measured in, its formula, and how to compute it."""

    name: str
    title: str
    chinese: str
    unit: Unit
    formula: str
    compute: Callable[[T], float | None]


KPIS: Final[dict[str, Kpi[Figures]]] = {}
SERVICE_LEVELS: Final[dict[str, Kpi[Within]]] = {}

Function = Callable[[T], float | None]


def _define(
    kpis: dict[str, Kpi[T]], title: str, chinese: str = "", unit: Unit = "share"
) -> Callable[[Function[T]], Function[T]]:
    def define(function: Function[T]) -> Function[T]:
        name, formula = function.__name__, " ".join((function.__doc__ or "").split())
        kpis[name] = Kpi(name, title, chinese, unit, formula, function)
        return function

    return define


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


# Callers


@_define(KPIS, "Answer rate", "接通率")
def answer_rate(of: Figures) -> float | None:
    """Answered / offered."""
    return _ratio(of.calls.answered, of.calls.offered)


@_define(KPIS, "Abandonment rate", "放弃率")
def abandonment_rate(of: Figures) -> float | None:
    """Abandoned / offered."""
    return _ratio(of.calls.abandoned, of.calls.offered)


@_define(KPIS, "Abandonment rate without short waits")
def abandonment_rate_without_short(of: Figures) -> float | None:
    """(Abandoned - abandoned after a short wait) / (offered - abandoned after a short wait)."""
    return _ratio(of.calls.abandoned - of.short, of.calls.offered - of.short)


@_define(KPIS, "Overflow rate", "溢出率")
def overflow_rate(of: Figures) -> float | None:
    """Sent from the queue to elsewhere / offered; who was promised a call back is not among the former."""
    return _ratio(of.calls.overflowed, of.calls.offered)


@_define(KPIS, "Turned away")
def turned_away_rate(of: Figures) -> float | None:
    """Led to a queue and given no place in it / (offered + given no place)."""
    return _ratio(of.calls.turned_away, of.calls.offered + of.calls.turned_away)


@_define(KPIS, "Average speed of answer", "平均应答时长", "seconds")
def average_speed_of_answer_seconds(of: Figures) -> float | None:
    """Waits of the answered, from their place in the queue to the answer / answered (ASA)."""
    return _ratio(of.calls.answer_seconds, of.calls.answered)


@_define(KPIS, "Average wait", "平均等待时长", "seconds")
def average_wait_seconds(of: Figures) -> float | None:
    """Waits that are over, whatever their end / callers whose wait is over."""
    calls = of.calls
    return _ratio(calls.answer_seconds + calls.abandon_seconds + calls.other_seconds, calls.ended)


@_define(KPIS, "Longest wait", "最长等待时长", "seconds")
def longest_wait_seconds(of: Figures) -> float | None:
    """The longest of the waits that are over, whatever their end."""
    return of.calls.longest_wait if of.calls.ended else None


@_define(KPIS, "Average time to abandon", "平均放弃时长", "seconds")
def average_time_to_abandon_seconds(of: Figures) -> float | None:
    """Waits of those who abandoned / abandoned."""
    return _ratio(of.calls.abandon_seconds, of.calls.abandoned)


@_define(KPIS, "Call-backs kept", "回呼兑现率")
def callbacks_kept_rate(of: Figures) -> float | None:
    """Promises to call back that were kept / those kept or dropped."""
    return _ratio(of.calls.callbacks_kept, of.calls.callbacks_kept + of.calls.callbacks_dropped)


# What agents do with callers


@_define(KPIS, "Average handling time", "平均处理时长", "seconds")
def average_handling_seconds(of: Figures) -> float | None:
    """(Talk + hold + wrap-up) / talks that are over (AHT)."""
    work = of.work
    return _ratio(work.talk_seconds + work.hold_seconds + work.wrap_up_seconds, work.handled)


@_define(KPIS, "Average talk time", "平均通话时长", "seconds")
def average_talk_seconds(of: Figures) -> float | None:
    """Talk, without hold / talks that are over (ATT)."""
    return _ratio(of.work.talk_seconds, of.work.handled)


@_define(KPIS, "Average hold time", "平均保持时长", "seconds")
def average_hold_seconds(of: Figures) -> float | None:
    """Hold / talks that are over, with or without hold."""
    return _ratio(of.work.hold_seconds, of.work.handled)


@_define(KPIS, "Average wrap-up time", "平均话后处理时长", "seconds")
def average_wrap_up_seconds(of: Figures) -> float | None:
    """Wrap-up / talks that are over, with or without wrap-up (ACW)."""
    return _ratio(of.work.wrap_up_seconds, of.work.handled)


@_define(KPIS, "Refusal rate", "拒接率")
def refusal_rate(of: Figures) -> float | None:
    """Offers that an agent's phone refused or was busy for / offers made."""
    return _ratio(of.work.refused, of.work.offers)


@_define(KPIS, "No-answer rate", "振铃未接率")
def no_answer_rate(of: Figures) -> float | None:
    """Offers that rang out / offers made."""
    return _ratio(of.work.unanswered, of.work.offers)


# How agents spend their time


@_define(KPIS, "Occupancy", "占用率")
def occupancy(of: Figures) -> float | None:
    """(Talk + hold + wrap-up) / (talk + hold + wrap-up + ready). A queue's is that of the agents who serve it."""
    return _ratio(of.at_work_seconds, of.at_work_seconds + of.seconds.get(AgentState.READY, 0.0))


@_define(KPIS, "Utilisation", "工时利用率")
def utilisation(of: Figures) -> float | None:
    """(Talk + hold + wrap-up) / time logged in. A queue's is that of the agents who serve it."""
    return _ratio(of.at_work_seconds, sum(of.seconds.values()))


@_define(KPIS, "Calls per agent hour", "每小时接话量", "calls an hour")
def calls_per_agent_hour(of: Figures) -> float | None:
    """Answered / hours that the agents were logged in. A queue's counts the time of the agents who serve it."""
    return _ratio(of.work.answered * 3600.0, sum(of.seconds.values()))


# Service level


@_define(SERVICE_LEVELS, "Service level", "服务水平")
def of_offered(within: Within) -> float | None:
    """Answered within T / offered."""
    return _ratio(within.answered, within.calls.offered)


@_define(SERVICE_LEVELS, "Service level, short abandons left out")
def of_offered_without_short(within: Within) -> float | None:
    """Answered within T / (offered - abandoned within T)."""
    return _ratio(within.answered, within.calls.offered - within.abandoned)


@_define(SERVICE_LEVELS, "Service level, short abandons taken as served")
def of_decided(within: Within) -> float | None:
    """(Answered within T + abandoned within T) / (answered + abandoned)."""
    return _ratio(within.answered + within.abandoned, within.calls.answered + within.calls.abandoned)


@_define(SERVICE_LEVELS, "Service level of the answered")
def of_answered(within: Within) -> float | None:
    """Answered within T / answered."""
    return _ratio(within.answered, within.calls.answered)
