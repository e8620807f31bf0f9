"""The parameters of Digest credentials and challenges (RFC 7616 sections 3.3 and 3.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from ims_core.remembering import Remembered

MAX_HEADER_LENGTH: Final = 4096
CREDENTIALS_REMEMBERED: Final = 16  # those of requests that are looked at now
LAYOUTS_REMEMBERED: Final = 1024
REMEMBERED_LENGTH: Final = 1024

# Anchored at the start or a comma and possessive, so that no text takes more than linear time.
_PARAM: Final = re.compile(
    r'(?:^|,)\s*+([\w-]++)\s*+=\s*+(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([^\s,"]*+))', re.ASCII | re.DOTALL
)
_NAMES: Final = frozenset(
    "username realm nonce uri response algorithm cnonce opaque qop nc auts userhash domain stale".split()
)
_BEFORE_QUOTES: Final = {f"{comma}{name}=": name for name in _NAMES for comma in (",", ", ")}


def parse_digest(text: str) -> dict[str, str] | None:
    """The parameters of Digest credentials or of a Digest challenge; None when it is something else."""
    if text[:7].lower() not in {"digest ", "digest\t"} or len(text) > MAX_HEADER_LENGTH:
        return None
    params = text[7:]
    found = _plain_params(params)
    return _params(params) if found is None else found


def _params(text: str) -> dict[str, str]:
    """Find the parameters in a list of them, whatever else it holds."""
    params = {name.lower(): quoted or token for name, quoted, token in _PARAM.findall(text)}
    if "\\" in text:
        params = {name: re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL) for name, value in params.items()}
    return params


def _plain_params(text: str) -> dict[str, str] | None:
    """Find the same in a list without escapes, and with spaces where most have them; None for any other."""
    if "\\" in text:
        return None
    pieces = text.split('"')  # every second one is what was quoted
    around = tuple(pieces[::2])
    layout = _LAYOUTS.of(around) if len(text) <= REMEMBERED_LENGTH else _layout_of(around)
    if not layout.is_plain or len(pieces) != 2 * len(layout.quoted) + 1:
        return None
    params = layout.tokens.copy()
    position = 1
    for name in layout.quoted:
        params[name] = pieces[position]
        position += 2
    return params


class _Layout:
    """What stands around the quoted values of a list: their names, and the parameters that are plain tokens."""

    __slots__ = ("is_plain", "quoted", "tokens")

    def __init__(self) -> None:
        self.is_plain = False
        self.quoted: list[str] = []
        self.tokens: dict[str, str] = {}


def _layout_of(around: tuple[str, ...]) -> _Layout:
    layout = _Layout()
    comma = ","
    for before in around[:-1]:
        written = comma + before
        comma = ""
        name = _BEFORE_QUOTES.get(written)
        if name is None:
            last = written.rfind(",")
            name = _BEFORE_QUOTES.get(written[last:])
            if name is None or not _take_tokens(written[:last], layout.tokens):
                return layout
        layout.quoted.append(name)
    rest = around[-1]
    # of a parameter that comes again the last one counts, which is not to be seen where one is quoted and one is not
    layout.is_plain = (not rest or _take_tokens(comma + rest, layout.tokens)) and layout.tokens.keys().isdisjoint(
        layout.quoted
    )
    return layout


_LAYOUTS: Final = Remembered(_layout_of, LAYOUTS_REMEMBERED)  # peers write the same parameters in the same order


def _take_tokens(text: str, params: dict[str, str]) -> bool:
    """Take the parameters of a list that begins with a comma; false when one is not a plain token."""
    before, *written = text.split(",")
    if before.strip(" "):
        return False
    for each in written:
        param = each.strip(" ")
        equals = param.find("=")
        name, value = param[:equals], param[equals + 1 :]
        if equals < 0 or name not in _NAMES or not (value.isalnum() or value.replace("-", "").isalnum()):
            return False
        params[name] = value
    return True


_parse_remembered: Final = lru_cache(maxsize=CREDENTIALS_REMEMBERED)(parse_digest)


def digest_of(text: str) -> Mapping[str, str] | None:
    """What ``parse_digest`` finds, parsed but once for all who read the credentials of one request."""
    return _parse_remembered(text)


def count_of(text: str) -> int:
    """The value of an ``nc`` of eight hexadecimal digits, 0 when it is none (a count starts at 1)."""
    try:
        return int(text, 16) if len(text) == 8 and text.isascii() and text.isalnum() else 0
    except ValueError:
        return 0
