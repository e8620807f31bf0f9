"""Values in place of prompts: "money:en:CNY:12.50" stands for the prompts that say it.

number:en:-42       digits:zh:10086       time:en:09:30       date:zh:2026-11-22       money:en:CNY:12.50
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, time
from typing import Final

from media.playing.moments import say_date, say_time
from media.playing.money import say_money
from media.playing.numbers import say_digits, say_number

_LONGEST_SHOWN: Final = 60
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}")
_DIGITS: Final = re.compile(r"[0-9]{1,40}")
_TIME: Final = re.compile(r"[0-9]{2}:[0-9]{2}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MONEY: Final = re.compile(r"([A-Z]{3}):(-?)([0-9]{1,12})(?:\.([0-9]{1,2}))?")


def expand(prompt: str) -> list[str]:
    """Return the prompts that are to be played for this one: itself, unless it is a value.

    Raises ValueError, one sentence, for a value that cannot be said.
    """
    kind, _, rest = prompt.partition(":")
    say = _SAYS.get(kind)
    if say is None or not rest:
        return [prompt]
    language, _, value = rest.partition(":")
    try:
        return say(value, language)
    except ValueError as error:
        raise ValueError(f"{prompt[:_LONGEST_SHOWN]!r} cannot be said: {error}.") from None


def _say_number(value: str, language: str) -> list[str]:
    return say_number(int(_checked(_NUMBER, value)[0]), language)


def _say_digits(value: str, language: str) -> list[str]:
    return say_digits(_checked(_DIGITS, value)[0], language)


def _say_time(value: str, language: str) -> list[str]:
    return say_time(time.fromisoformat(_checked(_TIME, value)[0]), language)


def _say_date(value: str, language: str) -> list[str]:
    return say_date(date.fromisoformat(_checked(_DATE, value)[0]), language)


def _say_money(value: str, language: str) -> list[str]:
    currency, sign, whole, rest = _checked(_MONEY, value).groups()
    return say_money(int(f"{sign}{whole}{(rest or '').ljust(2, '0')}"), currency, language)


def _checked(pattern: re.Pattern[str], value: str) -> re.Match[str]:
    match = pattern.fullmatch(value)
    if match is None:
        raise ValueError(f"{value[:_LONGEST_SHOWN]!r} is not of its form")
    return match


_SAYS: Final[dict[str, Callable[[str, str], list[str]]]] = {
    "number": _say_number,
    "digits": _say_digits,
    "time": _say_time,
    "date": _say_date,
    "money": _say_money,
}
