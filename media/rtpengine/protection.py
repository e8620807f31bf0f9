"""The secrets of a leg: rtpengine draws them, and descriptions of ours tell them to the peer.

Offer and answer are judged before rtpengine has said anything, so a draft with secrets of no worth stands in for those
to come; what is written to a peer is written when they are known.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final

import msgspec

from media.api import MediaError, Protection
from media.rtp.stream import Dtls, Sdes, Stream
from media.rtpengine.settings import RtpengineSettings
from media.sdp.description import parse
from media.sdp.local import PLAIN, SECURED, SECURED_BY_DTLS, Key, Local
from media.sdp.security import LENGTHS, read_cryptos

_DRAFT_FINGERPRINT: Final = "sha-256 " + ":".join(["00"] * 32)
_DRAFT_CREDENTIAL: Final = "0" * 24
_THEIR_ROLE: Final = {"active": "passive", "passive": "active"}


class Secrets(msgspec.Struct, frozen=True):
    """What rtpengine told of a leg; `tags` are the numbers of its keys, by their suites."""

    keys: tuple[Key, ...] = ()
    tags: dict[str, int] = {}
    fingerprint: str = ""
    ufrag: str = ""
    password: str = ""


def draft(settings: RtpengineSettings, protection: Protection) -> Local:
    """Return what a leg can bring; `protection` is how its own offers are to be protected, where that is allowed."""
    plain = Local(codecs=settings.codecs, offers=settings.offers)
    if settings.ice:
        plain = msgspec.structs.replace(plain, ufrag=_DRAFT_CREDENTIAL, password=_DRAFT_CREDENTIAL)
    if settings.srtp == "off":
        return plain
    profile = SECURED if protection is Protection.SDES or settings.srtp == "required" else PLAIN
    return msgspec.structs.replace(
        plain,
        profile=SECURED_BY_DTLS if protection is Protection.DTLS and settings.dtls else profile,
        keys=tuple(Key(suite, bytes(length)) for suite, length in LENGTHS.items()),
        offers_keys=protection is Protection.OPPORTUNISTIC,
        fingerprint=_DRAFT_FINGERPRINT if settings.dtls else "",
        secure_only=settings.srtp == "required",
    )


def read(text: str) -> Secrets:
    """Return the secrets in a description that rtpengine wrote for the peer. Raises NotAcceptable."""
    description = parse(text)
    lines = [*description.lines, *(line for media in description.media[:1] for line in media.lines)]
    said: dict[str, list[str]] = {}
    for letter, value in lines:
        if letter == "a":
            name, _, rest = value.partition(":")
            said.setdefault(name, []).append(rest)
    cryptos = read_cryptos(said)

    def only(name: str) -> str:
        return next(iter(said.get(name, ())), "")

    return Secrets(
        tuple(Key(each.suite, each.key) for each in cryptos),
        {each.suite: each.tag for each in cryptos},
        only("fingerprint"),
        only("ice-ufrag"),
        only("ice-pwd"),
    )


def informed(local: Local, secrets: Secrets) -> Local:
    """Put the secrets in the place of the draft's."""
    return msgspec.structs.replace(
        local,
        keys=secrets.keys or local.keys,
        fingerprint=secrets.fingerprint or local.fingerprint,
        ufrag=secrets.ufrag or local.ufrag,
        password=secrets.password or local.password,
    )


def check(stream: Stream, secrets: Secrets) -> None:
    """See that what was agreed rests on secrets that rtpengine told. Raises MediaError."""
    security = stream.security
    if (
        (isinstance(security, Sdes) and security.send_key not in {key.secret for key in secrets.keys})
        or (isinstance(security, Dtls) and not secrets.fingerprint)
        or (stream.ice is not None and not secrets.ufrag)
    ):
        raise MediaError("rtpengine does not protect the stream as it was agreed.")


def profile_of(stream: Stream) -> str:
    """Return the profile that rtpengine is to speak with the peer."""
    if isinstance(stream.security, Sdes):
        return SECURED
    return SECURED_BY_DTLS if isinstance(stream.security, Dtls) else PLAIN


def lines_of(stream: Stream, tags: Mapping[str, int]) -> str:
    """Return what the peer's description says of SRTP and ICE, as rtpengine is to hear it."""
    lines = ""
    security = stream.security
    if isinstance(security, Sdes):
        key = base64.b64encode(security.receive_key).decode()
        mki = security.receive_mki
        named = f"|{int.from_bytes(mki, 'big')}:{len(mki)}" if mki else ""
        lines += f"a=crypto:{tags.get(security.suite, 1)} {security.suite} inline:{key}{named}\r\n"
    elif isinstance(security, Dtls):
        lines += f"a=setup:{_THEIR_ROLE[security.role]}\r\n"
        lines += "".join(f"a=fingerprint:{each}\r\n" for each in security.fingerprints)
    if stream.ice is not None:
        lines += f"a=ice-ufrag:{stream.ice.remote_ufrag}\r\na=ice-pwd:{stream.ice.remote_pwd}\r\n"
        if stream.host is not None:
            lines += f"a=candidate:1 1 UDP 2130706431 {stream.host} {stream.port} typ host\r\n"
    return lines
