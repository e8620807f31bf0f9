"""What is made for a peer is as its SDP wants it: codec, length of packets, comfort noise, volume."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from media import conference
from media.codecs import ENCODABLE
from media.codecs.names import AMR, AMR_WB, G722, OPUS, PCMA, PCMU
from media.worker import control

from .conftest import Bench, until, write_wav
from .talking import AMPLITUDE, FORMATS, NOISE, HandTicker, Studio, Talker, events_of

LOW, HIGH = 440.0, 1100.0
CODECS = [codec for codec in (PCMU, PCMA, G722, OPUS, AMR, AMR_WB) if codec in ENCODABLE]


@pytest.fixture
def ticker(monkeypatch: pytest.MonkeyPatch) -> HandTicker:
    ticker = HandTicker()
    monkeypatch.setattr("media.worker.worker.Ticker", lambda *_: ticker)
    return ticker


@pytest.fixture
def studio(ticker: HandTicker, clock: list[float], bench: Bench, prompt_directory: Path) -> Studio:
    """A studio with a prompt "hum": two seconds of LOW."""
    hum = AMPLITUDE * np.sin(2 * np.pi * LOW * np.arange(16_000) / 8000)
    write_wav(prompt_directory / "hum.wav", [int(sample) for sample in hum])
    bench.worker.prompts.preload()
    return Studio(bench, clock, ticker)


def bridge(studio: Studio, one: Talker, other: Talker) -> None:
    studio.bench.handle(control.Bridge(one.leg, other.leg, None))


def audio(talker: Talker) -> list[tuple[int, int, int, int, int, bytes]]:
    return [packet for packet in talker.packets() if packet[0] == talker.stream.send.payload]


@pytest.mark.parametrize("codec", CODECS)
async def test_a_prompt_is_heard_in_any_codec(studio: Studio, codec: str) -> None:
    caller = studio.talker("caller", codec)
    caller.silent = True
    studio.bench.handle(control.Play(caller.leg, ("hum",), False, False, 1))
    await studio.run(0.6)
    assert len(audio(caller)) == 30
    assert caller.level(LOW) == pytest.approx(0, abs=1)
    studio.bench.handle(control.Stop(caller.leg))
    assert studio.bench.of(control.Finished)[0].heard_ms == 600


@pytest.mark.parametrize("sent", [10, 20, 40, 60])
@pytest.mark.parametrize("wanted", [10, 20, 30, 40, 60])
async def test_packets_have_the_length_that_the_peer_wants(studio: Studio, sent: int, wanted: int) -> None:
    one = studio.talker("one", PCMU, frequency=LOW, sends_ms=sent)
    other = studio.talker("other", G722, frequency=HIGH, packet_ms=wanted)
    bridge(studio, one, other)
    await studio.run(2.4)
    packets = audio(other)
    assert {len(payload) for *_, payload in packets} == {8 * wanted}
    steps = {(after[3] - before[3]) & 0xFFFFFFFF for before, after in itertools.pairwise(packets)}
    assert steps == {8 * wanted}
    assert other.level(LOW) == pytest.approx(0, abs=1)


@pytest.mark.rfc("3551-4.5.2")
async def test_the_clock_of_g722_is_8_khz(studio: Studio) -> None:
    one, other = studio.talker("one", G722), studio.talker("other", OPUS)
    bridge(studio, one, other)
    await studio.run(0.4)
    for talker, step in ((one, 160), (other, 960)):
        packets = audio(talker)
        assert {after[3] - before[3] for before, after in itertools.pairwise(packets)} == {step}


async def test_volume_belongs_to_a_leg_and_a_direction(studio: Studio) -> None:
    one, other = studio.talker("one", frequency=LOW), studio.talker("other", frequency=HIGH)
    bridge(studio, one, other)
    for heard, spoken, at_one, at_other in ((0.5, 2.0, -6, 6), (0.0, 1.0, None, 0), (1.0, 0.0, 0, None)):
        studio.bench.handle(control.Adjust(one.leg, heard, spoken))
        await studio.run(2.4)
        assert one.hears([other]) == ({"other": at_one} if at_one is not None else {})
        assert other.hears([one]) == ({"one": at_other} if at_other is not None else {})


async def test_who_is_muted_is_still_sent_to(studio: Studio) -> None:
    """A stream that stopped would look like a failure to the peer, and to a firewall."""
    one, other = studio.talker("one"), studio.talker("other")
    bridge(studio, one, other)
    studio.bench.handle(control.Adjust(one.leg, 0.0, 0.0))
    await studio.run(0.4)
    assert len(audio(one)) == len(audio(other)) == 20


async def test_volume_counts_for_prompts_too(studio: Studio) -> None:
    caller = studio.talker("caller")
    caller.silent = True
    studio.bench.handle(control.Adjust(caller.leg, 0.5, 1.0), control.Play(caller.leg, ("hum",), False, False, 1))
    await studio.run(0.6)
    assert caller.level(LOW) == pytest.approx(-6, abs=0.5)


async def test_no_sum_is_louder_than_can_be(studio: Studio) -> None:
    talkers = [studio.talker(name, frequency=LOW) for name in "abc"]
    hearer = studio.talker("hearer")
    hearer.silent = True
    for talker in talkers:
        talker.amplitude = 30_000.0
    studio.mix({(talker, hearer): 1.0 for talker in talkers})
    await studio.run(0.6)
    heard = hearer.heard(0.1)
    assert heard.max() > 30_000
    assert heard.min() < -30_000
    assert np.abs(np.diff(heard)).max() < 40_000, "it is cut, not wrapped around"


@pytest.mark.rfc("3389-4")
async def test_silence_is_described_to_who_takes_comfort_noise(studio: Studio) -> None:
    one = studio.talker("one", G722)
    other = studio.talker("other", PCMU, also=[NOISE], send_noise=NOISE)
    bridge(studio, one, other)
    await studio.run(0.6)
    one.amplitude = 0.0
    await studio.run(2.0)
    noise = [packet for packet in other.packets() if packet[0] == NOISE.payload]
    assert 1 <= len(noise) <= 10
    assert len(audio(other)) < 80
    before = len(other.packets())
    one.amplitude = AMPLITUDE
    await studio.run(0.4)
    again = [packet for packet in other.packets()[before:] if packet[0] == 0]
    assert again[0][1] == 1, "the marker of a talkspurt"
    steps = [(b[2] - a[2], b[3] - a[3]) for a, b in zip(other.packets(), other.packets()[1:], strict=False)]
    assert {step for step, _ in steps} == {1}


@pytest.mark.rfc("3389-4")
async def test_comfort_noise_is_heard_by_who_takes_none(studio: Studio) -> None:
    one = studio.talker("one", PCMU, also=[NOISE])
    other = studio.talker("other", G722)
    bridge(studio, one, other)
    await studio.run(0.4)
    one.silent = True
    one.phone.raw(one.port, one.phone.header(NOISE.payload) + b"\x28")
    one.phone.sequence += 1
    await studio.run(0.6)
    heard = other.heard(0.2)
    level = 20 * np.log10(np.sqrt(np.mean(heard**2)) / 32767)
    assert level == pytest.approx(-40, abs=2)


@pytest.mark.rfc("7160-4.1")
async def test_a_peer_changes_its_codec_in_mid_call(studio: Studio) -> None:
    one = studio.talker("one", PCMU, frequency=LOW, also=list(FORMATS.values()))
    other = studio.talker("other", PCMU, frequency=HIGH)
    bridge(studio, one, other)
    for codec in (PCMU, OPUS, G722, PCMA, PCMU):
        one.speaks(FORMATS[codec])
        await studio.run(2.4)
        assert other.level(LOW) == pytest.approx(0, abs=1), codec
    packets = other.packets()
    assert {(b[2] - a[2]) & 0xFFFF for a, b in itertools.pairwise(packets)} == {1}
    assert studio.bench.counters().packets_invalid == 0


async def test_a_relay_begins_again_when_the_codecs_agree_again(studio: Studio) -> None:
    one = studio.talker("one", PCMU, also=list(FORMATS.values()))
    other = studio.talker("other", PCMU)
    bridge(studio, one, other)
    one.speaks(FORMATS[OPUS])
    await studio.run(0.6)
    one.speaks(FORMATS[PCMU])
    before = len(one.said)
    await studio.run(0.4)
    assert [payload for *_, payload in audio(other)][-20:] == one.said[before:]


async def test_who_leaves_a_conference_leaves_the_others_together(studio: Studio) -> None:
    a, b, c = (studio.talker(name, frequency=tone) for name, tone in (("a", LOW), ("b", HIGH), ("c", 700.0)))
    studio.mix(dict.fromkeys([(one, other) for one in (a, b, c) for other in (a, b, c) if one is not other], 1.0))
    await studio.run(0.6)
    studio.bench.handle(control.Close(c.leg))
    studio.talkers.remove(c)
    await studio.run(0.6)
    assert set(a.hears([b, c])) == {"b"}
    assert set(b.hears([a, c])) == {"a"}


async def test_who_is_connected_anew_leaves_the_others_together(studio: Studio) -> None:
    a, b, c, d = (
        studio.talker(name, frequency=tone) for name, tone in (("a", LOW), ("b", HIGH), ("c", 700.0), ("d", 1700.0))
    )
    everybody = [a, b, c, d]
    studio.mix(dict.fromkeys([(one, other) for one in (a, b, c) for other in (a, b, c) if one is not other], 1.0))
    await studio.run(0.2)
    studio.mix({(c, d): 1.0, (d, c): 1.0})
    await studio.run(0.6)
    assert [set(talker.hears(everybody)) for talker in everybody] == [{"b"}, {"a"}, {"d"}, {"c"}]


async def test_packets_that_are_lost_on_the_way_leave_no_hole(studio: Studio) -> None:
    one, other = studio.talker("one", PCMU, frequency=LOW), studio.talker("other", G722)
    bridge(studio, one, other)
    await studio.run(1.0)
    for _ in range(10):
        one.silent = True
        await studio.run(0.02)
        one.silent = False
        await studio.run(0.18)
    packets = audio(other)
    assert {(b[2] - a[2], (b[3] - a[3]) & 0xFFFFFFFF) for a, b in itertools.pairwise(packets)} == {(1, 160)}
    assert other.level(LOW, 1.0) > -3


async def test_it_is_told_how_many_hear_what_is_made_for_them(studio: Studio) -> None:
    one, other, third = studio.talker("one"), studio.talker("other"), studio.talker("third", G722)
    bridge(studio, one, other)
    await studio.run(0.1)
    assert studio.bench.counters().mixed == 0
    bridge(studio, one, third)
    assert studio.bench.counters().mixed == 2
    studio.bench.handle(control.Unbridge(one.leg))
    assert studio.bench.counters().mixed == 0


async def test_a_peer_that_changes_its_codec_all_the_time_costs_no_more_than_others(studio: Studio) -> None:
    one, other = studio.talker("one", PCMU, also=list(FORMATS.values())), studio.talker("other")
    bridge(studio, one, other)
    for number in range(40):
        one.speaks(FORMATS[(PCMU, G722)[number % 2]])
        await studio.run(0.02)
    assert 5 <= studio.bench.counters().packets_invalid <= 20
    one.speaks(FORMATS[PCMU])
    await studio.run(2.4)
    assert other.level(440.0) == pytest.approx(0, abs=1)


@pytest.mark.rfc("4733-2.5.1.2")
async def test_a_key_crosses_a_conference_once_and_at_the_clock_of_each_hearer(studio: Studio) -> None:
    one, two, three = studio.talker("one"), studio.talker("two", OPUS), studio.talker("three", G722)
    studio.mix(conference.together(one, two, three))
    await studio.run(0.4)
    received = studio.bench.counters().packets_received
    one.phone.press(one.port, 5)
    await until(lambda: studio.bench.counters().packets_received == received + 6)
    await studio.run(0.6)
    assert [report.digit for report in studio.bench.of(control.Pressed)] == ["5"]
    for hearer in (two, three):
        events = [packet for packet in hearer.packets() if packet[0] == events_of(hearer.stream.send).payload]
        assert len({timestamp for _, _, _, timestamp, _, _ in events}) == 1
        assert {payload[0] for *_, payload in events} == {5}
        ends = [payload for *_, payload in events if payload[1] & 0x80]
        assert len(ends) == 3
        # The last packet of the press tells of 640 samples of 8 kHz: 80 ms.
        assert int.from_bytes(ends[0][2:4], "big") == hearer.stream.send.clock_rate * 80 // 1000
    assert not [packet for packet in one.packets() if packet[0] == events_of(one.stream.send).payload]
