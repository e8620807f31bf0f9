"""Keys in a worker: pressed by one peer, told to the owner, and pressed for whoever hears that peer."""

import asyncio
import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from msgspec.structs import replace

from media.api import MediaCounters
from media.codecs import ENCODABLE, Resampler, make_decoder, make_encoder, sample_rate_of
from media.codecs.g711 import PCMU, decode, encode
from media.dtmf.detector import BLOCK, Detector
from media.dtmf.tones import tone
from media.rtp.events import DIGITS, EventReceiver, EventWriter
from media.rtp.stream import EVENTS, Format
from media.settings import InbandDigits, MediaSettings
from media.worker import control
from tests.media.conftest import Bench, Phone, stream, until

EVENTS_8, EVENTS_16, EVENTS_48 = (
    Format(101, EVENTS),
    Format(97, EVENTS, clock_rate=16_000),
    Format(98, EVENTS, clock_rate=48_000),
)
L_PCMU, L_PCMA, G722 = Format(0, "PCMU"), Format(8, "PCMA"), Format(9, "G722")


def stream_of(send: Format, *events: Format, **changes: Any) -> dict[str, Any]:
    """Return what differs in the description of a peer that speaks this, and takes the first of these events."""
    receive = {f.payload: f for f in (send, *events)}
    return {"send": send, "receive": receive, "send_events": events[0] if events else None, **changes}


async def pair(bench: Bench, one: dict[str, Any], other: dict[str, Any]) -> tuple[tuple[Phone, int, int], ...]:
    """Open and bridge two legs, of which each peer is known."""
    legs = tuple(bench.leg(**changes) for changes in (one, other))
    bench.handle(control.Bridge(legs[0][1], legs[1][1], None))
    return legs


def read(phone: Phone, *events: Format) -> tuple[str, list[float]]:
    """Return which keys the phone was told of by events, and how long each was in milliseconds."""
    clocks = {f.payload: f.clock_rate for f in events}
    receiver, digits, lasted = EventReceiver(), "", []
    for data in phone.read():
        second, timestamp = data[1], int.from_bytes(data[4:8], "big")
        if (clock := clocks.get(second & 0x7F)) is None:
            continue
        progress = receiver.receive(data[12:], timestamp, marker=second > 0x7F)
        assert progress is not None
        if progress.began:
            digits += DIGITS[progress.event]
            lasted.append(0.0)
        lasted[-1] = progress.duration * 1000 / clock
    return digits, lasted


