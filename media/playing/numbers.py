"""Numbers as sequences of single prompts, so that no speech engine is needed while calls go on.

Each function returns prompt names as `media.playing.prompts` knows them ("en/digits/7"), in the order in which
they are to be played. The languages are those of `LANGUAGES`; another one raises `ValueError`.
"""

from collections.abc import Callable
from math import ceil, floor

LANGUAGES = ("en", "zh")
DIGITS = "0123456789"
LARGEST = 10**12 - 1


def say_digits(text: str, lang: str) -> list[str]:
    """Speak the digits of `text` one by one, as in telephone and agent numbers.

    Characters other than 0 to 9 are left out. Mandarin reads the 1 as "yao", as is usual for such numbers.
    """
    check_language(lang)
    names = {"1": "yao"} if lang == "zh" else {}
    return [f"{lang}/digits/{names.get(character, character)}" for character in text if character in DIGITS]


def say_number(n: int, lang: str) -> list[str]:
    """Speak the cardinal number `n`; what has more than twelve digits is read digit by digit."""
    check_language(lang)
    sign = [f"{lang}/numbers/minus"] if n < 0 else []
    if abs(n) > LARGEST:
        return [*sign, *(f"{lang}/digits/{digit}" for digit in str(abs(n)))]
    names = _english(abs(n)) if lang == "en" else _mandarin(abs(n))
    return [*sign, *(f"{lang}/{name}" for name in names)]


def say_position(n: int, lang: str) -> list[str]:
    """Tell a caller the place in the queue: "you are number 12 in the queue"."""
    return [f"{lang}/position", *say_number(n, lang), f"{lang}/position-end"]


def say_wait(low_seconds: float, high_seconds: float, lang: str) -> list[str]:
    """Tell a caller how long it will take: "the expected wait is from 2 to 5 minutes".

    The range is rounded outwards, to full minutes and above ten to full five minutes; from under a minute on it is
    "less than 5 minutes".
    """
    check_language(lang)
    low, high = _whole_minutes(low_seconds, floor), max(_whole_minutes(high_seconds, ceil), 1)
    if low == 0:
        return [f"{lang}/wait-less-than", *_say_minutes(high, lang)]
    high = max(high, low + 1)
    return [f"{lang}/wait-from", *say_count(low, lang), f"{lang}/wait-to", *_say_minutes(high, lang)]


def say_agent(number: str, lang: str) -> list[str]:
    """Tell a caller who answers (工号播报): "agent 1001 at your service"."""
    return [f"{lang}/agent", *say_digits(number, lang), f"{lang}/at-your-service"]


def _whole_minutes(seconds: float, rounded: Callable[[float], int]) -> int:
    minutes = seconds / 60
    return rounded(minutes) if minutes <= 10 else 5 * rounded(minutes / 5)


def _say_minutes(n: int, lang: str) -> list[str]:
    return [*say_count(n, lang), f"{lang}/numbers/{'minute' if (n, lang) == (1, 'en') else 'minutes'}"]


def say_count(n: int, lang: str) -> list[str]:
    """Speak a number of things: Mandarin counts two of them as "liang"."""
    check_language(lang)
    return ["zh/digits/liang"] if (n, lang) == (2, "zh") else say_number(n, lang)


def check_language(lang: str) -> None:
    """Raise ValueError for a language that has no prompts."""
    if lang not in LANGUAGES:
        raise ValueError(f"language {lang!r} is not one of {', '.join(LANGUAGES)}")


def _english(n: int) -> list[str]:
    if n < 10:
        return [f"digits/{n}"]
    if n < 20:
        return [f"numbers/{n}"]
    if n < 100:
        tens, ones = n - n % 10, n % 10
        return [f"numbers/{tens}", *([f"digits/{ones}"] if ones else [])]
    unit = next(unit for unit in (10**9, 10**6, 1000, 100) if n >= unit)
    head, rest = [*_english(n // unit), f"numbers/{unit}"], n % unit
    if rest == 0:
        return head
    return [*head, *(["numbers/and"] if rest < 100 else []), *_english(rest)]


def _mandarin(n: int) -> list[str]:
    """Speak groups of four digits: 亿, 万 and the rest, with one 零 for any run of zeros in between."""
    if n == 0:
        return ["digits/0"]
    names: list[str] = []
    gap = False
    for unit in (10**8, 10**4, 1):
        group = n // unit % 10**4
        if group == 0:
            gap = bool(names)
            continue
        if names and (gap or group < 1000):
            names.append("digits/0")
        gap = False
        names.extend(["digits/liang"] if group == 2 and unit > 1 else _mandarin_group(group, first=not names))
        if unit > 1:
            names.append(f"numbers/{unit}")
    return names


def _mandarin_group(n: int, *, first: bool) -> list[str]:
    if first and 10 <= n < 20:  # 十五, not 一十五, when nothing goes before
        return ["numbers/10", *([f"digits/{n - 10}"] if n > 10 else [])]
    names: list[str] = []
    gap = False
    for unit in (1000, 100, 10, 1):
        digit = n // unit % 10
        if digit == 0:
            gap = bool(names)
            continue
        if gap:
            names.append("digits/0")
            gap = False
        names.append(f"digits/{digit}")
        if unit > 1:
            names.append(f"numbers/{unit}")
    return names
