"""The kinds of value that a configuration file holds, each with the words that explain it to its author.

Two forms: an `Annotated` type whose `Meta.description` says what is expected, and a class with a `parse`
class method that takes the text written in the file and raises `ValueError` with what is expected.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta, Struct

from ims_core.trunks.numbers import PATTERN

WEEK = 7 * 24 * 3600
LARGEST_RANGE = 100_000

Seconds = Annotated[float, Meta(ge=0, le=WEEK, description="a number of seconds, 0 for off")]
SomeSeconds = Annotated[float, Meta(ge=0.001, le=WEEK, description="a number of seconds above 0")]
CommitSeconds = Annotated[float, Meta(ge=0.001, le=60, description="a number of seconds from 0.001 to 60")]
Count = Annotated[int, Meta(ge=0, le=10**9, description="a whole number, 0 or more")]
SomeCount = Annotated[int, Meta(ge=1, le=10**9, description="a whole number, 1 or more")]
Rate = Annotated[float, Meta(ge=0.1, le=10**6, description="a number per second, 0.1 or more")]
BatchSize = Annotated[int, Meta(ge=1, le=1000, description="a whole number from 1 to 1000")]
Megabytes = Annotated[int, Meta(ge=1, le=10_000, description="a whole number from 1 to 10000")]
Language = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[a-z0-9]{1,8})*\Z", description='a language, like "en" or "zh"')]
Workers = Annotated[int, Meta(ge=1, le=64, description="a whole number from 1 to 64")]
Bytes = Annotated[int, Meta(ge=1024, le=1 << 30, description="a number of bytes, 1024 or more")]
Repeats = Annotated[int, Meta(ge=0, le=10, description="a whole number from 0 to 10")]
Digit = Annotated[str, Meta(pattern=r"^[0-9*#]\Z", description="one key of a telephone: 0 to 9, * or #")]
Text = Annotated[
    str,
    Meta(pattern=r"^[^\0]+\Z", min_length=1, max_length=200, description="a text that is not empty"),
]
Subdirectory = Annotated[
    str,
    Meta(
        pattern=r"^(?!/)(?!(.*/)?\.\.(/|\Z))[^\0\n]+\Z",
        max_length=200,
        description="the name of a directory under storage.dir",
    ),
]
Identifier = Annotated[
    str,
    Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}\Z", description="a name of a-z, 0-9, _ and - (32 at most)"),
]
QueueChoice = Annotated[
    str,
    Meta(pattern=r"^(\*|[a-z0-9][a-z0-9_-]{0,31})\Z", description='the id of a queue, or "*" for all of them'),
]
Level = Annotated[int, Meta(ge=1, le=1000, description="a level, a whole number from 1 to 1000")]
Weight = Annotated[float, Meta(ge=0.001, le=1000, description="a weight from 0.001 to 1000")]
Share = Annotated[int, Meta(ge=1, le=65535, description="a share, a whole number from 1 to 65535")]
Priority = Annotated[int, Meta(ge=-1000, le=1000, description="a whole number from -1000 to 1000")]
_ROUTE = (
    r"sips?:(?:[A-Za-z0-9_.!~*-]+@)?(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?"
    r"(?:;transport=[a-z]+)?"
)
RouteUri = Annotated[
    str,
    Meta(
        pattern=rf"^{_ROUTE}\Z",
        description='a SIP URI of a proxy, like "sip:proxy.example:5060;transport=tcp"',
    ),
]
NextHop = Annotated[
    str,
    Meta(
        pattern=rf"^(?:{_ROUTE})?\Z",
        description='a SIP URI of a proxy, like "sip:proxy.example:5060;transport=tcp", or "" to look the domain up',
    ),
]
Dialled = Annotated[
    str,
    Meta(pattern=r"^[0-9A-Za-z+*#][0-9A-Za-z+*#_.-]{0,31}\Z", description="a number or name that can be dialled"),
]
Origin = Annotated[
    str,
    Meta(
        pattern=r"^(https?|app|file)://[^/\s]*\Z",
        max_length=200,
        description='the origin of a page, like "https://phone.example"',
    ),
]
UrlPath = Annotated[
    str, Meta(pattern=r"^(/\S*)?\Z", max_length=200, description='a path that begins with /, "" for any')
]
FeatureCode = Annotated[
    str, Meta(pattern=r"^[*#][0-9*#]{1,7}\Z", description='a code that starts with * or #, like "*11"')
]
UserName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9+_-](\.?[A-Za-z0-9+_-]){0,63}\Z",
        description='the user part of a SIP URI, like "alice"',
    ),
]
# A file in the directory of prompts, a text to be spoken (`media.playing.names`) or a value (`media.playing.values`).
_PROMPT = (
    r"[a-z]+(/[a-z0-9_-]+)+|say:[a-z]{2,3}(-[a-z0-9]{1,8})*:\s*\S.{0,900}"
    r"|(number|digits|time|date|money):[a-z]{2}:[A-Z0-9:.-]{1,60}"
)
Prompt = Annotated[
    str,
    Meta(
        pattern=rf"^({_PROMPT})\Z",
        description='the name of a prompt, like "en/welcome", or a text to be spoken, like "say:en:Good morning."',
    ),
]
PromptOrNone = Annotated[
    str,
    Meta(pattern=rf"^({_PROMPT})?\Z", description='the name of a prompt, like "en/welcome", or ""'),
]
_TEL = r"tel:\+?[0-9*#][0-9*#.()-]*"
Contact = Annotated[
    str,
    Meta(
        pattern=rf"^(?:sips?:[^@\s<>]+@(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{{1,5}})?(;[^\s<>]+)?|{_TEL})\Z",
        description='a SIP URI, like "sip:1001@192.0.2.1:5060", or a number outside, like "tel:+861065551234"',
    ),
]
CountryCode = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,2}\Z", description='a country code without +, like "86"')]
AreaCode = Annotated[
    str, Meta(pattern=r"^[1-9][0-9]{0,5}\Z", description='an area code without the 0 before it, like "10"')
]
DialPrefix = Annotated[str, Meta(pattern=r"^[0-9]{0,5}\Z", description='digits, like "00"')]
NumberPattern = Annotated[
    str,
    Meta(
        pattern=rf"^{PATTERN}\Z",
        min_length=1,
        max_length=64,
        description='a pattern of numbers, like "+8610." or "1[3-9]xxxxxxxxx"',
    ),
]
NumberPrefix = Annotated[
    str, Meta(pattern=r"^\+?[0-9*#]{0,20}\Z", description='the beginning of a number, like "+8610"')
]
ShownNumber = Annotated[str, Meta(pattern=r"^\+?[0-9]{1,20}\Z", description='a number, like "+861065550000"')]
_HTTP = r"^https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?(/[^\s]*)?\Z"
HttpUrl = Annotated[
    str,
    Meta(
        pattern=_HTTP,
        description='an HTTP URL, like "http://127.0.0.1:9000/callers/{number}"',
    ),
]
UploadUrl = Annotated[
    str,
    Meta(
        pattern=_HTTP,
        description='an HTTP URL, like "https://billing.example/cdrs"',
    ),
]
CdrUrl = Annotated[
    str,
    Meta(
        pattern=r"^((sqlite|postgresql)(\+[a-z0-9]+)?://\S*)?\Z",
        description='a database URL, like "postgresql+psycopg://user@host/acd", or ""',
    ),
]
Domain = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\Z",
        max_length=253,
        description='a domain name, like "ims.example"',
    ),
]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([0-9]{1,2}):([0-5][0-9])-([0-9]{1,2}):([0-5][0-9])")
DAY_MINUTES = 24 * 60
_OVERFLOWING = {
    "queue": r"[a-z0-9][a-z0-9_-]{0,31}",
    "announcement": _PROMPT,
    "external": rf"sips?:[^@\s<>]+@(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{{1,5}})?(;[^\s<>]+)?|{_TEL}|\+[0-9]+",
    "callback": "",
    "release": "",
}
_ENDS_IN_DIGITS = re.compile(r"(.*?)([0-9]+)")


class Timezone(str):
    """The name of a time zone of the IANA database."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `Asia/Shanghai`."""
        try:
            ZoneInfo(text)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError('a time zone, like "Asia/Shanghai"') from None
        return cls(text)


