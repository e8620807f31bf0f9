"""The secrets of legs: keys for SDES, credentials for ICE, and the certificate for DTLS.

All are made in the engine's process, because that is where descriptions are written: an answer is ready without asking
a worker. What the worker needs of them comes to it with the stream that was agreed, over a socket that it inherited;
the certificate, which all legs share, with the first message.
"""

from __future__ import annotations

import base64
import datetime as dt
import secrets
from typing import Final

from media.api import Protection
from media.sdp.local import PLAIN, SECURED, SECURED_BY_DTLS, Key, Local
from media.secure.identity import Identity, make_identity
from media.secure.srtp import SUITES
from media.settings import MediaSettings

_SERIAL_BITS: Final = 127
_UFRAG_OCTETS, _PASSWORD_OCTETS = 6, 18  # of chance, in base64: 8 and 24 characters (RFC 8839 5.4: at least 4 and 22)
_KEY_OCTETS: Final = sum(suite.length for suite in SUITES.values())


class Credentials:
    """Draws what each leg brings to offer and answer, as far as the settings let it."""

    def __init__(self, settings: MediaSettings) -> None:
        self.identity: Identity | None = None
        if settings.dtls and settings.srtp != "off":
            self.identity = make_identity(dt.datetime.now(dt.UTC), secrets.randbits(_SERIAL_BITS) | 1)
        self._settings = settings

    def draw(self, protection: Protection) -> Local:
        """Return a leg's part; `protection` is how its own offers are to be protected, where that is allowed."""
        settings = self._settings
        ufrag, password = self._draw_ice()
        if settings.srtp == "off":
            return Local(codecs=settings.codecs, offers=settings.offers, ufrag=ufrag, password=password)
        if protection is Protection.DTLS and self.identity is not None:
            profile = SECURED_BY_DTLS
        else:
            profile = SECURED if protection is Protection.SDES or settings.srtp == "required" else PLAIN
        return Local(
            codecs=settings.codecs,
            offers=settings.offers,
            profile=profile,
            keys=draw_keys(),
            offers_keys=protection is Protection.OPPORTUNISTIC,
            fingerprint=self.identity.fingerprint if self.identity is not None else "",
            secure_only=settings.srtp == "required",
            ufrag=ufrag,
            password=password,
        )

    def _draw_ice(self) -> tuple[str, str]:
        if not self._settings.ice:
            return "", ""
        drawn = base64.b64encode(secrets.token_bytes(_UFRAG_OCTETS + _PASSWORD_OCTETS)).decode()
        cut = _UFRAG_OCTETS * 4 // 3
        return drawn[:cut], drawn[cut:]


def draw_keys() -> tuple[Key, ...]:
    """Return a new key for each suite."""
    drawn = secrets.token_bytes(_KEY_OCTETS)
    keys = []
    for suite in SUITES.values():
        keys.append(Key(suite.name, drawn[: suite.length]))
        drawn = drawn[suite.length :]
    return tuple(keys)
