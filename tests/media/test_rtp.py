"""RTP header, receiver statistics and the unbroken sender (RFC 3550)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.rtp.packet import HEADER, MARKER, Reception, Sender, payload_range


def receive(reception: Reception, sequences: list[int], ssrc: int = 7) -> None:
    for sequence in sequences:
        if reception.ssrc != ssrc:
            reception.start(ssrc, sequence)
        reception.receive(sequence & 0xFFFF, sequence * 160, sequence * 160.0)


@pytest.mark.rfc("3550-5.1")
def test_the_payload_lies_behind_sources_and_extension_and_before_padding() -> None:
    plain = HEADER.pack(0x80, 0, 1, 2, 3) + b"abcd"
    assert payload_range(plain, len(plain)) == (12, 16)
    sources = HEADER.pack(0x82, 0, 1, 2, 3) + bytes(8) + b"abcd"
    assert payload_range(sources, len(sources)) == (20, 24)
    extension = HEADER.pack(0x90, 0, 1, 2, 3) + b"\xbe\xde\x00\x01" + bytes(4) + b"abcd"
    assert payload_range(extension, len(extension)) == (20, 24)
    padded = HEADER.pack(0xA0, 0, 1, 2, 3) + b"ab\x00\x02"
    assert payload_range(padded, len(padded)) == (12, 14)


@pytest.mark.rfc("3550-A.1")
@pytest.mark.parametrize(
    "packet",
    [
        b"",
        bytes(11),
        HEADER.pack(0x40, 0, 1, 2, 3),
        HEADER.pack(0x8F, 0, 1, 2, 3),
        HEADER.pack(0x90, 0, 1, 2, 3) + b"\x00\x00\xff\xff",
        HEADER.pack(0xA0, 0, 1, 2, 3) + b"\x00",
        HEADER.pack(0xA0, 0, 1, 2, 3) + b"\x09",
    ],
    ids=["empty", "short", "version 1", "sources", "extension", "padding 0", "padding 9"],
)
def test_what_is_no_rtp_packet_is_known(packet: bytes) -> None:
    assert payload_range(packet, len(packet)) is None


@given(st.binary(max_size=64))
def test_any_octets_have_a_range_inside_or_none(packet: bytes) -> None:
    span = payload_range(packet, len(packet))
    if span is not None:
        assert 12 <= span[0] <= span[1] <= len(packet)


@pytest.mark.rfc("3550-A.3")
@pytest.mark.parametrize(
    ("sequences", "expected", "received", "lost"),
    [
        ([10, 11, 12], 3, 3, 0),
        ([10, 12, 13], 4, 3, 1),
        ([10, 12, 11, 13], 4, 4, 0),
        ([10, 11, 11, 12], 3, 4, 0),
        ([65534, 65535, 0, 1], 4, 4, 0),
        ([65534, 2], 5, 2, 3),
        ([0, 1, 3], 4, 3, 1),
        ([65535, 65534, 0], 2, 3, 0),
    ],
    ids=["all", "one lost", "reordered", "duplicate", "wrap", "loss across the wrap", "from 0", "before the first"],
)
def test_loss_is_expected_minus_received(sequences: list[int], expected: int, received: int, lost: int) -> None:
    reception = Reception()
    receive(reception, sequences)
    assert (reception.expected, reception.received, reception.lost) == (expected, received, lost)


@pytest.mark.rfc("3550-A.1")
def test_a_single_absurd_number_is_not_counted_but_two_in_sequence_are_a_restart() -> None:
    reception = Reception()
    receive(reception, [1, 2, 3])
    source = reception.source
    receive(reception, [30_000, 4, 5])
    assert (reception.expected, reception.received) == (5, 5)
    assert reception.source is source
    receive(reception, [40_000, 40_001, 40_002])
    assert (reception.expected, reception.received, reception.lost) == (7, 7, 0)
    assert reception.source is not source


def test_a_new_source_adds_to_the_totals() -> None:
    reception = Reception()
    receive(reception, [1, 3])
    receive(reception, [900, 901, 903], ssrc=8)
    assert (reception.expected, reception.received, reception.lost) == (3 + 4, 5, 2)


@given(st.integers(0, 65535), st.lists(st.booleans(), min_size=2, max_size=2500).filter(lambda kept: kept[0]))
def test_loss_equals_the_packets_left_out(first: int, kept: list[bool]) -> None:
    last = max(index for index, keep in enumerate(kept) if keep)
    reception = Reception()
    receive(reception, [(first + index) & 0xFFFF for index, keep in enumerate(kept) if keep])
    assert reception.lost == kept[: last + 1].count(False)


@pytest.mark.rfc("3550-A.8")
def test_jitter_follows_the_formula() -> None:
    # Arrivals 0, 176, 320, 496: D = 16, -16, 16; J = 1, then 1 + 15/16, then 1.9375 + 14.0625/16.
    reception = Reception()
    reception.start(7, 1)
    for sequence, arrival in enumerate([0.0, 176.0, 320.0, 496.0], 1):
        reception.receive(sequence, (sequence - 1) * 160, arrival)
    assert reception.jitter == pytest.approx(2.81640625)
    assert reception.jitter_ms == pytest.approx(2.81640625 / 8)


def test_a_restarted_clock_is_no_jitter() -> None:
    reception = Reception()
    reception.start(7, 1)
    reception.receive(1, 0, 0.0)
    reception.receive(2, 160, 30 * 8000.0)
    assert reception.jitter == 0


@pytest.mark.rfc("3550-5.1")
def test_the_stream_is_unbroken_from_prompt_to_music_to_relay() -> None:
    sender = Sender(ssrc=5, sequence=65_530, timestamp=2**32 - 500)
    sent: list[tuple[int, int, int]] = []
    now = 100.0
    for source in ("prompt", "music"):
        for _ in range(5):
            marker = sender.advance(source, now)
            sent.append((marker, sender.sequence, sender.timestamp))
            now += 0.020
    sender.join("leg", 4711, 123_456, now)
    for step in range(3):
        sequence = (4711 + step + sender.sequence_shift) & 0xFFFF
        timestamp = (123_456 + 160 * step + sender.timestamp_shift) & 0xFFFFFFFF
        sent.append((0, sequence, timestamp))
    assert [marker for marker, _, _ in sent[:10]] == [MARKER, 0, 0, 0, 0] * 2
    for (_, sequence, timestamp), (_, next_sequence, next_timestamp) in itertools.pairwise(sent):
        assert (next_sequence - sequence) & 0xFFFF == 1
        assert (next_timestamp - timestamp) & 0xFFFFFFFF == 160


@pytest.mark.rfc("3550-5.1")
def test_silence_between_two_sources_advances_the_timestamp_but_not_the_number() -> None:
    sender = Sender(5, 0, 0)
    sender.advance("prompt", 10.0)
    before = sender.timestamp
    sender.advance("music", 12.003)
    assert sender.sequence == 2
    assert sender.timestamp - before == 16_000


@given(st.integers(0, 65535), st.integers(0, 2**32 - 1), st.integers(0, 65535), st.integers(0, 2**32 - 1))
def test_joining_aligns_any_numbers(ours: int, our_stamp: int, theirs: int, their_stamp: int) -> None:
    sender = Sender(1, ours, our_stamp)
    sender.join("leg", theirs, their_stamp, 1.0)
    assert (theirs + sender.sequence_shift - ours) & 0xFFFF == 1
    assert (their_stamp + sender.timestamp_shift - our_stamp) & 0xFFFFFFFF == 160


@pytest.mark.rfc("7160-4.1")
def test_a_stream_that_changes_its_clock_goes_on_from_where_it_was() -> None:
    sender = Sender(1, 10, 1000)
    sender.advance("prompt", 0.0)
    began = sender.timestamp
    sender.set_clock(48000)
    assert sender.advance("agent", 0.02, 960) == MARKER
    assert (sender.timestamp - began, sender.sequence) == (960, 12)
    sender.set_clock(8000)
    sender.advance("music", 1.02, 160)
    assert sender.timestamp - began == 960 + 8000


def test_time_passes_where_nothing_is_said() -> None:
    sender = Sender(1, 10, 1000)
    sender.advance("mix", 0.0)
    began = sender.timestamp
    for _ in range(5):
        sender.pause("mix", 160)
    sender.pause("another", 160)
    assert sender.advance("mix", 0.12) == 0
    assert (sender.timestamp - began, sender.sequence) == (6 * 160, 12)


def test_a_long_packet_is_over_before_the_next_source_begins() -> None:
    sender = Sender(1, 10, 1000)
    sender.advance("mix", 0.0, 480)
    began = sender.timestamp
    sender.advance("prompt", 0.005)
    assert sender.timestamp - began == 480
