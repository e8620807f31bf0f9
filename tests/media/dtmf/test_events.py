"""Telephone-events (RFC 4733): one digit per key press."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.rtp.events import DIGITS, EventReceiver, EventWriter, Progress, lists

Packet = tuple[bytes, int, bool]


def packet(event: int, timestamp: int, duration: int, *, end: bool = False, marker: bool = False) -> Packet:
    return bytes([event, (0x80 if end else 0) | 10]) + duration.to_bytes(2, "big"), timestamp & 0xFFFFFFFF, marker


def press(event: int, timestamp: int, frames: int = 5) -> list[Packet]:
    """A key held for some packets; the last one is sent three times."""
    packets = [packet(event, timestamp, 160 * n, marker=n == 1) for n in range(1, frames + 1)]
    return packets + [packet(event, timestamp, 160 * (frames + 1), end=True)] * 3


def follow(packets: list[Packet], receiver: EventReceiver | None = None) -> list[Progress]:
    receiver = receiver or EventReceiver()
    told = [receiver.receive(data, timestamp, marker=marker) for data, timestamp, marker in packets]
    return [progress for progress in told if progress is not None]


def digits(packets: list[Packet], receiver: EventReceiver | None = None) -> str:
    began = [progress.event for progress in follow(packets, receiver) if progress.began]
    return "".join(DIGITS[event] for event in began if event < len(DIGITS))


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


@pytest.mark.rfc("4733-2.5.1.3")
@given(st.integers(1, 5 * 0xFFFF), st.integers(0, 2**32 - 1), st.sets(st.integers(1, 2000)))
def test_a_press_of_any_length_is_one_with_its_length_whatever_is_lost(
    length: int, timestamp: int, lost: set[int]
) -> None:
    """Written in segments by us, and understood as long as its first and its last packet arrive."""
    writer = EventWriter(8, timestamp)
    packets = [packet for n in range(320, length, 320) for packet in writer.write(n)]
    packets += list(writer.write(length, ended=True)) * 3
    kept = [p for index, p in enumerate(packets) if index not in lost or index == len(packets) - 1]
    told = follow(kept)
    assert [progress.began for progress in told] == [True] + [False] * (len(told) - 1)
    assert (told[-1].event, told[-1].duration, told[-1].ended) == (8, length, True)


@pytest.mark.rfc("4733-2.5.1.3")
def test_segments_are_closed_before_the_next_begins() -> None:
    writer = EventWriter(5, 1000)
    packets = [packet for n in (0xFFFF - 100, 0xFFFF + 60) for packet in writer.write(n)]
    packets += list(writer.write(0xFFFF + 380, ended=True))
    read = [(int.from_bytes(data[2:], "big"), bool(data[1] & 0x80), at, marker) for data, at, marker in packets]
    assert read == [
        (0xFFFF - 100, False, 1000, True),
        (0xFFFF, False, 1000, False),
        (60, False, 1000 + 0xFFFF, False),
        (380, True, 1000 + 0xFFFF, False),
    ]


@pytest.mark.rfc("4733-2.5.1.2")
def test_an_event_that_is_written_has_one_marker_one_timestamp_and_a_rising_duration() -> None:
    writer = EventWriter(11, 0xFFFF_FFF0)
    packets = [packet for n in (160, 320, 240, 480) for packet in writer.write(n)] + list(writer.write(480, ended=True))
    assert [marker for _, _, marker in packets] == [True, False, False, False, False]
    assert {at for _, at, _ in packets} == {0xFFFF_FFF0}
    assert [data.hex() for data, _, _ in packets] == ["0b0a00a0", "0b0a0140", "0b0a0140", "0b0a01e0", "0b8a01e0"]


@pytest.mark.rfc("4733-2.4.1")
@pytest.mark.parametrize(
    ("parameters", "listed"),
    [
        ("", range(16)),
        ("0-15", range(16)),
        ("0-9, 11", [*range(10), 11]),
        ("0-11,16", [*range(12), 16]),
        ("x,7-,-3", [7]),
    ],
)
def test_which_events_a_receiver_lists(parameters: str, listed: Sequence[int]) -> None:
    assert [event for event in range(30) if lists(parameters, event)] == list(listed)


def test_a_peer_that_counts_its_timestamps_anew_is_heard() -> None:
    assert digits(press(5, 3_000_000_000) + press(6, 1_000_000_000)) == "56"


def test_a_sender_that_advances_the_timestamp_within_a_press_is_understood() -> None:
    held = [packet(4, 8000 + 160 * n, 160 * (n + 1), marker=n == 0) for n in range(6)]
    ends = [packet(4, 8000 + 160 * n, 160 * 7, end=True) for n in (6, 7, 8)]
    assert digits(held + ends) == "4"


def test_a_reset_forgets_the_source() -> None:
    receiver = EventReceiver()
    assert digits(press(3, 2**31 + 8000), receiver) == "3"
    receiver.reset()
    assert digits(press(3, 10), receiver) == "3"


@given(st.lists(st.tuples(st.binary(max_size=6), st.integers(0, 2**32 - 1), st.booleans()), max_size=30))
def test_any_payload_is_harmless(packets: list[Packet]) -> None:
    assert set(digits(packets)) <= set(DIGITS)
