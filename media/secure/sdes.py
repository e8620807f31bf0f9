"""The a=crypto lines of SDP (RFC 4568): keys for SRTP that travel in the descriptions.

`a=crypto:<tag> <suite> inline:<key and salt>[|<lifetime>][|<MKI>:<length>] [<session parameter> …]`
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from media.secure.srtp import SUITES, Key, Suite

MOST_LINES: Final = 32
"""Lines of one peer that are looked at."""
_LINE: Final = re.compile(r"([0-9]{1,9})[ \t]+(\S+)[ \t]+(\S+)((?:[ \t]+\S+)*)[ \t]*")
_KEY: Final = re.compile(
    r"inline:([A-Za-z0-9+/]+={0,2})(?:\|(2\^[0-9]{1,2}|[0-9]{1,15}))?(?:\|([0-9]{1,10}):([0-9]{1,3}))?"
)
_LONGEST_MKI: Final = 128  # RFC 4568 9.2: mki-length = 1..128
_MOST_PACKETS: Final = 2**48  # RFC 3711 9.2
_HARMLESS: Final = re.compile(r"KDR=0|WSH=[0-9]+|FEC_ORDER=\S+|-\S+")


class Crypto(NamedTuple):
    """A usable line: its tag and the key of whoever wrote it."""

    tag: int
    key: Key

    def line(self) -> str:
        """Return the value of the attribute; the lifetime is the longest, which needs no saying."""
        text = f"{self.tag} {self.key.suite.name} inline:{base64.b64encode(self.key.material).decode()}"
        mki = self.key.mki
        return f"{text}|{int.from_bytes(mki, 'big')}:{len(mki)}" if mki else text


def read(values: Iterable[str]) -> list[Crypto]:
    """Return what can be used of a peer's lines, in its order of preference.

    Passed over, as RFC 4568 7.1.2 has it, are lines of suites that we do not know, with several keys, with session
    parameters that change what packets look like (KDR, UNENCRYPTED_…, UNAUTHENTICATED_SRTP, FEC_KEY), and those that
    are wrong: a key of another length, no base64, a tag that was there before.
    """
    found: dict[int, Crypto] = {}
    for value, _ in zip(values, range(MOST_LINES), strict=False):
        crypto = _read_line(value)
        if crypto is not None:
            found.setdefault(crypto.tag, crypto)
    return list(found.values())


def answer_to(offered: Crypto, draw: Callable[[int], bytes]) -> Crypto:
    """Return our line that accepts an offered one: same tag and suite, a key of our own (RFC 4568 7.1.2).

    Where the peer's packets have an MKI, ours have one of the same length.
    """
    return Crypto(offered.tag, offered.key._replace(material=draw(offered.key.suite.length)))


def offer(draw: Callable[[int], bytes], names: Iterable[str] = tuple(SUITES)) -> list[Crypto]:
    """Return lines for an offer, each with a key of its own."""
    return [Crypto(tag, Key(SUITES[name], draw(SUITES[name].length))) for tag, name in enumerate(names, 1)]


def chosen(offered: Iterable[Crypto], values: Iterable[str]) -> tuple[Crypto, Crypto] | None:
    """Return our offered line that the peer's answer accepts, and its own; None: none properly (RFC 4568 7.1.3).

    The answer must have exactly one line with a tag of ours, of the same suite, and without session parameters that
    were not offered.
    """
    lines = list(values)
    theirs = _read_line(lines[0]) if len(lines) == 1 else None
    if theirs is None:
        return None
    ours = next((each for each in offered if (each.tag, each.key.suite) == (theirs.tag, theirs.key.suite)), None)
    return (ours, theirs) if ours is not None else None


def _read_line(value: str) -> Crypto | None:
    match = _LINE.fullmatch(value)
    if match is None:
        return None
    tag, name, keys, parameters = match.groups()
    suite = SUITES.get(name.upper())
    key = _read_key(suite, keys) if suite is not None else None
    if key is None or not all(map(_HARMLESS.fullmatch, parameters.split())):
        return None
    return Crypto(int(tag), key)


def _read_key(suite: Suite, text: str) -> Key | None:
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    encoded, lifetime, identifier, length = match.groups()
    try:
        material = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        return None
    if len(material) != suite.length or (lifetime and not 0 < _number(lifetime) <= _MOST_PACKETS):
        return None
    if identifier is None:
        return Key(suite, material)
    size = int(length)
    if not 1 <= size <= _LONGEST_MKI or int(identifier) >= 1 << 8 * size:
        return None
    return Key(suite, material, int(identifier).to_bytes(size, "big"))


def _number(lifetime: str) -> int:
    return 1 << int(lifetime[2:]) if lifetime.startswith("2^") else int(lifetime)
