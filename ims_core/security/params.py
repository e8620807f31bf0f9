"""The parameters of Digest credentials and challenges (RFC 7616 sections 3.3 and 3.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

MAX_HEADER_LENGTH: Final = 4096
CREDENTIALS_REMEMBERED: Final = 16  # those of requests that are looked at now

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
    last = len(pieces) - 1
    if last % 2:
        return None
    pieces[0] = f",{pieces[0]}"
    params: dict[str, str] = {}
    for position in range(0, last, 2):
        before = pieces[position]
        name = _BEFORE_QUOTES.get(before)
        if name is None:
            comma = before.rfind(",")
            name = _BEFORE_QUOTES.get(before[comma:])
            if name is None or not _take_tokens(before[:comma], params):
                return None
        params[name] = pieces[position + 1]
    rest = pieces[last]
    return params if not rest or _take_tokens(rest, params) else None


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
