"""The part of the configuration that says who talks to whom: queues, agents, opening hours, callers.

All of it can be changed while calls wait (`acd.reload`). What each key means is written in `configs/demo.toml`.
"""

from collections.abc import Mapping
from datetime import date
from typing import Literal, Self

from msgspec import Struct, field

from acd.config.values import (
    Count,
    Dialled,
    Hours,
    HttpUrl,
    Identifier,
    Level,
    Overflowing,
    Priority,
    Prompt,
    PromptOrNone,
    QueueChoice,
    Seconds,
    Secret,
    SomeCount,
    SomeSeconds,
    Text,
    Timezone,
    UserName,
    Weekdays,
    Weight,
)

ALL = "*"
Strategy = Literal[
    "longest_idle",
    "round_robin",
    "fewest_calls",
    "least_talk",
    "least_occupied",
    "random",
    "weighted_random",
    "ordered",
    "tiers",
    "best_skills",
]


class Needs(Struct, frozen=True, kw_only=True):
    """What a caller needs of an agent: skills with the least level, wished for ones, and ones not wanted."""

    required: Mapping[Identifier, Level] = field(default_factory=dict)
    preferred: Mapping[Identifier, Level] = field(default_factory=dict)
    excluded: tuple[Identifier, ...] = ()


class Ring(Struct, frozen=True, kw_only=True):
    """Who else may be offered a caller after he has waited for `after_seconds`."""

    after_seconds: SomeSeconds
    drop: tuple[Identifier, ...] = ()
    relax: Count = 0
    levels: Level | None = None


class UnderLoad(Struct, frozen=True, kw_only=True):
    """What changes from `from_waiting` callers on until fewer than `to_waiting` wait."""

    from_waiting: SomeCount
    to_waiting: Count = 0
    strategy: tuple[Strategy, ...] = ()
    ring: Count = 0


class Overflow(Struct, frozen=True, kw_only=True):
    """When callers go elsewhere, and where to; `above` is in callers or seconds."""

    when: Literal["length", "expected_wait", "waited", "no_agent", "closed"]
    above: Seconds = 0.0
    to: Overflowing


class TalkTime(Struct, frozen=True, kw_only=True):
    """How long a talk may take, and when who is reminded of its length."""

    reminder_seconds: Seconds = 0.0
    reminder: tuple[Prompt, ...] = ("tones/reminder",)
    reminder_repeat_seconds: Seconds = 0.0
    reminder_for: Literal["both", "caller", "agent"] = "both"
    longest_seconds: Seconds = 0.0
    farewell: tuple[Prompt, ...] = ()


class Queue(Struct, frozen=True, kw_only=True):
    """Callers who wait for the same agents."""

    id: str
    name: Text
    ring_seconds: SomeSeconds = 20.0
    wrap_up_seconds: Seconds = 10.0
    service_level_seconds: SomeSeconds = 15.0
    max_waiting: SomeCount = 1000
    max_wait_seconds: SomeSeconds = 1800.0
    strategy: tuple[Strategy, ...] = ("longest_idle",)
    ring_all: bool = False
    ageing_seconds: Seconds = 0.0
    weight: Weight = 1.0
    rings: tuple[Ring, ...] = ()
    under_load: UnderLoad | None = None
    overflow: tuple[Overflow, ...] = ()
    hours: Identifier | None = None
    prefer_agent_seconds: Seconds = 20.0
    prefer_last_agent_seconds: Seconds = 0.0
    welcome: tuple[Prompt, ...] = ()
    music: PromptOrNone = "music/hold"
    announce_position_seconds: Seconds = 30.0
    announce_wait: bool = True
    announce_agent: bool = True
    record: bool = True
    hide_digits: bool = False
    talk: TalkTime = TalkTime()


class Calendar(Struct, frozen=True, kw_only=True):
    """Opening hours: those of the weekday, unless the date has its own."""

    id: str
    timezone: Timezone = Timezone("UTC")
    weekly: Mapping[Weekdays, tuple[Hours, ...]]
    holidays: Mapping[date, tuple[Hours, ...]] = field(default_factory=dict)


class Membership(Struct, frozen=True, kw_only=True):
    """How an agent serves one queue."""

    level: Level = 1
    weight: Weight = 1.0


class RefuseDelays(Struct, frozen=True, kw_only=True):
    """How long there is no offer after one that came to nothing, by the cause."""

    refused: Seconds = 5.0
    busy: Seconds = 5.0
    no_answer: Seconds = 5.0
    unreachable: Seconds = 5.0
    error: Seconds = 5.0

    @classmethod
    def of(cls, seconds: float) -> Self:
        """Return the same delay for each cause."""
        return cls(**dict.fromkeys(cls.__struct_fields__, seconds))


class AgentTable(Struct, frozen=True, kw_only=True):
    """One `[agents.<user>]` table as it is written; the user may be a range."""

    queues: tuple[QueueChoice, ...] | Mapping[QueueChoice, Level | Membership]
    skills: Mapping[Identifier, Level] = field(default_factory=dict)
    name: Text | None = None
    contact: Text | None = None
    always_ready: bool = False
    wrap_up_seconds: Seconds | None = None
    refuse_delay_seconds: Seconds | RefuseDelays = 5.0
    pause_after_missed: Count = 0
    capacity: SomeCount = 1
    open_leg: bool = False


class Agent(Struct, frozen=True, kw_only=True):
    """An agent: a user who serves queues. `wrap_up_seconds` None: as the queue says."""

    id: str
    name: str
    queues: Mapping[str, Membership]
    skills: Mapping[str, int]
    contact: str | None
    always_ready: bool
    wrap_up_seconds: float | None
    refuse_delays: RefuseDelays
    pause_after_missed: int
    capacity: int
    open_leg: bool


class CallerProfile(Struct, frozen=True, kw_only=True):
    """What is known of a caller (用户画像); `agent` is his account manager."""

    vip: bool = False
    segment: Identifier | None = None
    language: Identifier | None = None
    age_group: Identifier | None = None
    agent: UserName | None = None


class CallerIs(Struct, frozen=True, kw_only=True):
    """The condition of a rule: every key given must be so."""

    vip: bool | None = None
    segment: Identifier | None = None
    language: Identifier | None = None
    age_group: Identifier | None = None


class CallerRule(Struct, frozen=True, kw_only=True):
    """What follows from a profile; all rules that fit add up, the last queue counts."""

    when: CallerIs
    queue: Identifier | None = None
    priority: Priority = 0
    needs: Needs = Needs()


class Callers(Struct, frozen=True, kw_only=True):
    """Where callers' profiles come from, and what they do."""

    known: Mapping[Dialled, CallerProfile] = field(default_factory=dict)
    file: Text | None = None
    url: HttpUrl | None = None
    token: Secret | None = None
    timeout_seconds: SomeSeconds = 0.5
    cache_seconds: Seconds = 60.0
    rules: tuple[CallerRule, ...] = ()
