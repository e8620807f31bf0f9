"""A key that went out of use is not used again: its packets would be numbered from the beginning once more."""

from typing import Any, cast

import pytest

from media.api import Protection
from media.builtin.credentials import Credentials
from media.builtin.leg import WorkerLeg
from media.sdp.description import parse
from media.sdp.negotiation import Negotiation
from media.settings import MediaSettings

KEY = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + "\r\n"
PLAIN, SECURED = "RTP/AVP", "RTP/SAVP"


class Worker:
    """Takes every command."""

    settings = MediaSettings()

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, command: Any, *, soon: bool = True) -> None:
        self.sent.append(command)


def described(profile: str, more: str = "") -> str:
    return (
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        f"m=audio 4000 {profile} 0\r\n{KEY if profile == SECURED else ''}{more}"
    )


def key_in(sdp: str) -> str:
    (media,) = parse(sdp).media
    (crypto,) = [value for value in media.attributes("crypto") if "AES_CM_128_HMAC_SHA1_80" in value]
    return crypto.partition("inline:")[2]


def leg() -> tuple[WorkerLeg, Worker]:
    worker = Worker()
    local = Credentials(worker.settings).draw(Protection.NONE)
    negotiation = Negotiation("192.0.2.9", 1, local=local)
    negotiation.port = 4000
    return WorkerLeg(cast("Any", worker), 1, "a", negotiation, print), worker


@pytest.mark.rfc("3711-9.1")
@pytest.mark.parametrize(
    ("meanwhile", "afterwards"),
    [
        ([described(PLAIN)], described(SECURED)),
        ([], described(SECURED, "a=rtcp-mux\r\n")),
    ],
)
async def test_a_leg_that_comes_back_to_sdes_brings_another_key(meanwhile: list[str], afterwards: str) -> None:
    one, worker = leg()
    first = key_in(await one.reoffer(described(SECURED)))
    for offer in meanwhile:
        await one.reoffer(offer)
    second = key_in(await one.reoffer(afterwards))
    assert first != second
    assert worker.sent[-1].stream.security.send_key == one.negotiation.stream.security.send_key  # type: ignore[union-attr]


@pytest.mark.rfc("3711-3.3.1")
async def test_a_leg_that_stays_with_sdes_keeps_its_key() -> None:
    one, _ = leg()
    first = key_in(await one.reoffer(described(SECURED)))
    assert key_in(await one.reoffer(described(SECURED, "a=sendonly\r\n"))) == first
    assert key_in(await one.reoffer(None)) == first
