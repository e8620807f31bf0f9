"""How long things take: the distributions that talks, patience and answers are drawn from.

exponential:180                 mean 180 s
lognormal:mean=180,cv=1.2       coefficient of variation 1.2: the shape that measured talks have
erlang:k=2,mean=180             the sum of two exponential phases
uniform:low=5,high=15
constant:180                    always the same
never                           infinite: a caller who does not give up
empirical:FILE                  drawn from a file of durations, one a line, each as likely as the other
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, inf, log, sqrt
from typing import TYPE_CHECKING

from acd.simulation.expressions import Expression, seconds

if TYPE_CHECKING:
    from acd.simulation.chance import Random

Sampler = Callable[[], float]
Draw = Callable[["Random"], Sampler]
"""A distribution: given a source of chance it returns a function that draws the next duration in seconds."""

ReadLines = Callable[[str], list[str]]
"""Returns the lines of a file. Raises OSError."""


def exponential(mean: float) -> Draw:
    """Memoryless, as Erlang assumed."""
    return lambda random: lambda: -log(1.0 - random.random()) * mean


def lognormal(mean: float, cv: float) -> Draw:
    """By mean and coefficient of variation (standard deviation / mean)."""
    variance = log(1.0 + cv * cv)
    mu, sigma = log(mean) - variance / 2, sqrt(variance)
    return lambda random: lambda: exp(random.gauss(mu, sigma))


def erlang(k: int, mean: float) -> Draw:
    """The sum of `k` exponential phases; its coefficient of variation is 1/sqrt(k)."""
    return lambda random: lambda: random.gammavariate(k, mean / k)


def uniform(low: float, high: float) -> Draw:
    """Anything from `low` to `high`."""
    return lambda random: lambda: random.uniform(low, high)


def constant(value: float) -> Draw:
    """Return `value` every time; infinity is `never`."""
    return lambda _: lambda: value


def empirical(values: list[float]) -> Draw:
    """One of `values`, each as likely."""
    return lambda random: lambda: random.choice(values)


never = constant(inf)
KINDS = ("exponential", "lognormal", "erlang", "uniform", "constant", "never", "empirical")


def draw(expression: Expression, read_lines: ReadLines) -> Draw:
    """Return what an expression stands for; it is not closed. Raises ExpressionError."""
    match expression.kind:
        case "exponential":
            return exponential(expression.seconds("mean", positional=True))
        case "lognormal":
            return lognormal(expression.seconds("mean", positional=True), expression.number("cv"))
        case "erlang":
            return erlang(expression.whole("k", least=1), expression.seconds("mean", positional=True))
        case "uniform":
            low = expression.seconds("low", positional=True, above_zero=False)
            high = expression.seconds("high", positional=True)
            if low > high:
                raise expression.error("low is above high")
            return uniform(low, high)
        case "constant":
            return constant(expression.seconds("value", positional=True, above_zero=False))
        case "never":
            return never
        case "empirical":
            return empirical(durations(expression, read_lines))
    try:
        return constant(seconds(expression.kind))
    except ValueError:
        pass
    raise expression.error(f"no distribution is called {expression.kind!r}: it is one of {', '.join(KINDS)}")


def durations(expression: Expression, read_lines: ReadLines) -> list[float]:
    """Return the durations in the file that the expression names. Raises ExpressionError."""
    values = []
    for number, line in enumerate(lines_of(expression, read_lines), 1):
        try:
            values.append(seconds(line))
        except ValueError:
            raise expression.error(f"line {number} is to be a duration in seconds, not {line!r}") from None
    if not any(values):
        raise expression.error("the file holds no duration above 0")
    return values


def lines_of(expression: Expression, read_lines: ReadLines) -> list[str]:
    """Return the lines of the file that the expression names, without comments (#). Raises ExpressionError."""
    name = expression.need("file", positional=True)
    try:
        lines = read_lines(name)
    except OSError as error:
        raise expression.error(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise expression.error(f"{name} is not a text file") from None
    bare = (line.partition("#")[0].strip() for line in lines)
    return [line for line in bare if line]
