"""SRTP and ICE: what a backend declares it does, what it does not declare it refuses."""

from __future__ import annotations

import pytest

from media.api import Capability, Media, MediaEvent, MediaLeg, NotAcceptable, Protection, Unsupported
from media.sdp.description import parse

HEAD = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
SDES = f"{HEAD}m=audio 40000 RTP/SAVP 0\r\na=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:{'A' * 40}\r\n"
FINGERPRINT = f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}\r\na=setup:actpass\r\n"
DTLS = f"{HEAD}m=audio 40000 UDP/TLS/RTP/SAVPF 0\r\n{FINGERPRINT}"
ICE = (
    f"{HEAD}m=audio 40000 RTP/AVP 0\r\na=ice-ufrag:abcd\r\na=ice-pwd:{'p' * 22}\r\n"
    "a=candidate:1 1 UDP 1 127.0.0.1 40000 typ host\r\n"
)
SAYS = {Capability.SDES: "crypto", Capability.DTLS: "fingerprint", Capability.ICE: "ice-ufrag"}


async def opened(media: Media, **how: object) -> MediaLeg:
    events: list[MediaEvent] = []
    return await media.open("secured", events.append, **how)  # type: ignore[arg-type]


@pytest.mark.rfc("4568-7.1.2", "5763-5")
@pytest.mark.parametrize(("offer", "needed"), [(SDES, Capability.SDES), (DTLS, Capability.DTLS)])
async def test_an_offer_of_srtp_is_answered_in_kind_or_refused(media: Media, offer: str, needed: Capability) -> None:
    if needed not in media.capabilities():
        with pytest.raises(NotAcceptable):
            await opened(media, offer=offer)
        return
    leg = await opened(media, offer=offer)
    (section,) = parse(leg.local_sdp).media
    assert section.protocol == parse(offer).media[0].protocol
    (line,) = section.attributes(SAYS[needed])
    if needed is Capability.SDES:
        assert line.startswith("4 AES_CM_128_HMAC_SHA1_80 inline:")
        assert "A" * 40 not in line
    await leg.close()


@pytest.mark.rfc("8445-2.5")
async def test_ice_is_spoken_where_it_is_declared(media: Media) -> None:
    leg = await opened(media, offer=ICE)
    said = bool(parse(leg.local_sdp).media[0].attributes(SAYS[Capability.ICE]))
    assert said == (Capability.ICE in media.capabilities())
    await leg.close()


@pytest.mark.rfc("4568-5.1.1", "5763-5")
@pytest.mark.parametrize(
    ("protection", "needed"), [(Protection.SDES, Capability.SDES), (Protection.DTLS, Capability.DTLS)]
)
async def test_an_offer_is_protected_as_it_was_asked_for(
    media: Media, protection: Protection, needed: Capability
) -> None:
    if needed not in media.capabilities():
        with pytest.raises(Unsupported):
            await opened(media, protection=protection)
        return
    leg = await opened(media, protection=protection)
    assert parse(leg.local_sdp).media[0].attributes(SAYS[needed])
    await leg.close()
