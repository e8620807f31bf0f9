"""Telephone numbers as they are dialled, and as E.164 has them (ITU-T E.164, RFC 3966).

Within this platform a number of the public network is written ``+861012345678``. What people dial and carriers send
is made so by a ``DialPlan``; what is no number of the public network, as 110, 10000 or an extension, stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct

from ims_core.messages.uri import Uri

Form = Literal["e164", "international", "national", "plain"]
"""How a trunk wants numbers: ``+8610…``, ``008610…``, ``010…`` (``00…`` abroad), ``8610…``."""

LONGEST: Final = 15
"""Digits of an E.164 number, the country code included (E.164 section 6.2.1)."""

PATTERN: Final = r"\+?(?:[0-9x*#]|\[[0-9-]+\])*\.?"
"""What ``matches`` takes: digits, ``x`` for any, ``[2-8]`` for some, and a dot at the end for whatever follows."""

_SEPARATORS = str.maketrans("", "", "-.() ")
_E164 = re.compile(rf"\+[0-9]{{1,{LONGEST}}}")


class DialPlan(Struct, frozen=True):
    """How numbers are dialled at one place.

    ``country`` is its code without ``+``, ``area`` the area's without the national prefix, empty where there is none.
    ``direct`` are patterns of national numbers that are dialled without the prefix, as those of mobile phones in
    China; ``local`` those of subscribers within the area.
    """

    country: str
    area: str = ""
    international: str = "00"
    national: str = "0"
    direct: tuple[str, ...] = ()
    local: tuple[str, ...] = ()

    def e164(self, dialled: str, context: str = "") -> str:
        """Return ``+`` and digits; what is no number of the public network comes back without visual separators.

        ``context`` is the ``phone-context`` of RFC 3966 section 5.1.5, which counts when it is itself a prefix.
        """
        number = dialled.translate(_SEPARATORS)
        digits = number.removeprefix("+")
        if not (digits.isascii() and digits.isdecimal()):
            return number if is_dialled(number) else dialled
        found = number if number != digits else self._from_digits(digits, context.translate(_SEPARATORS))
        return found if _E164.fullmatch(found) or not found.startswith("+") else number

    def written(self, number: str, form: Form) -> str:
        """Write an E.164 number in the form that a trunk wants; whatever else it is stays as it is."""
        if not _E164.fullmatch(number) or form == "e164":
            return number
        if form == "plain":
            return number[1:]
        if form == "national" and number.startswith(f"+{self.country}"):
            significant = number[1 + len(self.country) :]
            return significant if _any(self.direct, significant) else self.national + significant
        return self.international + number[1:]

    def _from_digits(self, digits: str, context: str) -> str:
        if _E164.fullmatch(context):
            return context + digits.removeprefix(self.national)
        if self.international and digits.startswith(self.international):
            return f"+{digits[len(self.international) :]}"
        if _any(self.direct, digits):
            return f"+{self.country}{digits}"
        if self.national and digits.startswith(self.national):
            return f"+{self.country}{digits[len(self.national) :]}"
        if self.area and _any(self.local, digits):
            return f"+{self.country}{self.area}{digits}"
        return digits


CHINA: Final = DialPlan(
    "86",
    direct=("1[3-9]xxxxxxxxx", "400xxxxxxx", "800xxxxxxx"),
    local=("[2-8]xxxxxx", "[2-8]xxxxxxx"),
)
"""Mobile and 400/800 numbers are dialled as they are, others from afar with 0; 110, 10000 and 95588 stay so."""


def dialled_in(uri: Uri) -> tuple[str, str]:
    """Return the number that a ``sip:``, ``sips:`` or ``tel:`` URI names, and its ``phone-context``.

    An ``ext`` or ``isub`` is left out (RFC 3966 section 5.3): it is for whoever is reached by the number. A SIP URI
    made of a ``tel:`` has the parameters in its user part (RFC 3261 section 19.1.6).
    """
    number, *params = uri.user.split(";")
    given = dict(param.lower().partition("=")[::2] for param in params)
    return number, given.get("phone-context", "") or uri.params.get("phone-context", "")


def is_e164(number: str) -> bool:
    """Whether ``number`` is ``+`` and at most 15 digits."""
    return _E164.fullmatch(number) is not None


def is_dialled(text: str) -> bool:
    """Whether ``text`` is what keys of a telephone can dial, with or without ``+``."""
    return _DIALLED.fullmatch(text) is not None


def matches(pattern: str, number: str) -> bool:
    """Whether a number is one of those that ``pattern`` stands for (see ``PATTERN``)."""
    return _compiled(pattern).fullmatch(number) is not None


def rewritten(number: str, prefixes: Mapping[str, str]) -> str | None:
    """Replace the longest of the prefixes that ``number`` begins with; None when it begins with none."""
    prefix = max((prefix for prefix in prefixes if number.startswith(prefix)), key=len, default=None)
    return None if prefix is None else prefixes[prefix] + number[len(prefix) :]


def _any(patterns: tuple[str, ...], digits: str) -> bool:
    return any(matches(pattern, digits) for pattern in patterns)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    body, rest = (pattern[:-1], "[0-9*#]*") if pattern.endswith(".") else (pattern, "")
    escaped = body.replace("+", r"\+").replace("*", r"\*").replace("x", "[0-9]")
    return re.compile(escaped + rest)


_DIALLED = re.compile(r"\+?[0-9*#]{1,32}")
