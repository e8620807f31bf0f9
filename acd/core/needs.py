"""What a caller needs of an agent: skills, each with a level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Skills = tuple[tuple[str, int], ...]


class Needs(msgspec.Struct, frozen=True, gc=False):
    """What is asked of the agents that a caller may be offered to.

    `required` names skills with the lowest level that will do, `preferred` skills with the level wished for,
    `excluded` skills that the agent must not have. Callers of one queue with equal needs stand in one line, so the
    tuples are sorted: make them with `needs`.
    """

    required: Skills = ()
    preferred: Skills = ()
    excluded: tuple[str, ...] = ()

    def admits(self, skills: Mapping[str, int], drop: Iterable[str] = (), relax: int = 0) -> bool:
        """Whether an agent with these skills will do, the skills in `drop` not asked for and levels lowered by `relax`.

        A required skill must be there however far its level is lowered, until it is dropped.
        """
        return all(
            skills.get(skill, 0) >= max(1, level - relax) for skill, level in self.required if skill not in drop
        ) and not any(skill in skills for skill in self.excluded)

    def met(self, skills: Mapping[str, int]) -> int:
        """How much of what is preferred an agent offers: levels up to those wished for, added up."""
        return sum(min(skills.get(skill, 0), level) for skill, level in self.preferred)


ANYBODY = Needs()


def needs(
    required: Mapping[str, int] | None = None,
    preferred: Mapping[str, int] | None = None,
    excluded: Iterable[str] = (),
) -> Needs:
    """Return the needs in their one order."""
    return Needs(
        tuple(sorted((required or {}).items())),
        tuple(sorted((preferred or {}).items())),
        tuple(sorted(set(excluded))),
    )
