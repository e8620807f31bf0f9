"""What only rtpengines are asked: several of them, weighted, lost, returned, added and drained."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from media.api import Capability, Lost, Media, MediaError, MediaUnavailable, Protection, RtpTimeout, Unsupported
from media.rtpengine.backend import RtpengineMedia
from media.rtpengine.ng import Refused
from media.rtpengine.settings import CAPABILITIES, Node, RtpengineSettings
from media.sdp.description import parse
from media.settings import PROMPT_DIRECTORY
from tests.media.conftest import until, write_wav

from .conftest import Parties, Rtpengines, eventually, rtpengines, sine, talking
from .rtpengines import Rtpengine

pytestmark = pytest.mark.peer("rtpengine")
HIGH, LOW, MIDDLE = 1500, 500, 1000


@pytest.fixture
async def backend(ports: Any, tmp_path: Path) -> AsyncIterator[Rtpengines]:
    write_wav(tmp_path / "prompts" / "long.wav", list(sine(1000, 10_000)))
    async for each in rtpengines(ports, (str(tmp_path / "prompts"), PROMPT_DIRECTORY), tmp_path):
        yield each


def states(backend: Rtpengines) -> list[str]:
    return [member.state for member in backend.media.members()]


async def test_legs_go_where_there_are_fewest_for_the_weight(backend: Rtpengines, party: Parties) -> None:
    first, second = (engine.node for engine in backend.engines)
    backend.media.add(Node(host=second.host, port=second.port, weight=3))
    parties = [await party() for _ in range(8)]
    assert [member.legs for member in backend.media.members()] == [2, 6]
    there = [one for one in parties if one.port in backend.engines[0].rtp]
    beside = await party(answers=True, like=there[0])
    assert beside.port in backend.engines[0].rtp
    assert [member.name for member in backend.media.members()] == [first.name, second.name]


async def test_legs_of_different_rtpengines_are_bridged(backend: Rtpengines, party: Parties) -> None:
    one, other = await party("PCMU"), await party("G722")
    assert (one.port in backend.engines[0].rtp) is not (other.port in backend.engines[0].rtp)
    one.leg.bridge(other.leg)
    await talking(lambda: one.phone.hears(HIGH) and other.phone.hears(LOW), (one, LOW), (other, HIGH))


async def test_one_that_returns_is_used_again(backend: Rtpengines, party: Parties) -> None:
    one = await party()
    dead = next(engine for engine in backend.engines if one.port in engine.rtp)
    dead.kill()
    await until(lambda: one.events == [Lost("the rtpengine was lost")], "the loss")
    assert sorted(states(backend)) == ["failed", "serving"]
    dead.start()
    await eventually(lambda: states(backend) == ["serving"] * 2, "its return")
    assert sum(member.restarts for member in backend.media.members()) == 1
    again = [await party(), await party()]
    assert any(each.port in dead.rtp for each in again)


async def test_one_that_is_started_anew_between_two_looks_has_lost_its_legs(
    backend: Rtpengines, party: Parties
) -> None:
    one = await party()
    engine = next(engine for engine in backend.engines if one.port in engine.rtp)
    engine.kill()
    engine.start()
    await eventually(lambda: any(isinstance(event, Lost) for event in one.events), "the loss")


async def test_a_leg_that_is_lost_alone_leaves_no_ports_behind(
    backend: Rtpengines, party: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await party()
    leg: Any = one.leg
    ask = leg._server.ask

    async def refusing(command: str, **arguments: Any) -> Any:
        if command == "offer":
            raise Refused("no such thing")
        return await ask(command, **arguments)

    monkeypatch.setattr(leg._server, "ask", refusing)
    leg.echo()
    await until(lambda: one.events == [Lost("no such thing")], "the loss")
    assert await ask("query", call_id=leg.call_id)
    await leg.close()
    with pytest.raises(Refused):
        await ask("query", call_id=leg.call_id)


async def test_when_all_are_gone_there_is_no_leg_to_be_had(backend: Rtpengines, media: Media, party: Parties) -> None:
    for engine in backend.engines:
        engine.kill()
    with pytest.raises(MediaUnavailable):
        await party()
    await until(lambda: not media.healthy())


async def test_one_is_drained_and_another_added_while_calls_go_on(
    backend: Rtpengines, party: Parties, ports: Any, tmp_path: Path
) -> None:
    one, other = await party(), await party()
    one.leg.bridge(other.leg)
    speech = (one, LOW), (other, HIGH)
    await talking(lambda: other.phone.hears(LOW), *speech)
    drained = next(engine for engine in backend.engines if one.port in engine.rtp)
    rest = next(engine for engine in backend.engines if engine is not drained)
    assert backend.media.drain(drained.node.name).state == "draining"
    with pytest.raises(MediaError, match="only rtpengine"):
        backend.media.drain(rest.node.name)
    first = ports.block(80)
    added = Rtpengine(tmp_path, ng=ports.block(1), rtp=range(first, first + 80), digits=backend.digits)
    added.start()
    backend.engines.append(added)
    assert backend.media.add(added.node).state == "starting"
    await eventually(lambda: states(backend).count("serving") == 2, "the new one")
    third = await party(like=one)
    assert third.port not in drained.rtp
    other.phone.forget()
    await talking(lambda: other.phone.hears(LOW) and one.phone.hears(HIGH), *speech, what="the talk, all the same")
    await one.leg.close()
    await until(lambda: len(backend.media.members()) == 2, "the end of the drained one")
    assert backend.media.counters().packets_received > 0
    backend.media.follow([added.node])
    assert {member.name: member.state for member in backend.media.members()} == {
        rest.node.name: "draining",
        added.node.name: "serving",
    }


async def test_one_that_tells_nobody_of_digits_is_not_used(ports: Any, tmp_path: Path) -> None:
    ng, digits, elsewhere = (ports.block(1) for _ in range(3))
    first = ports.block(80)
    engine = Rtpengine(tmp_path, ng=ng, rtp=range(first, first + 80), digits=elsewhere)
    engine.start()
    settings = RtpengineSettings(nodes=(engine.node,), digits=("127.0.0.1", digits), spool=str(tmp_path))
    try:
        with pytest.raises(MediaUnavailable, match="dtmf-log-dest must be the address"):
            await RtpengineMedia(settings).start()
    finally:
        engine.kill()


async def test_a_peer_who_falls_silent_is_told_of_once(
    backend: Rtpengines, party: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, holding = await party(), await party(answers=True), await party()
    await holding.leg.reoffer(holding.phone.sdp("sendonly"))
    one.leg.bridge(other.leg)
    await talking(lambda: other.phone.hears(LOW), (one, LOW), (other, HIGH))
    legs: list[Any] = [one.leg, other.leg, holding.leg]
    now = [0.0]
    for leg in legs:
        monkeypatch.setattr(leg, "_loop", Clock(leg._loop, now))
        assert not await leg.look(30)
    now[0] += 31
    one.tone(LOW)
    await until(lambda: len(other.phone.read()) and one.phone.read(), "the packet")
    assert [await leg.look(30) for leg in legs] == [False, True, False]
    assert [await leg.look(30) for leg in legs] == [False] * 3
    assert (one.events, other.events, holding.events) == ([], [RtpTimeout()], [])


async def test_what_it_cannot_do_is_refused(media: Media, party: Parties) -> None:
    one, other = await party(), await party()
    assert media.capabilities() == CAPABILITIES
    refused: dict[Capability, Callable[[], object]] = {
        Capability.RECORDING: lambda: one.leg.bridge(other.leg, record="call.wav"),
        Capability.PAUSED_RECORDING: one.leg.pause_recording,
        Capability.VOLUME: lambda: one.leg.adjust(heard=0.5),
        Capability.SENT_DIGITS: lambda: one.leg.send_digits("1"),
        Capability.MIXING: lambda: media.connect({(one.leg, other.leg): 1.0}),
    }
    for capability, ask in refused.items():
        assert capability not in CAPABILITIES
        with pytest.raises(Unsupported):
            ask()


class Clock:
    """A loop whose time is moved by a test."""

    def __init__(self, loop: Any, now: list[float]) -> None:
        self._loop = loop
        self._began = loop.time()
        self._now = now

    def time(self) -> float:
        return float(self._began + self._now[0])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


@pytest.mark.rfc("5763-5", "8839-5", "4568-5.1")
async def test_offers_of_ours_tell_the_secrets_that_rtpengine_has(media: Media) -> None:
    by_dtls = await media.open("browser", print, protection=Protection.DTLS)
    (section,) = parse(by_dtls.local_sdp).media
    assert section.protocol == "UDP/TLS/RTP/SAVPF"
    (fingerprint,) = section.attributes("fingerprint")
    (ufrag,) = section.attributes("ice-ufrag")
    assert "00:00:00:00" not in fingerprint
    assert section.attributes("setup") == ["actpass"]
    assert len(set(ufrag)) > 1
    by_keys = await media.open("phone", print, protection=Protection.SDES)
    (section,) = parse(by_keys.local_sdp).media
    assert section.protocol == "RTP/SAVP"
    keys = [value.split("inline:")[1] for value in section.attributes("crypto")]
    assert len(set(keys)) == len(keys) >= 4
    assert not [key for key in keys if key.startswith("AAAAAAAA")]
    for leg in (by_dtls, by_keys):
        await leg.close()
