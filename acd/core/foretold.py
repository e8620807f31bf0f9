"""What is said of waits to come: where callers stand, what is guessed of it, and how good the guesses were.

Apart from the modules that guess: those are compiled (`pyproject.toml`), where a struct would lose its options.
"""

import msgspec


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a caller stands among the `length` callers whom no agent is offered to yet, himself included.

    `position` counts from 1. `head_waited` is how long the foremost has waited so far.
    """

    position: int
    length: int
    head_waited: float


class Guess(msgspec.Struct, frozen=True, gc=False):
    """A wait foretold, in seconds; `ranged` is false while `low` and `high` are mere repetitions of `expected`."""

    low: float
    expected: float
    high: float
    spread: float
    ranged: bool


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """A wait from now on, in seconds: `low` to `high` in four cases of five; 0 <= low <= expected <= high."""

    low: float
    expected: float
    high: float
    estimator: str


class Accuracy(msgspec.Struct, frozen=True):
    """How good an estimator has been of late, in the mean over the last hundred callers or so; None before the first.

    `error_seconds` is the mean absolute error, `bias_seconds` the mean of what was expected less what was waited,
    `coverage` the share of waits within the range. `scored` counts all callers since the start.
    """

    scored: int
    error_seconds: float | None
    bias_seconds: float | None
    coverage: float | None
