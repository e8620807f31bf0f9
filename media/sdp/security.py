"""How a stream is protected: a=crypto (RFC 4568), a=fingerprint and a=setup (RFC 8122, RFC 4145, RFC 5763)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from media.api import NotAcceptable
from media.rtp.stream import Dtls, Sdes, Security
from media.sdp.description import is_number
from media.sdp.local import Key, Local

PLAIN_PROFILES: Final = ("RTP/AVP", "RTP/AVPF")
SDES_PROFILES: Final = ("RTP/SAVP", "RTP/SAVPF")
DTLS_PROFILES: Final = ("UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF")
PROFILES: Final = (*PLAIN_PROFILES, *SDES_PROFILES, *DTLS_PROFILES)

# RFC 4568 6.2, RFC 6188 2, RFC 7714 14.2: octets of master key and salt.
LENGTHS: Final = {
    "AEAD_AES_256_GCM": 44,
    "AEAD_AES_128_GCM": 28,
    "AES_256_CM_HMAC_SHA1_80": 46,
    "AES_256_CM_HMAC_SHA1_32": 46,
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
}
_LARGEST_TAG: Final = 999_999_999
_INLINE: Final = "inline:"
_CRYPTO_FIELDS: Final = 3
_KEY_PARAMETERS: Final = re.compile(
    r"inline:([A-Za-z0-9+/]+={0,2})(?:\|(2\^[0-9]{1,2}|[0-9]{1,15}))?(?:\|([0-9]{1,128}):([0-9]{1,3}))?"
)
_HARMLESS: Final = ("WSH=", "-")
_LONGEST_MKI: Final = 128
_LONGEST_LIFETIME: Final = 2**48  # packets, RFC 3711 9.2
# RFC 8122 5: MD5 and MD2 must not be used, SHA-1 is weak; the octets of the others.
_HASHES: Final = {"sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}
_HEXADECIMAL: Final = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2})*")
_OUR_ROLE: Final = {"active": "passive", "actpass": "passive", "passive": "active"}


def kind_of(profile: str) -> tuple[str, ...]:
    """Return the profiles that protect a stream as this one does; RTCP feedback makes no difference to that."""
    return next(kind for kind in (PLAIN_PROFILES, SDES_PROFILES, DTLS_PROFILES) if profile in kind)


Attributes = Mapping[str, Sequence[str]]
"""The values of a section's attributes by name."""


class Crypto(NamedTuple):
    """One a=crypto line."""

    tag: int
    suite: str
    key: bytes
    mki: bytes = b""


class Protection(NamedTuple):
    """What was agreed, and the lines of ours that say so."""

    security: Security | None = None
    lines: str = ""


UNPROTECTED: Final = Protection()


def can_protect(profile: str, said: Attributes, local: Local) -> bool:
    """Tell whether a section asks for no protection or one that we can agree to, and brings what that needs."""
    if profile not in PROFILES:
        return False
    if profile not in DTLS_PROFILES and _choose(said, local) is not None:
        return True
    if local.fingerprint and read_fingerprints(said):
        return True
    return profile in PLAIN_PROFILES and not local.secure_only


def protect_answer(profile: str, said: Attributes, local: Local, before: Security | None) -> Protection:
    """Agree with an offer that `can_protect`. Raises NotAcceptable for a role that cannot be.

    An offer of a plain profile with keys in it is answered in kind (RFC 8643 3).
    """
    if profile not in DTLS_PROFILES and (chosen := _choose(said, local)) is not None:
        theirs, key = chosen
        sdes = Sdes(theirs.suite, key.secret, theirs.key, theirs.mki)
        return Protection(sdes, _crypto_line(theirs.tag, key))
    if local.fingerprint and (prints := read_fingerprints(said)):
        dtls = Dtls(_role_towards(said, "active", prints, before), prints)
        return Protection(dtls, f"a=fingerprint:{local.fingerprint}\r\na=setup:{dtls.role}\r\n")
    return UNPROTECTED


def protect_offer(profile: str, local: Local, before: Security | None) -> str:
    """Return the lines of an offer of ours by that profile, or as the stream was protected before."""
    if profile in DTLS_PROFILES or isinstance(before, Dtls):
        return f"a=fingerprint:{local.fingerprint}\r\na=setup:actpass\r\n"
    if profile in SDES_PROFILES or isinstance(before, Sdes) or local.offers_keys:
        return "".join(_crypto_line(tag, key) for tag, key in enumerate(local.keys, 1))
    return ""


