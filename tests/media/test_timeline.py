"""Timelines: aligned, padded, never shortened, without drift, at any codec's rate."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from media.codecs import DECODABLE, ENCODABLE, make_encoder
from media.codecs.g711 import PCMA, PCMU, encode
from media.recording.gathering import Gathering
from media.recording.packet import Packet
from media.recording.report import Gap
from media.recording.stretch import Stretch
from media.recording.timeline import MARK_HERTZ, MARK_PERIOD_SECONDS, MARK_SECONDS, Timeline
from media.recording.track import HOLD_BACK_SECONDS
from media.rtp.stream import Format

LOUD = {law: encode((8031).to_bytes(2, "little", signed=True), law) for law in (PCMU, PCMA)}
PACKET = LOUD[PCMU] * 160
MU, A = Format(0, PCMU), Format(8, PCMA)
RATE = 8000


def whole(pieces: Iterator[NDArray[np.int16]]) -> NDArray[np.int16]:
    return np.concatenate([np.zeros((0, 2), np.int16), *pieces])


def loud(channel: NDArray[np.int16]) -> list[tuple[int, int]]:
    """Return the stretches (first sample, one past the last) that are not silent."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (np.abs(channel) > 400).astype(int), [0]))))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def tone(hertz: float, count: int, first: int, rate: int = RATE) -> NDArray[np.int16]:
    samples: NDArray[np.int16] = (8000 * np.sin(2 * np.pi * hertz / rate * (first + np.arange(count)))).astype(np.int16)
    return samples


def peak(channel: NDArray[np.int16], rate: int = RATE) -> float:
    """Return the strongest frequency."""
    spectrum = np.abs(np.fft.rfft(channel * np.hanning(len(channel))))
    return float(np.argmax(spectrum) * rate / len(channel))


def one(packet: Packet) -> Stretch:
    """Return a packet by itself."""
    gathering = Gathering(packet.coding, packet.source)
    gathering.add(packet.sequence, packet.timestamp, packet.payload, packet.arrived)
    return Stretch.of(packet.coding, packet.source, gathering.columns())


class Speaker:
    """Sends 20 ms packets into a timeline, arriving when they are complete plus some delay."""

    def __init__(self, timeline: Timeline, channel: int = 0, began: float = 0.0, timestamp: int = 7) -> None:
        self.timeline = timeline
        self.channel = channel
        self.now = began
        self.sequence = 65_530
        self.timestamp = timestamp
        self.source: object = "first"

    def speak(self, packets: int = 1, *, delay: float = 0.0, speed: float = 1.0) -> None:
        for _ in range(packets):
            self.now += 0.020 * speed
            self.say(PACKET, delay=delay)

    def say(self, payload: bytes, coding: Format = MU, *, delay: float = 0.0, steps: int = 160) -> None:
        packet = Packet(coding, self.source, self.sequence, self.timestamp, payload, self.now + delay)
        self.timeline.add(self, self.channel, one(packet))
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + steps) & 0xFFFFFFFF

    def lose(self, packets: int) -> None:
        self.now += 0.020 * packets
        self.sequence = (self.sequence + packets) & 0xFFFF
        self.timestamp = (self.timestamp + 160 * packets) & 0xFFFFFFFF

    def pause(self, seconds: float, *, clock_runs: bool = True) -> None:
        self.now += seconds
        if clock_runs:
            self.timestamp += round(seconds * RATE)


def drained(timeline: Timeline, until: float) -> NDArray[np.int16]:
    return whole(timeline.drain(until, 0))


def test_both_channels_lie_where_the_clock_puts_them() -> None:
    timeline = Timeline(0.0, RATE)
    Speaker(timeline, 0, began=0.100).speak(10)
    Speaker(timeline, 1, began=0.200).speak(5)
    audio = drained(timeline, 1.0)
    assert len(audio) == 8000
    assert loud(audio[:, 0]) == [(800, 2400)]
    assert loud(audio[:, 1]) == [(1600, 2400)]


