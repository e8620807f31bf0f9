"""Keys in a worker: pressed by one peer, told to the owner, and pressed for whoever hears that peer."""

import random

import pytest

from media.dtmf.detector import BLOCK
from media.rtp.events import DIGITS, EventWriter
from media.rtp.stream import EVENTS, Format
from media.worker import control
from tests.media.conftest import Bench, stream, until
from tests.media.dtmf.phones import (
    EVENTS_8,
    EVENTS_16,
    EVENTS_48,
    G722,
    L_PCMA,
    L_PCMU,
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