def read_answer(profile: str, said: Attributes, local: Local, before: Security | None) -> Security | None:
    """Return what the peer's answer to our offer agrees to. Raises NotAcceptable.

    Only keys in an offer of a plain profile may be left unanswered (RFC 8643 3.2).
    """
    if profile in DTLS_PROFILES or isinstance(before, Dtls):
        if prints := read_fingerprints(said):
            return Dtls(_role_towards(said, "active", prints, before), prints)
        if profile not in PLAIN_PROFILES or local.secure_only:
            raise NotAcceptable("The answer has no fingerprint that can be used.")
    elif profile in SDES_PROFILES or isinstance(before, Sdes) or local.offers_keys:
        lines = read_cryptos(said)
        if len(lines) == 1 and 1 <= lines[0].tag <= len(local.keys):
            theirs, key = lines[0], local.keys[lines[0].tag - 1]
            if theirs.suite == key.suite:
                return Sdes(theirs.suite, key.secret, theirs.key, theirs.mki)
        if profile not in PLAIN_PROFILES or local.secure_only:
            raise NotAcceptable("The answer takes none of the keys that were offered.")
    return None


def read_cryptos(said: Attributes) -> list[Crypto]:
    """Return the a=crypto lines that we can use, in their order."""
    read = (_read_crypto(value) for value in said.get("crypto", ()))
    return [crypto for crypto in read if crypto is not None]


def read_fingerprints(said: Attributes) -> tuple[str, ...]:
    """Return the fingerprints of hashes that are trusted, as "sha-256 AB:CD:…"."""
    prints = []
    for value in said.get("fingerprint", ()):
        name, _, digest = value.partition(" ")
        name, digest = name.lower(), digest.strip().upper()
        if _HEXADECIMAL.fullmatch(digest) and digest.count(":") + 1 == _HASHES.get(name):
            prints.append(f"{name} {digest}")
    return tuple(prints)


def _choose(said: Attributes, local: Local) -> tuple[Crypto, Key] | None:
    """Return the first of the peer's keys with a suite of ours (RFC 4568 5.1.2: the most preferred one)."""
    if "crypto" not in said:
        return None
    ours = {key.suite: key for key in local.keys}
    return next(((crypto, ours[crypto.suite]) for crypto in read_cryptos(said) if crypto.suite in ours), None)


def _crypto_line(tag: int, key: Key) -> str:
    return f"a=crypto:{tag} {key.suite} {_INLINE}{base64.b64encode(key.secret).decode()}\r\n"


def _read_crypto(value: str) -> Crypto | None:
    """Read "<tag> <suite> inline:<key>[|<lifetime>][|<MKI>:<length>] [<session parameters>]".

    Several keys in one line and session parameters that change what is sent are not served. The window size hint is
    only one (RFC 4568 6.3.6), and what begins with a dash may be ignored (6.3.7). The lifetime is the peer's to keep.
    """
    fields = value.split()
    if len(fields) < _CRYPTO_FIELDS or not is_number(fields[0], _LARGEST_TAG):
        return None
    tag, suite, parameters, *session = fields
    match = _KEY_PARAMETERS.fullmatch(parameters)
    if suite not in LENGTHS or match is None or not all(each.startswith(_HARMLESS) for each in session):
        return None
    encoded, lifetime, number, length = match.groups()
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(key) != LENGTHS[suite] or (lifetime and not 0 < _lifetime(lifetime) <= _LONGEST_LIFETIME):
        return None
    if length is None:
        return Crypto(int(tag), suite, key)
    if not 1 <= int(length) <= _LONGEST_MKI or int(number).bit_length() > 8 * int(length):
        return None
    return Crypto(int(tag), suite, key, int(number).to_bytes(int(length), "big"))


def _lifetime(text: str) -> int:
    return 1 << int(text[2:]) if text.startswith("2^") else int(text)


def _role_towards(said: Attributes, default: str, prints: tuple[str, ...], before: Security | None) -> str:
    """Return our part in the handshake: we wait where the peer lets us, as what comes first shows where it is.

    An association that goes on keeps its roles (RFC 8842 5.2). Raises NotAcceptable.
    """
    theirs = next(iter(said.get("setup", ())), default)
    role = _OUR_ROLE.get(theirs)
    if role is None:
        raise NotAcceptable(f"The audio stream has an unusable a=setup:{theirs[:40]}")
    if theirs == "actpass" and isinstance(before, Dtls) and before.fingerprints == prints:
        return before.role
    return role
