"""Keys in a worker: pressed for a peer, and told by signalling."""

from itertools import pairwise

import pytest
from msgspec.structs import replace

from media.rtp.events import EventWriter
from media.rtp.stream import Format
from media.worker import control
from tests.media.conftest import Bench, until
from tests.media.dtmf.phones import (
    EVENTS_8,
    EVENTS_16,
    EVENTS_48,
    G722,
    L_PCMA,
    L_PCMU,
    listen,
    numbers_follow,
    pair,
    press,
    read,
    stream_of,
    told,
)


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
