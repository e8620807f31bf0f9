"""What is wrong with a profile that somebody wrote: every mistake at once, each with its place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from ims_core.errors import SipError
from ims_core.messages.uri import parse_uri
from ims_core.patterns import Pattern, PatternError
from ims_core.profiles.model import Criterion, ServiceProfile

Path = tuple[str | int, ...]
"""Where something stands: keys, or names of elements, and the numbers of those that there are several of, from 0."""

P = TypeVar("P", bound=Pattern)

HIGHEST_PRIORITY = 2**31 - 1
_METHOD = re.compile(r"[A-Z0-9.!%*_+`'~-]{1,32}")


class Mistake(NamedTuple):
    """One mistake: what was expected in that place, and what stands there, None: nothing that could be shown."""

    path: Path
    expected: str
    found: object = None

    def __str__(self) -> str:
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)[1:]
        found = "" if self.found is None else f", found {self.found!r}"
        return f"{place or 'the profile'}: expected {self.expected}{found}"


class ProfileError(ValueError):
    """A profile cannot be used; ``mistakes`` are all that is wrong with it."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(map(str, self.mistakes)))


class Findings:
    """Collects mistakes while a profile is read. What both forms of a profile hold is read here."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    def report(self, path: Path, expected: str, found: object = None) -> None:
        """Note a mistake."""
        self.mistakes.append(Mistake(path, expected, found))

    def pattern(self, kind: type[P], text: str, path: Path) -> P | None:
        """Read a regular expression; None: it is none, which is noted."""
        try:
            return kind(text)
        except PatternError as error:
            self.report(path, str(error), text)
            return None

    def method(self, name: str, path: Path) -> str | None:
        """Read the name of a method, of which case matters (RFC 3261 7.1): none of ours has small letters."""
        if _METHOD.fullmatch(name):
            return name
        self.report(path, 'a method, like "INVITE"', name)
        return None

    def server(self, uri: str, path: Path) -> str | None:
        """Read the SIP URI of an application server."""
        try:
            if parse_uri(uri).scheme in ("sip", "sips"):
                return uri
        except SipError:
            pass
        self.report(path, 'the SIP URI of an application server, like "sip:as.example:5060"', uri)
        return None

    def priority(self, priority: int, path: Path) -> int | None:
        """Read a priority, which the Cx interface has in 31 bits."""
        if 0 <= priority <= HIGHEST_PRIORITY:
            return priority
        self.report(path, f"a whole number from 0 to {HIGHEST_PRIORITY}", priority)
        return None

    def profile(self, name: str, criteria: Iterable[tuple[Path, Criterion]]) -> ServiceProfile:
        """Return the profile of these criteria, each with the place of its priority. Raises ``ProfileError``."""
        ordered: dict[int, Criterion] = {}
        for path, criterion in criteria:
            if criterion.priority in ordered:  # TS 29.228 B.2.2: no two criteria have the same
                self.report(path, "a priority that no other criterion has", criterion.priority)
            ordered[criterion.priority] = criterion
        if self.mistakes:
            raise ProfileError(self.mistakes)
        return ServiceProfile(name, tuple(ordered[priority] for priority in sorted(ordered)))