def test_a_speaker_who_comes_late_is_placed_by_the_clock() -> None:
    timeline = Timeline(100.0, RATE)
    assert len(drained(timeline, 103.5)) == 28_000
    Speaker(timeline, 1, began=104.0).speak(5)
    assert loud(drained(timeline, 104.5)[:, 1]) == [(4000, 4800)]


def test_long_loss_is_silence_of_the_same_length() -> None:
    timeline = Timeline(0.0, RATE)
    speaker = Speaker(timeline)
    speaker.speak(2)
    speaker.lose(5)
    speaker.speak(2)
    assert loud(drained(timeline, 0.2)[:, 0]) == [(0, 320), (1120, 1440)]
    assert timeline.concealed == 0


def test_short_loss_is_handed_to_the_decoder_to_conceal() -> None:
    timeline = Timeline(0.0, RATE)
    speaker = Speaker(timeline)
    speaker.speak(4)
    speaker.lose(2)
    speaker.speak(2)
    speaker.pause(0.040)  # nothing was lost here: the sender was silent
    speaker.speak(2)
    audio = drained(timeline, 0.3)
    assert timeline.concealed == 1
    assert len(audio) == 2400
    assert not np.any(np.abs(audio[8 * 160 : 10 * 160, 0]) > 400)
    assert np.all(np.abs(audio[10 * 160 : 12 * 160, 0]) > 400)


@given(st.lists(st.floats(0, 0.2), min_size=3, max_size=40))
@example([0.0] * 27 + [0.1875, 0.0])  # overtaken across the instant up to which packets are placed
def test_jitter_and_reordering_leave_no_trace(delays: list[float]) -> None:
    timeline = Timeline(0.0, RATE)
    arrivals = [(0.020, 0)] + [(0.020 * (n + 1) + delay, n) for n, delay in enumerate(delays, 1)]
    for arrival, number in sorted(arrivals):
        timeline.add("x", 0, one(Packet(MU, "x", number, 160 * number, PACKET, arrival)))
    assert loud(drained(timeline, 2.0)[:, 0]) == [(0, 160 * (len(delays) + 1))]
    assert timeline.concealed == 0


def test_a_repeated_packet_is_decoded_once() -> None:
    timeline = Timeline(0.0, RATE)
    for number in (0, 1, 1, 2):
        timeline.add("x", 0, one(Packet(MU, "x", number, 160 * number, PACKET, 0.020 * (number + 1))))
    assert loud(drained(timeline, 0.1)[:, 0]) == [(0, 480)]


@pytest.mark.parametrize("clock_runs", [True, False], ids=["timestamps go on", "timestamps stand still"])
def test_hold_does_not_shorten(clock_runs: bool) -> None:
    timeline = Timeline(0.0, RATE)
    speaker = Speaker(timeline)
    speaker.speak(10)
    out = [drained(timeline, speaker.now)]
    speaker.pause(5.0, clock_runs=clock_runs)
    out.append(whole(timeline.drain(speaker.now)))
    speaker.speak(10)
    out.append(drained(timeline, speaker.now))
    audio = np.concatenate(out)
    assert len(audio) == round(speaker.now * RATE)
    assert loud(audio[:, 0]) == [(0, 1600), (41_600, 43_200)]


def test_a_source_that_starts_anew_is_placed_by_the_clock() -> None:
    timeline = Timeline(0.0, RATE)
    speaker = Speaker(timeline, timestamp=2**32 - 160)
    speaker.speak(5)
    speaker.source, speaker.timestamp = "second", 12345
    speaker.speak(5)
    assert loud(drained(timeline, 0.2)[:, 0]) == [(0, 1600)]