class Weekdays(Struct, frozen=True):
    """One day of the week, `sat`, or a stretch of them, `mon-fri`; Monday is 0."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `sat` or `mon-fri`."""
        first, dash, last = text.partition("-")
        try:
            days = cls(_DAYS.index(first), _DAYS.index(last if dash else first))
        except ValueError:
            days = cls(1, 0)
        if days.first > days.last:
            raise ValueError('a day or days of the week, like "sat" or "mon-fri"')
        return days

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.last + 1))

    def __str__(self) -> str:
        return _DAYS[self.first] if self.first == self.last else f"{_DAYS[self.first]}-{_DAYS[self.last]}"


class Hours(Struct, frozen=True):
    """From `start` to before `end`, in minutes after midnight; an `end` above 1440 lies in the next day."""

    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `08:30-18:00`; `24:00` is the end of the day, and `22:00-06:00` ends in the next."""
        found = _HOURS.fullmatch(text)
        start, end = (int(found[at]) * 60 + int(found[at + 1]) for at in (1, 3)) if found else (DAY_MINUTES, 0)
        if start >= DAY_MINUTES or end > DAY_MINUTES or start == end:
            raise ValueError('hours, like "08:30-18:00"')
        return cls(start, end if start < end else end + DAY_MINUTES)

    def __str__(self) -> str:
        end = self.end if self.end <= DAY_MINUTES else self.end - DAY_MINUTES
        return "-".join(f"{minutes // 60:02}:{minutes % 60:02}" for minutes in (self.start, end))


class Overflowing(Struct, frozen=True):
    """Where a caller goes who does not wait any longer; `where` is a queue, a prompt or a SIP URI."""

    kind: Literal["queue", "announcement", "external", "callback", "release"]
    where: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `queue:sales`, `announcement:en/closed`, `external:sip:100@192.0.2.1`, `callback` or `release`."""
        kind, _, where = text.partition(":")
        pattern = _OVERFLOWING.get(kind)
        if pattern is None or not re.fullmatch(pattern, where):
            raise ValueError(
                '"queue:ID", "announcement:PROMPT", "external:sip:USER@HOST", "external:+NUMBER", '
                '"callback" or "release"'
            )
        return cls(kind, where)  # type: ignore[arg-type]  # kind is a key of _OVERFLOWING

    @property
    def is_number(self) -> bool:
        """Say whether it is a number of the public network, to be reached by a trunk."""
        return self.kind == "external" and self.where.startswith(("tel:", "+"))

    def __str__(self) -> str:
        return f"{self.kind}:{self.where}" if self.where else self.kind


