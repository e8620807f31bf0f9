"""Presses of ours: how long, how far apart, as packets; and every way that a press may take from peer to peer."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.dtmf.keypad import COPIES, LONGEST_MS, MOST_WAITING, PAUSE_MS, TICK_MS, Keypad, Press, Step
from media.dtmf.merging import Merging
from media.rtp.events import DIGITS, EventReceiver, EventWriter

Packet = tuple[bytes, int, bool]
Sent = tuple[int, Packet]  # the millisecond, and what


def run(keypad: Keypad) -> list[Step | None]:
    steps = []
    while keypad.busy:
        steps.append(keypad.tick())
        assert len(steps) < 10_000
    return steps


def test_a_press_of_100_ms_is_five_packets_and_two_more_copies_of_the_last() -> None:
    keypad = Keypad()
    keypad.add(Press(1, 100, ended=True))
    steps = run(keypad)
    told = [(step.lasted_ms, step.began, step.copy) for step in steps if step is not None]
    assert told == [(20, True, 0), (40, False, 0), (60, False, 0), (80, False, 0)] + [
        (100, False, copy) for copy in (1, 2, 3)
    ]
    assert len(steps) * TICK_MS == 100 + PAUSE_MS


def test_presses_wait_for_each_other_and_pause_between() -> None:
    keypad = Keypad()
    for digit in "1234#":
        keypad.add(Press(DIGITS.index(digit), 100, ended=True))
    steps = run(keypad)
    places = [number for number, step in enumerate(steps) if step is not None and step.began]
    assert [DIGITS[steps[n].press.event] for n in places] == list("1234#")  # type: ignore[union-attr]
    assert {b - a for a, b in pairwise(places)} == {(100 + PAUSE_MS) // TICK_MS}


def test_a_length_between_two_ticks_is_told_exactly() -> None:
    keypad = Keypad()
    keypad.add(Press(1, 110, ended=True))
    assert [step.lasted_ms for step in run(keypad) if step is not None][-1] == 110


def test_a_press_that_is_too_short_to_be_heard_is_made_longer_and_none_is_endless() -> None:
    keypad = Keypad()
    keypad.add(Press(1, 5, ended=True))
    keypad.add(Press(2, 1e9, ended=True))
    lasted = {step.press.event: step.lasted_ms for step in run(keypad) if step is not None}
    assert lasted == {1: 50, 2: LONGEST_MS}


def test_a_key_that_somebody_holds_ends_when_he_lets_go() -> None:
    keypad, press = Keypad(), Press(4, 20, ended=False)
    keypad.add(press)
    for ms in range(20, 301, 20):
        press.update(ms)
        step = keypad.tick()
        assert step is not None
        assert (step.lasted_ms, step.copy) == (ms, 0)
    press.update(310, ended=True)
    assert [step and (step.lasted_ms, step.copy) for step in run(keypad)][:COPIES] == [(310, 1), (310, 2), (310, 3)]


def test_a_key_that_nobody_tells_of_any_more_is_let_go() -> None:
    keypad = Keypad()
    keypad.add(Press(4, 20, ended=False))
    assert len(run(keypad)) * TICK_MS < 500


def test_too_many_presses_are_refused() -> None:
    keypad = Keypad()
    for _ in range(MOST_WAITING + 3):
        keypad.add(Press(1, 100, ended=True))
    assert keypad.refused == 3
    keypad.clear()
    assert run(keypad) == []


# From one peer to another ----------------------------------------------------------------------------------------


def mangle(sent: list[Sent], chance: random.Random) -> list[Sent]:
    """Lose, repeat and delay up to 70 ms, as a network does: seeded. At least one packet of each press is left."""
    arriving: list[Sent] = []
    by_press: dict[int, list[Sent]] = {}
    for at, packet in sent:
        by_press.setdefault(packet[1], []).append((at, packet))
    for packets in by_press.values():
        copies = [p for p in packets for _ in range(chance.choices((0, 1, 2), (20, 70, 10))[0])] or [packets[-1]]
        arriving += [(at + chance.choice((0, 0, 0, 30, 70)), packet) for at, packet in copies]
    return sorted(arriving, key=lambda sent: sent[0])


def pressed(digits: str, clock: int, held_ms: list[int], begin: int) -> list[Sent]:
    """Return (millisecond, packet) of what a phone sends."""
    sent: list[Sent] = []
    at = 0
    for digit, ms in zip(digits, held_ms, strict=True):
        writer = EventWriter(DIGITS.index(digit), (begin + at * clock // 1000) & 0xFFFFFFFF)
        for passed in range(20, ms, 20):
            sent += [(at + passed, packet) for packet in writer.write(passed * clock // 1000)]
        for copy in range(3):
            sent += [(at + ms + 20 * copy, packet) for packet in writer.write(ms * clock // 1000, ended=True)]
        at += ms + 140
    return sent


def carry(arriving: list[Sent], clock: int, other_clock: int) -> list[Sent]:
    """Bridge: hear the presses of one peer, press the keys for the other, tick by tick."""
    receiver, keypad = EventReceiver(), Keypad()
    press: Press | None = None
    writer: EventWriter | None = None
    sent: list[Sent] = []
    waiting = list(arriving)
    now = 0
    while waiting or keypad.busy:
        now += TICK_MS
        while waiting and waiting[0][0] <= now:
            data, timestamp, marker = waiting.pop(0)[1]
            progress = receiver.receive(data, timestamp, marker=marker)
            if progress is None:
                continue
            ms = progress.duration * 1000 / clock
            if progress.began:
                press = Press(progress.event, ms, ended=progress.ended)
                keypad.add(press)
            elif press is not None:
                press.update(ms, ended=progress.ended)
        step = keypad.tick()
        if step is not None:
            if step.began:
                writer = EventWriter(step.press.event, now * other_clock // 1000)
            assert writer is not None
            duration = round(step.lasted_ms * other_clock / 1000)
            sent += [(now, packet) for packet in writer.write(duration, ended=step.copy > 0)]
    return sent


def read(sent: list[Sent], clock: int) -> tuple[str, list[float]]:
    receiver = EventReceiver()
    digits, lasted = "", []
    for _, (data, timestamp, marker) in sent:
        progress = receiver.receive(data, timestamp, marker=marker)
        assert progress is not None
        if progress.began:
            digits += DIGITS[progress.event]
            lasted.append(0.0)
        lasted[-1] = progress.duration * 1000 / clock
    return digits, lasted


CLOCKS = [8000, 16_000, 48_000]


@pytest.mark.rfc("4733-2.5.1.2")
@given(
    st.lists(st.tuples(st.sampled_from(DIGITS), st.integers(4, 60).map(lambda n: n * 10)), min_size=1, max_size=8),
    st.sampled_from(CLOCKS),
    st.sampled_from(CLOCKS),
    st.integers(0, 2**32 - 1),
)
def test_across_a_bridge_each_press_keeps_digit_and_length_at_any_clocks(
    presses: list[tuple[str, int]], clock: int, other_clock: int, begin: int
) -> None:
    digits, held = "".join(digit for digit, _ in presses), [ms for _, ms in presses]
    heard, lasted = read(carry(pressed(digits, clock, held, begin), clock, other_clock), other_clock)
    assert heard == digits
    assert lasted == [pytest.approx(max(ms, 50), abs=20.1) for ms in held]


@pytest.mark.rfc("4733-2.6")
@given(
    st.text(alphabet=DIGITS, min_size=1, max_size=12),
    st.sampled_from(CLOCKS),
    st.sampled_from(CLOCKS),
    st.integers(0, 2**32 - 1),
)
def test_no_digit_is_lost_or_doubled_by_loss_repetition_and_reordering(
    digits: str, clock: int, other_clock: int, seed: int
) -> None:
    chance = random.Random(seed)
    sent = pressed(digits, clock, [chance.choice((60, 100, 200)) for _ in digits], chance.getrandbits(32))
    carried = carry(mangle(sent, chance), clock, other_clock)
    assert read(carried, other_clock)[0] == digits
    assert begun(mangle(carried, chance)) == digits


def begun(sent: list[Sent]) -> str:
    receiver = EventReceiver()
    told = [receiver.receive(data, timestamp, marker=marker) for _, (data, timestamp, marker) in sent]
    return "".join(DIGITS[progress.event] for progress in told if progress is not None and progress.began)


@pytest.mark.rfc("4733-2.5.1.3")
@pytest.mark.parametrize("clock", CLOCKS)
@pytest.mark.parametrize("other_clock", CLOCKS)
def test_a_press_longer_than_a_packet_can_tell_is_one_at_any_clocks(clock: int, other_clock: int) -> None:
    heard, lasted = read(carry(pressed("7", clock, [20_000], 4_000_000_000), clock, other_clock), other_clock)
    assert heard == "7"
    assert lasted == [pytest.approx(20_000, abs=40)]


# The same press, told in several ways ----------------------------------------------------------------------------


def test_a_press_told_in_two_ways_is_one() -> None:
    merging = Merging()
    assert merging.is_new("5", "rfc4733", 10.0)
    assert not merging.is_new("5", "inband", 10.05)
    assert not merging.is_new("5", "info", 10.8)


def test_the_same_way_telling_twice_means_two_presses() -> None:
    merging = Merging()
    ways = ["rfc4733", "rfc4733", "info", "info", "info"]
    assert [merging.is_new("5", way, 10 + n / 10) for n, way in enumerate(ways)] == [True, True, False, False, True]


def test_another_key_or_a_later_time_is_another_press() -> None:
    merging = Merging()
    assert merging.is_new("5", "rfc4733", 10.0)
    assert merging.is_new("6", "info", 10.1)
    assert merging.is_new("5", "info", 12.5)
