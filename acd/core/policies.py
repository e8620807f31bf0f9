"""Which agent first: small named policies, of which a queue's strategy compares several in its order.

A policy gives an agent who becomes available a number, smaller being better. The number stands until he is offered a
call or becomes unavailable, so that available agents can stand in a line and the best one is the first.
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from acd.core.agents import Agent
    from acd.core.needs import Needs
    from acd.core.profiles import Membership

    Policy = Callable[[Agent, Membership, Needs], float]
    Random = Callable[[], float]

Score = tuple[float, ...]
Key = Score | float  # what lines are sorted by: the number alone where one policy decides, which is found faster

_PREFIXES = 1024


def longest_idle(agent: Agent, _member: Membership, _needs: Needs) -> float:
    """Who has been without work longest."""
    return agent.idle_since


def round_robin(agent: Agent, _member: Membership, _needs: Needs) -> float:
    """Whose last offer is longest ago."""
    return agent.turn


def fewest_calls(agent: Agent, _member: Membership, _needs: Needs) -> float:
    """Who has taken the fewest calls."""
    return agent.calls_taken


def least_talk(agent: Agent, _member: Membership, _needs: Needs) -> float:
    """Who has talked the least, hold included."""
    return agent.talked_seconds


def least_occupied(agent: Agent, _member: Membership, _needs: Needs) -> float:
    """Whose time in service went into talks and wrap-up to the smallest part, as of when he became available."""
    return agent.occupancy


def ordered(agent: Agent, _member: Membership, _needs: Needs) -> float:
    """As the configuration lists them."""
    return agent.seq


def tiers(_agent: Agent, member: Membership, _needs: Needs) -> float:
    """The first level before the second, and so on."""
    return member.level


def best_skills(agent: Agent, _member: Membership, needs: Needs) -> float:
    """Who offers most of the skills that the caller prefers."""
    return -needs.met(agent.profile.skills)


def _even(_member: Membership) -> float:
    return 1.0


def _weighted(member: Membership) -> float:
    return member.weight


FIXED: Final[dict[str, Policy]] = {
    policy.__name__: policy
    for policy in (
        longest_idle,
        round_robin,
        fewest_calls,
        least_talk,
        least_occupied,
        ordered,
        tiers,
        best_skills,
    )
}
BY_CHANCE: Final[dict[str, Callable[[Membership], float]]] = {"random": _even, "weighted_random": _weighted}
POLICIES: Final = frozenset(FIXED) | frozenset(BY_CHANCE)


class Strategy:
    """The policies of one class of callers, compared in their order.

    `random` and `weighted_random` run a race: each agent arrives at a time drawn from the exponential distribution
    with his weight as rate, and the first one is picked. The distribution has no memory: to those still racing when
    somebody was picked it is as if they had just started. So newcomers start at the time of the last pick, no draw
    is ever repeated, and each pick is among all who are there, in proportion to their weights.
    """

    __slots__ = ("_alone", "_by_idleness", "_fixed", "_picked", "_random", "_rate", "by_chance")

    def __init__(self, names: Sequence[str], random: Random) -> None:
        chance = [name for name in names if name in BY_CHANCE]
        before = names[: names.index(chance[0])] if chance else names
        self._fixed = tuple(FIXED[name] for name in before)
        self._alone = self._fixed[0] if len(self._fixed) == 1 and not chance else None
        self._by_idleness = self._alone is longest_idle
        self._rate = BY_CHANCE[chance[0]] if chance else None  # what follows could only decide a tie, and there is none
        self.by_chance = bool(chance)
        self._random = random
        self._picked: dict[Score, float] = {}

    def key(self, agent: Agent, member: Membership, needs: Needs) -> Key:
        """What is compared; smaller is better."""
        if self._by_idleness:  # as most do: without a call
            return agent.idle_since
        if self._alone is not None:
            return self._alone(agent, member, needs)
        score = tuple([policy(agent, member, needs) for policy in self._fixed])
        if self._rate is None:
            return score
        start = self._picked.get(score, 0.0)
        return (*score, start - log(1.0 - self._random()) / self._rate(member))

    def picked(self, key: Key) -> None:
        """Note who was chosen, where chance plays a part; those who arrive later race from there on."""
        assert isinstance(key, tuple)
        if len(self._picked) >= _PREFIXES:
            del self._picked[next(iter(self._picked))]
        self._picked[key[:-1]] = key[-1]


def score_of(key: Key) -> Score:
    """Return what was compared, policy by policy."""
    return key if isinstance(key, tuple) else (key,)