class Secret(str):
    """A password or token: a text that is never shown in a log line or an error."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take the text as it is."""
        return cls(text)

    def __repr__(self) -> str:
        return "'***'"


class Users(Struct, frozen=True):
    """One user, `alice`, or a range of users that count up, `a001..a200`."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a user or a range; both ends of a range share what stands before the number."""
        users = cls(text)
        try:
            for _ in users:
                break
        except ValueError:
            raise ValueError('a user like "alice" or a range of users like "a001..a200"') from None
        return users

    def __iter__(self) -> Iterator[str]:
        first, dots, last = self.text.partition("..")
        names = [name for name in (first, last) if name]
        if len(names) != 1 + bool(dots) or not all(re.fullmatch(r"[A-Za-z0-9+_.-]{1,64}", name) for name in names):
            raise ValueError(self.text)
        if not dots:
            yield first
            return
        low, high = _ENDS_IN_DIGITS.fullmatch(first), _ENDS_IN_DIGITS.fullmatch(last)
        if low is None or high is None or low[1] != high[1] or len(high[2]) < len(low[2]):
            raise ValueError(self.text)
        start, stop = int(low[2]), int(high[2])
        if not start <= stop < start + LARGEST_RANGE:
            raise ValueError(self.text)
        for number in range(start, stop + 1):
            yield f"{low[1]}{number:0{len(low[2])}d}"

    def __str__(self) -> str:
        return self.text
