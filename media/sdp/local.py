"""What we bring to offer and answer on one leg."""

from __future__ import annotations

import functools
from typing import Final

import msgspec

from media.codecs.names import CN, DEFAULT_CODECS, DEFAULT_OFFERS

PLAIN: Final = "RTP/AVP"
SECURED: Final = "RTP/SAVP"
SECURED_BY_DTLS: Final = "UDP/TLS/RTP/SAVPF"


class Key(msgspec.Struct, frozen=True, array_like=True):
    """A key of ours for SDES: the master key followed by the master salt, as long as the suite wants it."""

    suite: str
    secret: bytes


class Local(msgspec.Struct, frozen=True, kw_only=True):
    """What a leg can do, and by what profile its own offers are made.

    `codecs` are accepted, `offers` those of them that our own offers name, in that order. SDES is served where there
    are `keys`, the suite preferred first, DTLS where there is a `fingerprint` ("sha-256 AB:CD:…"), ICE where there are
    `ufrag` and `password`. A leg that `offers_keys` puts them into offers of a plain profile as well, which peers may
    ignore (RFC 8643); one that is `secure_only` takes no stream without SRTP.
    """

    codecs: tuple[str, ...] = DEFAULT_CODECS
    offers: tuple[str, ...] = DEFAULT_OFFERS
    profile: str = PLAIN
    keys: tuple[Key, ...] = ()
    offers_keys: bool = False
    fingerprint: str = ""
    ufrag: str = ""
    password: str = ""
    secure_only: bool = False

    @property
    def offered(self) -> tuple[str, ...]:
        """What is offered: never nothing, and nothing that would not be accepted."""
        return _offered(self.offers, self.codecs)


@functools.lru_cache(maxsize=64)
def _offered(offers: tuple[str, ...], codecs: tuple[str, ...]) -> tuple[str, ...]:
    chosen = tuple(codec for codec in offers if codec in codecs)
    return chosen if set(chosen) - {CN} else codecs
