"""Regular expressions of operators, in service profiles (TS 29.228 Annex F) and identities (TS 23.003 section 13.5).

They are extended regular expressions of POSIX, and what they are held against was written by anybody who can send us a
request. So they run in RE2, whose time grows with the length of the text and no faster, whatever the pattern: Python's
own engine tries one way after the other, and ``^(a+)+$`` on forty letters would stop the server. Bounding the length
instead would not help, as those forty letters show, and refusing nested repetitions would refuse good patterns while
``^a*a*a*a*a*$`` passed. RE2 also knows the classes of POSIX, ``[[:digit:]]`` for one, which Python's does not. What it
cannot do in linear time, back-references and look-around, is not part of extended regular expressions anyhow.
"""

from __future__ import annotations

from typing import ClassVar

import re2

from ims_core.messages.names import canonical

LONGEST = 1000  # characters of a pattern
_MEMORY = 1 << 20  # bytes that RE2 may use for one: bounds its size after repetitions like {1000} are written out


class PatternError(ValueError):
    """The text is no pattern; the message says why, to follow "expected"."""


class Pattern:
    """A pattern; equal to another of the same kind and text. Raises ``PatternError``."""

    __slots__ = ("_compiled", "_literal", "text")

    ignores_case: ClassVar[bool] = False

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise PatternError(f"a regular expression of at most {LONGEST} characters")
        options = re2.Options()
        options.log_errors = False
        options.max_mem = _MEMORY
        options.case_sensitive = not self.ignores_case
        try:
            self._compiled = re2.compile(text, options)
        except UnicodeEncodeError:
            raise PatternError("a regular expression in characters that UTF-8 has") from None
        except re2.error as error:
            raise PatternError(f"an extended regular expression ({_why(error)})") from None
        self.text = text
        self._literal = text if text.replace("-", "").isalnum() else ""  # stands for itself alone

    def found_in(self, text: str) -> bool:
        """Whether some part of ``text`` is as the pattern says; ``^`` and ``$`` are its ends."""
        return self._compiled.search(_plain(text)) is not None

    def matches(self, text: str) -> bool:
        """Whether ``text`` as a whole is as the pattern says."""
        if self._literal:
            return text == self._literal
        return self._compiled.fullmatch(_plain(text)) is not None

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Pattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"


class NamePattern(Pattern):
    """A pattern of names of header fields: case does not matter, nor does the form of one name (RFC 3261 7.3)."""

    __slots__ = ()

    ignores_case = True

    def __init__(self, text: str) -> None:
        super().__init__(text)
        if self._literal:
            self._literal = canonical(text)

    def matches(self, text: str) -> bool:
        """Whether a name in its long form is as the pattern says."""
        return super().matches(text.lower())


def _plain(text: str) -> str:
    """Bytes that are no UTF-8, which a message holds as surrogates, are a replacement character each."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _why(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
