"""Keys in a worker: heard in the audio of a peer, and whatever else a peer may send."""

import asyncio
import random
from typing import Any

import numpy as np
import pytest

from media.api import MediaCounters
from media.codecs import ENCODABLE, Resampler, make_encoder, sample_rate_of
from media.codecs.g711 import PCMU, decode, encode
from media.dtmf.detector import BLOCK
from media.dtmf.tones import tone
from media.rtp.stream import EVENTS, Format
from media.settings import InbandDigits, MediaSettings
from tests.media.conftest import Bench, until
from tests.media.dtmf.phones import (
    EVENTS_8,
    EVENTS_48,
    G722,
    L_PCMU,
    SILENCE,
    dialled,
    listen,
    numbers_follow,
    pair,
    press,
    read,
    say,
    stream_of,
    told,
)


async def test_tones_of_a_peer_without_events_are_keys(bench: Bench) -> None:
    a, leg, port = bench.leg(**stream_of(L_PCMU))
    say(a, port, dialled("0123456789*#ABCD"))
    await until(lambda: len(told(bench, leg)) == 16)
    assert told(bench, leg) == [(digit, "inband") for digit in "0123456789*#ABCD"]
    assert bench.counters().digits_inband == 16


async def test_tones_of_a_peer_with_events_are_not_listened_for(bench: Bench) -> None:
    a, leg, port = bench.leg(**stream_of(L_PCMU, EVENTS_8))
    say(a, port, dialled("12"))
    press(a, port, "3", EVENTS_8)
    await until(lambda: told(bench, leg))
    assert told(bench, leg) == [("3", "rfc4733")]


@pytest.mark.parametrize(("wanted", "heard"), [("always", "inband"), ("off", "")])
async def test_whose_tones_are_listened_for_is_a_setting(ports: Any, wanted: InbandDigits, heard: str) -> None:
    first = ports.block(8)
    bench = Bench(MediaSettings(port_min=first, port_max=first + 7, rtp_timeout_seconds=0, inband_digits=wanted))
    try:
        a, leg, port = bench.leg(**stream_of(L_PCMU, EVENTS_8))
        c, mute, mute_port = bench.leg(**stream_of(L_PCMU))
        say(a, port, dialled("12"))
        say(c, mute_port, dialled("9"))
        await until(lambda: not heard or (len(told(bench, leg)) == 2 and told(bench, mute)))
        press(a, port, "2", EVENTS_8)  # the tone's own event, late
        press(a, port, "3", EVENTS_8)
        await until(lambda: told(bench, leg)[-1:] == [("3", "rfc4733")])
        both = [("1", heard), ("2", heard)] if heard else [("2", "rfc4733")]
        assert told(bench, leg) == [*both, ("3", "rfc4733")]
        assert told(bench, mute) == ([("9", heard)] if heard else [])
    finally:
        bench.close()


async def test_a_tone_becomes_an_event_and_is_heard_no_more(bench: Bench) -> None:
    (a, _, port), (b, _, _) = await pair(bench, stream_of(L_PCMU), stream_of(L_PCMU, EVENTS_8))
    sent = dialled("159", ms=200, pause_ms=200)
    say(a, port, sent)
    await until(lambda: read(b, EVENTS_8)[0] == "159" and read(b, EVENTS_8)[1][2] >= 180)
    assert read(b, EVENTS_8)[1] == [pytest.approx(200, abs=25)] * 3
    assert listen(b) == ""
    audio = np.concatenate([np.frombuffer(decode(d[12:], PCMU), "<i2") for d in b.read() if d[1] & 0x7F == 0])
    assert len(audio) == len(sent)
    loud = np.abs(audio.reshape(-1, 8).astype(int)).max(axis=1) > 1000  # each millisecond
    assert loud.sum() <= 3 * 20
    assert numbers_follow(b)


