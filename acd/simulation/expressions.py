"""The small expressions of the command line: `kind`, `kind:value,key=value,...`, or `kind,key=value,...`.

    exponential:180    lognormal:mean=180,cv=1.2    poisson:rate=120/h,number=10001    hourly:20,40,90,60

Durations are in seconds unless a unit follows (180, 180s, 3min, 0.5h); a rate is a number per unit of time (120/h,
2/min, 50/30min); a time of day is 8, 8:30 or 08:30. Whatever is wrong with an expression is said in one sentence by
ExpressionError.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Final

_UNITS: Final = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_KIND_ENDS: Final = re.compile(r"[:,]")
_DURATION: Final = re.compile(r"([0-9]*\.?[0-9]+)\s*(s|min|h|d)?")
_RATE: Final = re.compile(r"([0-9]*\.?[0-9]+)/([0-9]*)(s|min|h|d)")
_TIME_OF_DAY: Final = re.compile(r"([0-9]{1,2})(?::([0-5][0-9]))?")


class ExpressionError(ValueError):
    """An expression that cannot be used; the text says in one sentence what is wrong and what was expected."""


class Expression:
    """An expression taken apart: its kind, the values without a key, and those with one.

    Every `take` removes what it returns, so that `close` can name what nobody asked for.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.kind, rest = (*_KIND_ENDS.split(text.strip(), maxsplit=1), "")[:2]
        self.values: list[str] = []
        self._named: dict[str, str] = {}
        for part in filter(None, (piece.strip() for piece in rest.split(","))):
            key, equals, value = part.partition("=")
            if not equals:
                self.values.append(part)
            elif key.strip() in self._named:
                raise self.error(f"{key.strip()} is given twice")
            else:
                self._named[key.strip()] = value.strip()

    def error(self, what: str) -> ExpressionError:
        """Return the error that says `what` about this expression."""
        return ExpressionError(f"{self.text!r}: {what}")

    def take(self, key: str, *, positional: bool = False) -> str | None:
        """Return the value of `key`, None without it; if `positional`, a value without a key will do as well."""
        found = self._named.pop(key, None)
        if found is None and positional and self.values:
            return self.values.pop(0)
        return found

    def need(self, key: str, *, positional: bool = False) -> str:
        """Return the value of `key`. Raises ExpressionError without it."""
        found = self.take(key, positional=positional)
        if found is None:
            raise self.error(f"{self.kind} needs {key}=")
        return found

    def seconds(self, key: str, *, positional: bool = False, above_zero: bool = True) -> float:
        """Return the duration `key`."""
        text = self.need(key, positional=positional)
        try:
            value = seconds(text)
        except ValueError:
            raise self.error(f"{key} is to be a duration like 180, 180s or 3min, not {text!r}") from None
        if above_zero and not value > 0:
            raise self.error(f"{key} is to be above 0")
        return value

    def number(self, key: str, *, least: float = 0.0) -> float:
        """Return the plain number `key`, at least `least`."""
        text = self.need(key)
        try:
            value = float(text)
        except ValueError:
            raise self.error(f"{key} is to be a number, not {text!r}") from None
        if not (isfinite(value) and value >= least):
            raise self.error(f"{key} is to be a number from {least:g}")
        return value

    def whole(self, key: str, *, default: int | None = None, least: int = 0) -> int:
        """Return the whole number `key`, at least `least`."""
        text = str(default) if default is not None and key not in self._named else self.need(key)
        self._named.pop(key, None)
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < least:
            raise self.error(f"{key} is to be a whole number from {least}, not {text!r}")
        return int(text)

    def close(self) -> None:
        """Say what is left over. Raises ExpressionError."""
        if self._named:
            raise self.error(f"{self.kind} knows no {next(iter(self._named))}=")
        if self.values:
            raise self.error(f"{self.kind} has no use for {self.values[0]!r}")


def seconds(text: str) -> float:
    """Return a duration in seconds. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return float(match[1]) * _UNITS[match[2] or "s"]


def rate(text: str) -> float:
    """Return a rate per second. Raises ValueError."""
    match = _RATE.fullmatch(text.strip())
    if match is None or match[2] == "0":
        raise ValueError(text)
    return float(match[1]) / (_UNITS[match[3]] * int(match[2] or 1))


def time_of_day(text: str) -> float:
    """Return the seconds from midnight of a time of day, up to 24:00. Raises ValueError."""
    match = _TIME_OF_DAY.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    value = int(match[1]) * 3600.0 + int(match[2] or 0) * 60.0
    if value > 86400.0:
        raise ValueError(text)
    return value
