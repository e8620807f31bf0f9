"""Rounds: every leg in its turn, in steps, whatever becomes of single ones."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from media.worker.rounds import Rounds, Tally
from media.worker.session import TOTALS


class Leg:
    """A session that counts one packet between two looks."""

    closed = False
    room = None
    player = SimpleNamespace(playing=True)

    def __init__(self, *, broken: bool = False) -> None:
        self.looks = 0
        self._broken = broken

    def look(self, _: float) -> None:
        self.looks += 1
        if self._broken:
            raise RuntimeError("broken")

    def seek_peer(self) -> None:
        pass

    def check_timeout(self, _: float) -> bool:
        return self._broken

    def count(self) -> tuple[int, ...]:
        return (1,) + (0,) * (len(TOTALS) - 1)


class Steps:
    """What the rounds want to be called back for."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], Any]] = []
        self.done = 0

    def call_later(self, _: float, callback: Callable[..., Any], *arguments: Any) -> None:
        self.waiting.append(lambda: callback(*arguments))

    def run(self) -> int:
        steps = 0
        while self.waiting:
            steps += 1
            self.waiting.pop()()
        return steps

    def end(self) -> None:
        self.done += 1


def rounds_of(legs: dict[int, Any], steps: Steps) -> Rounds:
    return Rounds(legs, steps.call_later, lambda: 0.0)


def test_all_are_seen_once_in_steps_that_are_short() -> None:
    legs, steps = {number: Leg() for number in range(1, 1002)}, Steps()
    rounds = rounds_of(legs, steps)
    rounds.begin(0, steps.end)
    assert sum(leg.looks for leg in legs.values()) == 3
    assert steps.done == 0
    assert 300 < steps.run() <= 400
    assert {leg.looks for leg in legs.values()} == {1}
    assert (steps.done, rounds.tally, rounds.totals[0]) == (1, Tally(1001, 1001, 0), 1001)


def test_a_round_that_is_under_way_is_not_begun_anew() -> None:
    legs, steps = {number: Leg() for number in range(1, 10)}, Steps()
    rounds = rounds_of(legs, steps)
    rounds.begin(0, steps.end)
    rounds.begin(0, steps.end)
    steps.run()
    assert (steps.done, {leg.looks for leg in legs.values()}) == (1, {1})


def test_who_fails_keeps_nobody_else_from_being_seen() -> None:
    legs: dict[int, Leg] = {1: Leg(), 2: Leg(), 3: Leg(), 4: Leg(broken=True), 5: Leg()}
    steps = Steps()
    rounds = rounds_of(legs, steps)
    with pytest.raises(RuntimeError, match="broken"):
        rounds.begin(0, steps.end)
    steps.run()
    assert [legs[number].looks for number in (1, 2, 3)] == [1, 1, 1]
    assert steps.done == 1
    with pytest.raises(RuntimeError):
        rounds.begin(0, steps.end)
    steps.run()
    assert (legs[1].looks, steps.done) == (2, 2)


def test_who_leaves_during_a_round_is_not_in_its_tally() -> None:
    legs: dict[int, Leg] = {number: Leg() for number in range(1, 6)}
    steps = Steps()
    rounds = rounds_of(legs, steps)
    rounds.begin(0, steps.end)
    gone = legs.pop(1)
    rounds.count(gone)  # type: ignore[arg-type]
    steps.run()
    assert (gone.looks, rounds.tally.legs, rounds.totals[0]) == (0, 4, 5)


def test_legs_of_other_workers_are_seen_but_not_counted() -> None:
    legs, steps = {-1: Leg(), 1: Leg()}, Steps()
    rounds = rounds_of(legs, steps)
    rounds.begin(0, steps.end)
    assert (legs[-1].looks, legs[1].looks) == (1, 1)
    assert (rounds.tally.legs, rounds.totals[0], rounds.timeouts) == (1, 1, 0)