@pytest.mark.parametrize("ppm", [200, -200], ids=["slow clock", "fast clock"])
def test_channels_do_not_drift_apart_in_an_hour(ppm: int) -> None:
    """Two talkers mark each minute at the same instant; one's clock is off by 200 ppm, which would be 720 ms."""
    timeline = Timeline(0.0, RATE)
    right, left = Speaker(timeline, 0), Speaker(timeline, 1, timestamp=2**31)
    silence = b"\xff" * 160
    apart: list[int] = []
    total = 0
    tail = np.zeros((0, 2), np.int16)
    for minute in range(60):
        for packet in range(3000):
            payload = PACKET if packet < 10 else silence
            left.now += 0.020
            left.say(payload)
        while right.now + 0.020 * (1 + ppm * 1e-6) <= left.now + 1e-9:
            right.now += 0.020 * (1 + ppm * 1e-6)
            since = right.now % 60
            right.say(PACKET if 0.010 < since <= 0.210 else silence)
        pieces = [tail, *timeline.drain(left.now)]
        audio = np.concatenate(pieces)
        total += len(audio) - len(tail)
        begins = [[begin for begin, end in loud(audio[:, channel]) if end - begin > 400] for channel in (0, 1)]
        if begins[0] and begins[1]:
            apart.append(begins[0][0] - begins[1][0])
        tail = audio[-RATE:]
        assert total == round((left.now - HOLD_BACK_SECONDS) * RATE), minute
    assert len(apart) >= 50
    # A packet of the grid (20 ms) and the 5 ms that are let be.
    assert max(map(abs, apart)) <= 0.030 * RATE


@pytest.mark.parametrize("ppm", [200, -200])
def test_a_drifting_clock_costs_no_gaps(ppm: int) -> None:
    """What makes up for the drift is a sample now and then: speech is neither cut nor interrupted."""
    timeline = Timeline(0.0, RATE)
    speaker = Speaker(timeline)
    audio = []
    while speaker.now < 240:
        speaker.speak(50, speed=1 + ppm * 1e-6)
        audio.append(whole(timeline.drain(speaker.now)))
    audio.append(drained(timeline, speaker.now))
    both = np.concatenate(audio)
    assert len(both) == round(speaker.now * RATE)
    (stretch,) = loud(both[:, 0])
    assert stretch[0] == 0
    assert abs(stretch[1] - len(both)) <= 0.010 * RATE


def test_another_law_on_a_channel_is_decoded_as_such() -> None:
    timeline = Timeline(0.0, RATE)
    speaker = Speaker(timeline)
    for coding in (MU, A):
        speaker.now += 0.020
        speaker.say(LOUD[coding.name] * 160, coding)
    audio = drained(timeline, 0.040)
    assert np.abs(audio[:, 0] - 8031).max() < 300


def test_what_nobody_can_decode_is_silence_and_is_counted() -> None:
    timeline = Timeline(0.0, RATE)
    speaker = Speaker(timeline)
    speaker.now = 0.020
    speaker.say(b"\x01\x02", Format(97, "EVRC"))
    assert not drained(timeline, 1.0).any()
    assert timeline.undecodable == 1