def listen(phone: Phone, coding: Format = L_PCMU) -> str:
    """Return which keys are heard in the phone's audio."""
    decoder, pcm = make_decoder(coding), np.zeros(0, np.int16)
    for data in phone.read():
        if data[1] & 0x7F == coding.payload:
            samples = decoder.decode(data[12:])
            pcm = np.concatenate((pcm, samples[:: decoder.sample_rate // 8000]))
    detector = Detector()
    channel = detector.add()
    blocks = pcm[: len(pcm) // BLOCK * BLOCK].reshape(-1, 1, BLOCK)
    return "".join(h.digit for block in blocks for h in detector.feed([channel], block) if h.held_ms is None)


def numbers_follow(phone: Phone) -> bool:
    numbers = [sequence for _, _, sequence, *_ in phone.headers()]
    return [(b - a) & 0xFFFF for a, b in pairwise(numbers)] == [1] * (len(numbers) - 1)


def press(
    phone: Phone, port: int, digit: str, events: Format, *, ms: int = 100, drop: Iterator[bool] | None = None
) -> None:
    """Send a press as a phone does, less what `drop` says."""
    writer = EventWriter(DIGITS.index(digit), phone.timestamp)
    steps = [(passed, False) for passed in range(20, ms, 20)] + [(ms, True)] * 3
    for passed, ended in steps:
        for payload, timestamp, marker in writer.write(passed * events.clock_rate // 1000, ended=ended):
            header = phone.header(events.payload | (0x80 if marker else 0))
            data = header[:4] + timestamp.to_bytes(4, "big") + header[8:] + payload
            if drop is None or not next(drop):
                phone.raw(port, data)
            phone.sequence = (phone.sequence + 1) & 0xFFFF
    phone.timestamp = (phone.timestamp + (ms + 100) * events.clock_rate // 1000) & 0xFFFFFFFF


def say(phone: Phone, port: int, pcm: npt.NDArray[np.int16]) -> None:
    """Send samples as PCMU, in packets of 20 ms."""
    for begin in range(0, len(pcm), BLOCK):
        phone.send(port, encode(pcm[begin : begin + BLOCK].tobytes(), PCMU))


def told(bench: Bench, leg: int) -> list[tuple[str, str]]:
    return [(report.digit, report.source) for report in bench.of(control.Pressed) if report.leg == leg]


SILENCE = np.zeros(BLOCK * 5, np.int16)


# Sending -----------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("4733-2.5.1.2")
@pytest.mark.parametrize(("send", "events"), [(L_PCMU, EVENTS_8), (L_PCMU, EVENTS_16), (L_PCMA, EVENTS_48)])
async def test_keys_are_sent_as_events_by_the_clock_that_was_agreed(bench: Bench, send: Format, events: Format) -> None:
    phone, leg, _ = bench.leg(**stream_of(send, events))
    bench.handle(control.SendDigits(leg, "19#", 100))
    await until(lambda: len(phone.read()) == 21)
    assert read(phone, events) == ("19#", [100, 100, 100])
    assert [second for _, second, *_ in phone.headers()] == ([events.payload | 0x80] + [events.payload] * 6) * 3
    assert numbers_follow(phone)
    ends = [data[13] for data in phone.read()]
    assert ends == ([10] * 4 + [0x8A] * 3) * 3
    assert bench.counters().digits_sent == 3


@pytest.mark.parametrize("events", [replace(each, parameters="0-16") for each in (EVENTS_8, EVENTS_48)])
async def test_other_events_than_keys_cross_a_bridge_and_are_told_to_nobody(bench: Bench, events: Format) -> None:
    """A flash of the hook is event 16 (RFC 4734 3.1)."""
    (a, leg, port), (b, _, _) = await pair(bench, stream_of(L_PCMU, EVENTS_8), stream_of(L_PCMU, events))
    writer = EventWriter(16, a.timestamp)
    for passed, ended in ((160, False), (480, True)):
        for payload, timestamp, _ in writer.write(passed, ended=ended):
            a.raw(port, a.header(101)[:4] + timestamp.to_bytes(4, "big") + a.header(101)[8:] + payload)
            a.sequence += 1
    await until(lambda: [p[0] for p in b.payloads() if p[1] & 0x80] == [16] * 3)
    assert told(bench, leg) == []


@pytest.mark.rfc("4733-2.4.1")
async def test_a_key_that_the_peer_does_not_list_is_a_tone(bench: Bench) -> None:
    phone, leg, _ = bench.leg(**stream_of(L_PCMU, replace(EVENTS_8, parameters="0-9,11")))
    bench.handle(control.SendDigits(leg, "1*#A", 100))
    await until(lambda: listen(phone) == "*A" and read(phone, EVENTS_8) == ("1#", [100, 100]))
    assert numbers_follow(phone)


@pytest.mark.parametrize("coding", [L_PCMU, L_PCMA, G722])
async def test_a_peer_without_events_hears_tones(bench: Bench, coding: Format) -> None:
    phone, leg, _ = bench.leg(**stream_of(coding))
    bench.handle(control.SendDigits(leg, "4711", 100))
    await until(lambda: len(phone.read()) == 4 * 9 - 1)
    assert listen(phone, coding) == "4711"
    assert numbers_follow(phone)


async def test_a_tone_takes_the_place_of_a_prompt_which_goes_on_meanwhile(bench: Bench) -> None:
    phone, leg, _ = bench.leg(**stream_of(L_PCMU))
    bench.handle(control.Play(leg, ("long",), True, False, 1), control.SendDigits(leg, "5", 100))
    await until(lambda: len(phone.read()) == 15)
    assert listen(phone) == "5"
    assert numbers_follow(phone)
    assert bench.of(control.Finished) == []


async def test_an_event_is_sent_beside_a_prompt(bench: Bench) -> None:
    phone, leg, _ = bench.leg(**stream_of(L_PCMU, EVENTS_8))
    bench.handle(control.Play(leg, ("long",), True, False, 1), control.SendDigits(leg, "5", 100))
    await until(lambda: len(phone.read()) >= 20)
    assert read(phone, EVENTS_8) == ("5", [100])
    audio = [timestamp for _, second, _, timestamp, _ in phone.headers() if second & 0x7F == 0]
    assert {(b - a) & 0xFFFFFFFF for a, b in pairwise(audio)} == {160}
    assert numbers_follow(phone)


async def test_nothing_is_pressed_for_a_peer_that_holds_the_call(bench: Bench) -> None:
    phone, leg, _ = bench.leg(**stream_of(L_PCMU, EVENTS_8, sends=False, held=True))
    other, other_leg, _ = bench.leg()
    bench.handle(control.SendDigits(leg, "5", 50), control.SendDigits(other_leg, "55", 50))
    await until(lambda: read(other, EVENTS_8)[0] == "55")
    assert phone.read() == []


# Across a bridge ---------------------------------------------------------------------------------------------------


@pytest.mark.rfc("4733-2.5.1.2")
@pytest.mark.parametrize("other", [EVENTS_8, Format(96, EVENTS), EVENTS_16, EVENTS_48])
@pytest.mark.parametrize("one", [EVENTS_8, EVENTS_16, EVENTS_48])
async def test_a_press_crosses_a_bridge_to_another_payload_number_and_clock(
    bench: Bench, one: Format, other: Format
) -> None:
    (a, leg, port), (b, _, _) = await pair(bench, stream_of(L_PCMU, one), stream_of(L_PCMU, other))
    a.send(port)
    press(a, port, "5", one, ms=200)
    press(a, port, "5", one, ms=120)
    a.send(port)
    await until(lambda: read(b, other)[1][1:] == [120])
    assert read(b, other) == ("55", [200, 120])
    assert told(bench, leg) == [("5", "rfc4733"), ("5", "rfc4733")]
    await until(lambda: len([s for _, s, *_ in b.headers() if s & 0x7F == 0]) == 2)
    assert numbers_follow(b)


@pytest.mark.parametrize("send", [L_PCMA, G722])
async def test_a_press_crosses_a_bridge_where_the_audio_is_transcoded(bench: Bench, send: Format) -> None:
    (a, _, port), (b, _, other_port) = await pair(bench, stream_of(L_PCMU, EVENTS_8), stream_of(send, EVENTS_16))
    for _ in range(3):
        a.send(port)
        b.send(other_port, b"\x55" * 160, send.payload)
    press(a, port, "7", EVENTS_8, ms=160)
    press(b, other_port, "9", EVENTS_16, ms=160)
    await until(lambda: read(b, EVENTS_16)[1] == [160] and read(a, EVENTS_8)[1] == [160])
    assert read(b, EVENTS_16)[0] + read(a, EVENTS_8)[0] == "79"
    assert numbers_follow(b)


@pytest.mark.rfc("4733-2.6")
@pytest.mark.parametrize("seed", range(4))
async def test_no_press_is_lost_or_doubled_across_a_bridge_with_losses(bench: Bench, seed: int) -> None:
    chance = random.Random(seed)
    number = "".join(chance.choices(DIGITS, k=8))
    (a, leg, port), (b, _, _) = await pair(bench, stream_of(L_PCMU, EVENTS_8), stream_of(L_PCMU, EVENTS_16))
    a.send(port)
    for digit in number:
        lost = [chance.random() < 0.4 for _ in range(7)]
        lost[chance.randrange(7)] = False
        press(a, port, digit, EVENTS_8, drop=iter(lost))
    await until(lambda: len(read(b, EVENTS_16)[0]) == len(number))
    assert read(b, EVENTS_16)[0] == number
    assert [digit for digit, _ in told(bench, leg)] == list(number)


async def test_what_is_late_finds_no_number_that_an_event_took(bench: Bench) -> None:
    """Each number is sent once, whatever order packets come in, else SRTP would refuse the second."""
    (a, _, port), (b, _, _) = await pair(bench, stream_of(L_PCMU, EVENTS_8), stream_of(L_PCMU, EVENTS_8))
    a.send(port)
    late = a.header(0) + b"\x11" * 160
    a.sequence += 1
    a.timestamp += 160
    press(a, port, "5", EVENTS_8)
    await until(lambda: read(b, EVENTS_8)[1] == [100])
    a.raw(port, late)
    a.send(port)
    await until(lambda: len([s for _, s, *_ in b.headers() if s & 0x7F == 0]) >= 2)
    numbers = [sequence for _, _, sequence, *_ in b.headers()]
    assert len(numbers) == len(set(numbers))


async def test_a_peer_without_events_hears_what_the_other_presses_as_tones_and_nothing_twice(bench: Bench) -> None:
    (a, _, port), (b, _, _) = await pair(bench, stream_of(L_PCMU, EVENTS_8), stream_of(L_PCMU))
    a.send(port)
    for digit in "159":
        press(a, port, digit, EVENTS_8)
    await until(lambda: listen(b) == "159")
    await until(lambda: a.send(port) or b.read()[-1][12:] == b"\x55" * 160)  # type: ignore[func-returns-value]
    assert numbers_follow(b)


async def test_a_press_while_the_other_side_hears_a_reminder_is_not_lost(bench: Bench) -> None:
    (a, _, port), (b, other, _) = await pair(bench, stream_of(L_PCMU, EVENTS_8), stream_of(L_PCMU, EVENTS_8))
    bench.handle(control.Play(other, ("long",), True, False, 1))
    press(a, port, "3", EVENTS_8)
    await until(lambda: read(b, EVENTS_8) == ("3", [100]))


@pytest.mark.rfc("3264-8.3.2")
async def test_a_press_during_which_payload_numbers_change_is_one(bench: Bench) -> None:
    """Re-offers on both sides, each with another number for events, while the key is down."""
    (a, leg, port), (b, other, _) = await pair(bench, stream_of(L_PCMU, EVENTS_8), stream_of(L_PCMU, EVENTS_8))
    writer = EventWriter(5, a.timestamp)

    async def send(number: int, passed: int, *, ended: bool = False) -> None:
        before = len(b.read())
        for payload, timestamp, marker in writer.write(passed, ended=ended):
            header = a.header(number | (0x80 if marker else 0))
            a.raw(port, header[:4] + timestamp.to_bytes(4, "big") + header[8:] + payload)
            a.sequence += 1
        await until(lambda: len(b.read()) > before)

    await send(101, 160)
    changed = Format(96, EVENTS)
    for phone, number in ((a, leg), (b, other)):
        bench.handle(control.Configure(number, stream(phone.port, **stream_of(L_PCMU, changed))))
    await send(96, 480)
    await send(96, 800, ended=True)
    await until(lambda: read(b, EVENTS_8, changed)[1] == [100])
    assert read(b, EVENTS_8, changed)[0] == "5"
    assert told(bench, leg) == [("5", "rfc4733")]
    assert {second & 0x7F for _, second, *_ in b.headers()} == {101, 96}


async def test_what_was_pressed_before_the_bridge_does_not_cross_it(bench: Bench) -> None:
    a, leg, port = bench.leg(**stream_of(L_PCMU, EVENTS_8))
    b, other, _ = bench.leg(**stream_of(L_PCMU, EVENTS_8))
    writer = EventWriter(5, a.timestamp)
    packets = [packet for n in range(1, 5) for packet in writer.write(160 * n)]

    def send(payload: bytes, timestamp: int, marker: bool) -> None:
        header = a.header(101 | (0x80 if marker else 0))
        a.raw(port, header[:4] + timestamp.to_bytes(4, "big") + header[8:] + payload)
        a.sequence += 1

    for packet in packets[:2]:
        send(*packet)
    await until(lambda: told(bench, leg))
    bench.handle(control.Bridge(leg, other, None))
    for packet in packets[2:]:
        send(*packet)
    press(a, port, "6", EVENTS_8)
    await until(lambda: read(b, EVENTS_8)[1] == [100])
    assert read(b, EVENTS_8)[0] == "6"


async def test_three_who_hear_each_other_all_get_a_press(bench: Bench) -> None:
    legs = [bench.leg(**stream_of(L_PCMU, events)) for events in (EVENTS_8, EVENTS_16, EVENTS_48)]
    numbers = [leg for _, leg, _ in legs]
    gains = tuple((one, other, 1.0) for one in numbers for other in numbers if one != other)
    bench.handle(control.Mix(gains))
    for phone, _, port in legs:
        phone.send(port)
    press(legs[0][0], legs[0][2], "8", EVENTS_8)
    await until(lambda: read(legs[1][0], EVENTS_16) == ("8", [100]) and read(legs[2][0], EVENTS_48) == ("8", [100]))
    assert read(legs[0][0], EVENTS_8)[0] == ""


async def test_an_echo_gives_no_keys_back(bench: Bench) -> None:
    a, leg, port = bench.leg()
    bench.handle(control.Echo(leg))
    a.send(port)
    press(a, port, "8", EVENTS_8)
    a.send(port)
    await until(lambda: len(a.read()) == 2)
    assert told(bench, leg) == [("8", "rfc4733")]
    assert numbers_follow(a)


# Told by signalling ------------------------------------------------------------------------------------------------


async def test_a_key_told_by_signalling_is_told_on_and_crosses_the_bridge(bench: Bench) -> None:
    (_, leg, _), (b, _, _) = await pair(bench, stream_of(L_PCMU), stream_of(L_PCMU, EVENTS_16))
    bench.handle(control.ReceiveDigit(leg, "*", 140), control.ReceiveDigit(leg, "*", 100))
    await until(lambda: read(b, EVENTS_16) == ("**", [140, 100]))
    assert told(bench, leg) == [("*", "info"), ("*", "info")]
    assert bench.counters().digits_info == 2


async def test_a_key_told_by_rtp_and_by_signalling_is_one(bench: Bench) -> None:
    (a, leg, port), (b, _, _) = await pair(bench, stream_of(L_PCMU, EVENTS_8), stream_of(L_PCMU, EVENTS_8))
    press(a, port, "5", EVENTS_8)
    await until(lambda: told(bench, leg))
    bench.handle(control.ReceiveDigit(leg, "5", 100), control.ReceiveDigit(leg, "6", 100))
    await until(lambda: read(b, EVENTS_8)[1][1:] == [100])
    assert read(b, EVENTS_8)[0] == "56"
    assert told(bench, leg) == [("5", "rfc4733"), ("6", "info")]


async def test_a_key_told_by_signalling_interrupts_a_prompt(bench: Bench) -> None:
    _, leg, _ = bench.leg()
    bench.handle(control.Play(leg, ("long",), False, True, 7), control.ReceiveDigit(leg, "1", 100))
    assert [(r.token, r.interrupted) for r in bench.of(control.Finished)] == [(7, True)]


# In the audio ------------------------------------------------------------------------------------------------------


def dialled(number: str, ms: int = 100, pause_ms: int = 80) -> npt.NDArray[np.int16]:
    pieces = [np.concatenate((tone(digit, 0, 8 * ms), np.zeros(8 * pause_ms, np.int16))) for digit in number]
    return np.concatenate((SILENCE, *pieces, SILENCE))


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


# Hidden ------------------------------------------------------------------------------------------------------------


async def test_hidden_keys_are_told_to_the_owner_and_to_nobody_else(bench: Bench) -> None:
    (a, leg, port), (b, _, _) = await pair(bench, stream_of(L_PCMU, EVENTS_8), stream_of(L_PCMU, EVENTS_8))
    bench.handle(control.HideDigits(leg, True))
    a.send(port)
    press(a, port, "1", EVENTS_8)
    bench.handle(control.ReceiveDigit(leg, "2", 100))
    await until(lambda: len(told(bench, leg)) == 2)
    bench.handle(control.HideDigits(leg, False))
    press(a, port, "3", EVENTS_8)
    a.send(port)
    await until(lambda: read(b, EVENTS_8) == ("3", [100]))
    assert sorted(digit for digit, _ in told(bench, leg)) == ["1", "2", "3"]
    assert numbers_follow(b)


@pytest.mark.parametrize("events", [(), (EVENTS_8,)])
async def test_hidden_tones_are_not_heard(bench: Bench, events: tuple[Format, ...]) -> None:
    (a, leg, port), (b, _, _) = await pair(bench, stream_of(L_PCMU), stream_of(L_PCMU, *events))
    bench.handle(control.HideDigits(leg, True))
    sent = dialled("1379")
    say(a, port, sent)
    await until(lambda: len(b.read()) == len(sent) // BLOCK)
    assert listen(b) == ""
    assert [digit for digit, _ in told(bench, leg)] == list("1379")


# Hostile -----------------------------------------------------------------------------------------------------------


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
