"""Who hears whom in the usual conversations of more than two: each function returns the whole matrix for `connect`.

A pair (speaker, hearer) stands for a gain of amplitude; who is not in the matrix is not heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from media.api import MediaLeg

Leg = TypeVar("Leg")
Gains = Mapping[tuple["MediaLeg", "MediaLeg"], float]


def together(*legs: Leg) -> dict[tuple[Leg, Leg], float]:
    """Everybody hears everybody else: two are a call, three a three-way conference or a supervisor who barges in."""
    return dict.fromkeys(permutations(legs, 2), 1.0)


def listen(caller: Leg, agent: Leg, supervisor: Leg) -> dict[tuple[Leg, Leg], float]:
    """The supervisor hears both, who do not hear him."""
    return together(caller, agent) | dict.fromkeys([(caller, supervisor), (agent, supervisor)], 1.0)


def whisper(caller: Leg, agent: Leg, supervisor: Leg) -> dict[tuple[Leg, Leg], float]:
    """The supervisor hears both; only the agent hears him."""
    return listen(caller, agent, supervisor) | {(supervisor, agent): 1.0}


def consult(agent: Leg, consulted: Leg, caller: Leg) -> dict[tuple[Leg, Leg], float]:
    """The agent talks to whom he consults; the caller hears neither, and may be played music."""
    return together(agent, consulted) | dict.fromkeys([(agent, caller), (caller, agent)], 0.0)