@pytest.mark.parametrize(
    ("coding", "steps"),
    [(MU, 160), (Format(9, "G722"), 160), (Format(111, "opus", 48_000, 2), 960), (Format(98, "AMR-WB", 16_000), 320)],
    ids=lambda value: value.name if isinstance(value, Format) else "",
)
@pytest.mark.parametrize("rate", [8000, 16_000])
def test_a_tone_keeps_its_place_and_pitch_at_any_rate(coding: Format, steps: int, rate: int) -> None:

    if coding.name not in DECODABLE & ENCODABLE:
        pytest.skip(f"{coding.name} is not available")
    encoder = make_encoder(coding, 20)
    timeline = Timeline(0.0, rate)
    speaker = Speaker(timeline, began=1.0)
    length = encoder.sample_rate // 50
    for number in range(100):
        speaker.now += 0.020
        speaker.say(encoder.encode(tone(1000, length, number * length, encoder.sample_rate)), coding, steps=steps)
    audio = drained(timeline, 4.0)
    assert len(audio) == 4 * rate
    stretches = loud(audio[:, 0])
    assert abs(stretches[0][0] / rate - 1.0) < 0.035  # codecs have a delay of their own
    assert abs(stretches[-1][1] / rate - 3.0) < 0.035
    assert peak(audio[rate * 3 // 2 : rate * 5 // 2, 0], rate) == pytest.approx(1000, abs=2)


def test_a_codec_of_another_rate_in_mid_call_changes_neither_place_nor_length() -> None:
    encoder = make_encoder(Format(9, "G722"), 20)
    timeline = Timeline(0.0, RATE)
    speaker = Speaker(timeline)
    speaker.speak(50)
    for number in range(50):
        speaker.now += 0.020
        speaker.say(encoder.encode(tone(700, 320, number * 320, 16_000)), Format(9, "G722"))
    speaker.speak(50)
    audio = drained(timeline, speaker.now)[:, 0]
    assert len(audio) == 24_000
    assert peak(audio[9000:15_000]) == pytest.approx(700, abs=2)
    assert np.all(np.abs(audio[100:7800] - 8031) < 300)
    assert np.all(np.abs(audio[16_200:23_900] - 8031) < 300)


def test_two_speakers_of_one_channel_are_mixed() -> None:
    timeline = Timeline(0.0, RATE)
    Speaker(timeline, 1).speak(10)
    Speaker(timeline, 1, began=0.100).speak(10)
    audio = drained(timeline, 0.4)[:, 1]
    assert np.abs(audio[:800] - 8031).max() < 300
    assert np.abs(audio[800:1600] - 16_062).max() < 600
    assert np.abs(audio[1600:2400] - 8031).max() < 300


def test_who_has_left_leaves_the_figures() -> None:
    timeline = Timeline(0.0, RATE)
    speaker = Speaker(timeline)
    speaker.speak(1)
    speaker.lose(1)
    speaker.speak(1)
    drained(timeline, 0.1)
    timeline.forget()
    assert timeline.concealed == 1


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_a_pause_leaves_a_marked_gap_of_its_length(rate: int) -> None:
    timeline = Timeline(10.0, rate)
    speaker = Speaker(timeline, began=10.0)
    speaker.speak(50)
    timeline.pause(11.0)
    out = [whole(timeline.drain(13.0))]
    speaker.now = 16.0
    timeline.resume(16.0)
    speaker.source = "again"
    speaker.speak(50)
    out.append(whole(timeline.drain(17.0, 0)))
    audio = np.concatenate(out)
    assert len(audio) == 7 * rate
    assert timeline.gaps == [Gap(1.0, 6.0, "paused")]
    gap = audio[rate : 6 * rate]
    assert np.array_equal(gap[:, 0], gap[:, 1])
    assert 300 < np.abs(gap).max() <= 328
    for begin in range(0, 5, MARK_PERIOD_SECONDS):
        marked = gap[begin * rate : round((begin + MARK_SECONDS) * rate), 0]
        assert peak(marked, rate) == pytest.approx(MARK_HERTZ, abs=5)
        assert not gap[round((begin + MARK_SECONDS) * rate) + 1 : (begin + 2) * rate].any()
    assert loud(audio[:, 0])[0][0] == 0
    assert loud(audio[:, 0])[-1] == (6 * rate, 7 * rate) or rate > RATE


def test_a_gap_that_lasts_to_the_end_is_told() -> None:
    timeline = Timeline(0.0, RATE)
    timeline.pause(1.0)
    timeline.pause(2.0)
    drained(timeline, 3.5)
    timeline.end_gap()
    timeline.end_gap()
    assert timeline.gaps == [Gap(1.0, 3.5, "paused")]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.integers(0, 65_535),
            st.integers(0, 2**32 - 1),
            st.integers(0, 400),
            st.floats(0, 3),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_any_timestamps_leave_the_length_right(packets: list[tuple[int, int, int, int, float, bool]]) -> None:
    timeline = Timeline(0.0, RATE)
    now, total = 0.0, 0
    for channel, sequence, timestamp, length, pause, drain in packets:
        now += pause
        timeline.add(channel, channel, one(Packet(MU, "x", sequence, timestamp, b"\x55" * length, now)))
        if drain:
            total += len(whole(timeline.drain(now)))
            assert total == max(0, round((now - HOLD_BACK_SECONDS) * RATE))
    total += len(drained(timeline, now))
    assert total == round(now * RATE)
