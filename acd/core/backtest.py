"""How good an estimator is: every guess it made is compared with what came.

The range around a guess is conformal (Vovk, Gammerman and Shafer 2005; Lei et al., JASA 2018): from the estimator's
own last errors, each in units of the spread to be expected at that length of wait, the quantiles that leave a tenth
of them outside on either side. That assumes nothing but that the next error is like the last ones. Where they are
not, because the load changes, the share left outside is itself corrected after each wait (adaptive conformal
inference, Gibbs and Candes, NeurIPS 2021), so that in the long run a tenth stays outside whatever happens.

The score is the weighted interval score (Bracher et al., PLoS Computational Biology 2021), which is twice the mean
pinball loss of the three numbers of a guess: least, in seconds, for who says the true quantiles.
"""

from __future__ import annotations

from math import ceil, floor

from acd.core.estimators import Window
from acd.core.foretold import Accuracy, Guess
from acd.core.traffic import Mean

OUTSIDE = 0.1  # on either side: the range holds for 80 %
LAST_ERRORS = 199
STEP = 0.005  # how much less is left outside after a wait that was outside
ENOUGH = 9  # fewer errors have no tenth


class Judge:
    """What is known of the errors of one estimator. `loss` is its recent mean score, None before the first."""

    __slots__ = ("_above", "_absolute", "_below", "_bias", "_covered", "_errors", "_loss", "_scored")

    def __init__(self) -> None:
        self._scored = 0
        self._below = self._above = OUTSIDE
        self._errors = Window(LAST_ERRORS)
        self._loss = Mean()
        self._absolute = Mean()
        self._bias = Mean()
        self._covered = Mean()

    def guess(self, expected: float, spread: float) -> Guess:
        """Put a range around what the estimator expects; `spread` is how far off a good guess may be, in seconds."""
        known = len(self._errors)
        if known < ENOUGH:
            return Guess(expected, expected, expected, spread, ranged=False)
        low = expected + spread * self._errors.ranked(floor((known + 1) * self._below))
        high = expected + spread * self._errors.ranked(ceil((known + 1) * (1 - self._above)))
        return Guess(min(max(low, 0.0), expected), expected, max(high, expected), spread, ranged=True)

    def score(self, guess: Guess, waited: float) -> None:
        """Compare a guess with the wait."""
        error = guess.expected - waited
        self._scored += 1
        self._errors.add(-error / guess.spread)
        self._absolute.add(abs(error))
        self._bias.add(error)
        if guess.ranged:
            self._covered.add(guess.low <= waited <= guess.high)
            self._below += STEP * (OUTSIDE - (waited < guess.low))
            self._above += STEP * (OUTSIDE - (waited > guess.high))
        missed = max(guess.low - waited, waited - guess.high, 0.0)
        self._loss.add((0.5 * abs(error) + OUTSIDE * (guess.high - guess.low) + missed) / 1.5)

    @property
    def loss(self) -> float | None:
        """The recent mean of the weighted interval score, in seconds."""
        return self._loss.value

    @property
    def accuracy(self) -> Accuracy:
        """The figures for people."""
        return Accuracy(self._scored, self._absolute.value, self._bias.value, self._covered.value)