async def test_tones_between_peers_without_events_are_left_as_they_are(bench: Bench) -> None:
    (a, leg, port), (b, _, _) = await pair(bench, stream_of(L_PCMU), stream_of(L_PCMU))
    sent = dialled("42")
    say(a, port, sent)
    await until(lambda: len(b.read()) == len(sent) // BLOCK)
    assert listen(b) == "42"
    assert b.payloads() == [encode(sent[n : n + BLOCK].tobytes(), PCMU) for n in range(0, len(sent), BLOCK)]
    assert told(bench, leg) == [("4", "inband"), ("2", "inband")]


async def test_a_lost_packet_within_a_tone_makes_no_second_key_and_a_pause_without_packets_does(bench: Bench) -> None:
    a, leg, port = bench.leg(**stream_of(L_PCMU))
    say(a, port, np.concatenate((SILENCE, tone("6", 0, 6 * BLOCK))))
    a.sequence += 1  # lost
    a.timestamp += BLOCK
    say(a, port, np.concatenate((tone("6", 7 * BLOCK, 6 * BLOCK),)))
    a.timestamp += 20 * BLOCK  # not sent: the peer is silent
    say(a, port, np.concatenate((tone("6", 0, 6 * BLOCK), SILENCE)))
    await until(lambda: len(told(bench, leg)) == 2)
    say(a, port, dialled("1"))
    await until(lambda: told(bench, leg)[-1][0] == "1")
    assert [digit for digit, _ in told(bench, leg)] == ["6", "6", "1"]


CODED = [
    Format(9, "G722"),
    Format(96, "opus", clock_rate=48_000, channels=2),
    Format(97, "AMR", parameters="octet-align=1"),
    Format(98, "AMR-WB", clock_rate=16_000, parameters="octet-align=1"),
]


@pytest.mark.parametrize("coding", [each for each in CODED if each.name in ENCODABLE], ids=lambda coding: coding.name)
async def test_tones_are_heard_through_any_codec_and_kept_from_whoever_is_told(bench: Bench, coding: Format) -> None:
    events = Format(110, EVENTS, clock_rate=coding.clock_rate)
    (a, leg, port), (b, _, _) = await pair(bench, stream_of(coding), stream_of(coding, events))
    rate = sample_rate_of(coding)
    encoder, rising = make_encoder(coding, 20), Resampler(8000, rate)
    sent = rising.convert(dialled("1590", ms=120, pause_ms=120))
    ticks = coding.clock_rate // 50
    size = rate // 50
    for begin in range(0, len(sent) - size + 1, size):
        a.raw(port, a.header(coding.payload) + encoder.encode(sent[begin : begin + size]))
        a.sequence += 1
        a.timestamp += ticks
        await asyncio.sleep(0)
    await until(lambda: read(b, events)[0] == "1590")
    assert told(bench, leg) == [(digit, "inband") for digit in "1590"]
    await until(lambda: len([s for _, s, *_ in b.headers() if s & 0x7F == coding.payload]) == len(sent) // size)
    assert listen(b, coding) == ""
    assert numbers_follow(b)


async def test_presses_faster_than_anybody_dials_are_refused(bench: Bench) -> None:
    (a, leg, port), (b, _, _) = await pair(bench, stream_of(L_PCMU, EVENTS_8), stream_of(L_PCMU, EVENTS_8))
    for number in range(200):
        a.timestamp = number * 1600
        a.send(port, bytes([5, 10, 0, 160]), 101 | 0x80)
        await asyncio.sleep(0)
    a.send(port, b"\x01" * 160)
    await until(lambda: any(payload == b"\x01" * 160 for payload in b.payloads()))
    counters = bench.counters()
    assert 64 <= len(told(bench, leg)) == counters.digits < 150
    assert counters.digits_refused >= 200 - counters.digits


async def test_any_audio_is_harmless_to_who_listens_for_tones(bench: Bench) -> None:
    chance = random.Random(12)
    for coding in (L_PCMU, G722):
        (a, leg, port), (b, _, _) = await pair(bench, stream_of(coding), stream_of(coding, EVENTS_8))
        for _ in range(200):
            a.timestamp = chance.choice((a.timestamp, chance.getrandbits(32)))
            a.sequence = (a.sequence + chance.choice((-3, 0, 1, 1, 40))) & 0xFFFF
            a.send(port, chance.randbytes(chance.choice((1, 7, 80, 160, 240, 1200))), coding.payload)
        a.ssrc += 1
        sound = Resampler(8000, sample_rate_of(coding)).convert(dialled("7"))
        encoder, size = make_encoder(coding, 20), sample_rate_of(coding) // 50
        for begin in range(0, len(sound) - size + 1, size):
            a.send(port, encoder.encode(sound[begin : begin + size]), coding.payload)
        await until(lambda leg=leg: told(bench, leg)[-1:] == [("7", "inband")])  # type: ignore[misc]
        b.read()


async def test_any_events_are_harmless(bench: Bench) -> None:
    chance = random.Random(11)
    (a, _, port), (b, _, _) = await pair(bench, stream_of(L_PCMU, EVENTS_8), stream_of(L_PCMU, EVENTS_48))
    for _ in range(300):
        a.timestamp = chance.getrandbits(32)
        a.send(port, chance.randbytes(chance.randrange(0, 9)), 101 | chance.choice((0, 0x80)))
    a.send(port, b"\x01" * 160)
    await until(lambda: any(payload == b"\x01" * 160 for payload in b.payloads()))
    assert isinstance(bench.counters(), MediaCounters)
