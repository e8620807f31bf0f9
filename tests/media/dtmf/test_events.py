"""Telephone-events (RFC 4733): one digit per key press."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.rtp.events import DIGITS, DigitReceiver

Packet = tuple[bytes, int, bool]


def packet(event: int, timestamp: int, duration: int, *, end: bool = False, marker: bool = False) -> Packet:
    return bytes([event, (0x80 if end else 0) | 10]) + duration.to_bytes(2, "big"), timestamp & 0xFFFFFFFF, marker


def press(event: int, timestamp: int, frames: int = 5) -> list[Packet]:
    """A key held for some packets; the last one is sent three times."""
    packets = [packet(event, timestamp, 160 * n, marker=n == 1) for n in range(1, frames + 1)]
    return packets + [packet(event, timestamp, 160 * (frames + 1), end=True)] * 3


def digits(packets: list[Packet], receiver: DigitReceiver | None = None) -> str:
    receiver = receiver or DigitReceiver()
    return "".join(receiver.receive(data, timestamp, marker=marker) or "" for data, timestamp, marker in packets)


@pytest.mark.rfc("4733-2.5.1.4")
def test_three_end_packets_are_one_digit() -> None:
    assert digits(press(2, 8000)) == "2"


@pytest.mark.rfc("4733-3.2")
def test_every_key_has_its_digit() -> None:
    packets = [p for event in range(16) for p in press(event, event * 3200)]
    assert digits(packets) == "0123456789*#ABCD" == DIGITS


@pytest.mark.rfc("4733-3.2")
def test_other_events_are_no_digits() -> None:
    assert digits(press(16, 8000) + press(36, 16_000)) == ""


@pytest.mark.rfc("4733-2.5.1.2")
def test_the_digit_is_told_at_its_first_packet() -> None:
    assert digits(press(7, 8000)[:1]) == "7"


@pytest.mark.rfc("4733-2.6")
@given(st.sets(st.integers(0, 7), max_size=7), st.integers(0, 2**32 - 1))
def test_any_loss_short_of_all_packets_leaves_one_digit(lost: set[int], timestamp: int) -> None:
    packets = [p for index, p in enumerate(press(9, timestamp)) if index not in lost]
    assert digits(packets) == "9"


@pytest.mark.rfc("4733-2.6")
@given(st.permutations(range(8)), st.integers(0, 2**32 - 1))
def test_reordering_leaves_one_digit(order: list[int], timestamp: int) -> None:
    packets = press(9, timestamp)
    assert digits([packets[index] for index in order]) == "9"


def test_the_same_key_twice_is_two_digits_even_if_ends_and_beginnings_are_lost() -> None:
    assert digits(press(5, 8000) + press(5, 12_000)) == "55"
    assert digits(press(5, 8000)[:3] + press(5, 12_000)[2:]) == "55"


def test_a_late_packet_of_an_earlier_press_is_ignored() -> None:
    assert digits(press(5, 8000) + press(6, 12_000) + press(5, 8000)[-1:]) == "56"


@pytest.mark.rfc("4733-2.5.1.3")
def test_a_key_held_beyond_the_longest_duration_is_one_digit() -> None:
    first = [packet(1, 8000, 160, marker=True), packet(1, 8000, 0xFFFF)]
    second = [packet(1, 8000 + 0xFFFF, 160), packet(1, 8000 + 0xFFFF, 320), packet(1, 8000 + 0xFFFF, 480, end=True)]
    assert digits(first + second) == "1"


def test_a_sender_that_advances_the_timestamp_within_a_press_is_understood() -> None:
    held = [packet(4, 8000 + 160 * n, 160 * (n + 1), marker=n == 0) for n in range(6)]
    ends = [packet(4, 8000 + 160 * n, 160 * 7, end=True) for n in (6, 7, 8)]
    assert digits(held + ends) == "4"


def test_a_reset_forgets_the_source() -> None:
    receiver = DigitReceiver()
    assert digits(press(3, 2**31 + 8000), receiver) == "3"
    receiver.reset()
    assert digits(press(3, 10), receiver) == "3"


@given(st.lists(st.tuples(st.binary(max_size=6), st.integers(0, 2**32 - 1), st.booleans()), max_size=30))
def test_any_payload_is_harmless(packets: list[Packet]) -> None:
    assert set(digits(packets)) <= set(DIGITS)
