"""Stereo recordings: aligned, padded, never shortened, playable at any moment."""

import os
import threading
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from media.codecs.g711 import PCMA, PCMU, encode
from media.recording.recorder import HOLD_BACK, Recording, RecordingWriter, StereoTimeline, wav_header

LOUD = {law: encode((8031).to_bytes(2, "little", signed=True), law) for law in (PCMU, PCMA)}
PACKET = LOUD[PCMU] * 160


def samples(data: bytes) -> NDArray[np.int16]:
    return np.frombuffer(data, dtype="<i2").reshape(-1, 2)


def loud(channel: NDArray[np.int16]) -> list[tuple[int, int]]:
    """Return the stretches (first sample, one past the last) that are not silent."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (np.abs(channel) > 100).astype(int), [0]))))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


class Speaker:
    """Sends 20 ms packets into a timeline, arriving when they are complete plus some delay."""

    def __init__(self, timeline: StereoTimeline, channel: int, began: float = 0.0, timestamp: int = 7) -> None:
        self.timeline = timeline
        self.channel = channel
        self.now = began
        self.timestamp = timestamp
        self.source: object = "first"

    def speak(self, packets: int = 1, *, delay: float = 0.0, speed: float = 1.0) -> None:
        for _ in range(packets):
            self.now += 0.020 * speed
            self.timeline.write(self.channel, self.source, self.timestamp, PACKET, codec=PCMU, now=self.now + delay)
            self.timestamp = (self.timestamp + 160) & 0xFFFFFFFF

    def pause(self, seconds: float, *, clock_runs: bool = True) -> None:
        self.now += seconds
        if clock_runs:
            self.timestamp += round(seconds * 8000)


def drained(timeline: StereoTimeline, until: float) -> NDArray[np.int16]:
    return samples(timeline.drain(until, 0))


def test_both_channels_lie_where_the_clock_puts_them() -> None:
    timeline = StereoTimeline(0.0)
    Speaker(timeline, 0, began=0.100).speak(10)
    Speaker(timeline, 1, began=0.200).speak(5)
    audio = drained(timeline, 1.0)
    assert len(audio) == 8000
    assert loud(audio[:, 0]) == [(800, 2400)]
    assert loud(audio[:, 1]) == [(1600, 2400)]


def test_loss_is_silence_of_the_same_length() -> None:
    timeline = StereoTimeline(0.0)
    speaker = Speaker(timeline, 0)
    speaker.speak(2)
    speaker.pause(0.060)
    speaker.speak(2)
    assert loud(drained(timeline, 0.2)[:, 0]) == [(0, 320), (800, 1120)]


@given(st.lists(st.floats(0, 0.5), min_size=3, max_size=40))
def test_jitter_and_reordering_leave_no_trace(delays: list[float]) -> None:
    timeline = StereoTimeline(0.0)
    arrivals = [(0.020, 0)] + [(0.020 * (n + 1) + delay, n) for n, delay in enumerate(delays, 1)]
    for arrival, number in sorted(arrivals):
        timeline.write(0, "x", 160 * number, PACKET, codec=PCMU, now=arrival)
    assert loud(drained(timeline, 2.0)[:, 0]) == [(0, 160 * (len(delays) + 1))]


@pytest.mark.parametrize("clock_runs", [True, False], ids=["timestamps go on", "timestamps stand still"])
def test_hold_does_not_shorten(clock_runs: bool) -> None:
    timeline = StereoTimeline(0.0)
    speaker = Speaker(timeline, 0)
    speaker.speak(10)
    out = [drained(timeline, speaker.now)]
    speaker.pause(5.0, clock_runs=clock_runs)
    out.append(samples(timeline.drain(speaker.now)))
    speaker.speak(10)
    out.append(drained(timeline, speaker.now))
    audio = np.concatenate(out)
    assert len(audio) == round(speaker.now * 8000)
    assert loud(audio[:, 0]) == [(0, 1600), (41_600, 43_200)]


def test_a_source_that_starts_anew_is_placed_by_the_clock() -> None:
    timeline = StereoTimeline(0.0)
    speaker = Speaker(timeline, 0, timestamp=2**32 - 160)
    speaker.speak(5)
    speaker.source, speaker.timestamp = "second", 12345
    speaker.speak(5)
    assert loud(drained(timeline, 0.2)[:, 0]) == [(0, 1600)]


@pytest.mark.parametrize("speed", [1.0005, 0.9995], ids=["slow clock", "fast clock"])
def test_channels_do_not_drift_apart(speed: float) -> None:
    timeline = StereoTimeline(0.0)
    speaker = Speaker(timeline, 0)
    audio = []
    while speaker.now < 240:
        speaker.speak(50, speed=speed)
        audio.append(samples(timeline.drain(speaker.now)))
    audio.append(drained(timeline, speaker.now))
    whole = np.concatenate(audio)
    # 0.05 % would add up to 120 ms.
    end_of_speech = loud(whole[:, 0])[-1][1]
    assert len(whole) == round(speaker.now * 8000)
    assert abs(end_of_speech - len(whole)) <= 240


def test_another_law_on_a_channel_is_translated() -> None:
    timeline = StereoTimeline(0.0)
    timeline.write(0, "x", 0, LOUD[PCMU] * 160, codec=PCMU, now=0.020)
    timeline.write(0, "x", 160, LOUD[PCMA] * 160, codec=PCMA, now=0.040)
    timeline.write(1, "y", 0, LOUD[PCMA] * 160, codec=PCMA, now=0.020)
    audio = drained(timeline, 0.040)
    assert np.abs(audio[:, 0] - 8031).max() < 300
    assert loud(audio[:, 1]) == [(0, 160)]


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 2**32 - 1), st.integers(0, 400), st.floats(0, 3), st.booleans()),
        max_size=30,
    )
)
def test_any_timestamps_leave_the_length_right(packets: list[tuple[int, int, int, float, bool]]) -> None:
    timeline = StereoTimeline(0.0)
    now, total = 0.0, 0
    for channel, timestamp, length, pause, drain in packets:
        now += pause
        timeline.write(channel, "x", timestamp, b"\x55" * length, codec=PCMU, now=now)
        if drain:
            total += len(samples(timeline.drain(now)))
            assert total == max(0, round(now * 8000) - HOLD_BACK)
    total += len(drained(timeline, now))
    assert total == round(now * 8000)


def read(path: Path) -> NDArray[np.int16]:
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 8000, 2)
        return samples(file.readframes(file.getnframes()))


def wait(writer: RecordingWriter) -> None:
    done = threading.Event()
    writer.call(done.set)
    assert done.wait(5)


def test_the_file_is_playable_after_every_flush(tmp_path: Path) -> None:
    path = tmp_path / "day" / "call.wav"
    writer = RecordingWriter()
    recording = Recording(str(path), writer, 0.0)
    for second in range(1, 4):
        recording.write(0, "x", 8000 * second, PACKET, codec=PCMU, now=second - 0.5)
        recording.flush(float(second))
        wait(writer)
        assert (len(read(path)) if second > 1 else 0) == 8000 * (second - 1)
        if second > 1:
            assert path.stat().st_size == 44 + 32_000 * (second - 1)
    recording.finish(3.0)
    wait(writer)
    assert len(read(path)) == 24_000
    assert (recording.exists, writer.errors) == (True, 0)
    assert path.stat().st_mode & 0o777 == 0o600
    writer.close()


def test_a_file_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(b"precious")
    writer = RecordingWriter()
    recording = Recording(str(path), writer, 0.0)
    recording.flush(2.0)
    recording.flush(3.0)
    recording.finish(4.0)
    wait(writer)
    assert path.read_bytes() == b"precious"
    assert (recording.exists, writer.errors) == (False, 1)
    writer.close()


def test_a_slow_disk_costs_silence_but_no_length_and_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    writer = RecordingWriter(limit=70_000)
    recording = Recording(str(path), writer, 0.0)
    gate = threading.Event()

    def stall() -> None:
        assert gate.wait(5)

    writer.call(stall)
    for second in range(1, 8):
        recording.write(0, "x", 8000 * second, PACKET, codec=PCMU, now=second - 0.5)
        recording.flush(float(second))
    assert writer.errors == 4
    recording.finish(8.0)
    gate.set()
    wait(writer)
    audio = read(path)
    assert len(audio) == 64_000
    assert loud(audio[:, 0]) == [(3840, 4000), (11_840, 12_000)]
    assert writer.errors == 5
    writer.close()


def test_a_full_disk_is_counted_once_and_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = RecordingWriter()
    recording = Recording(str(tmp_path / "call.wav"), writer, 0.0)
    recording.flush(2.0)
    wait(writer)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        recording.flush(3.0)
        recording.flush(4.0)
        wait(writer)
    recording.finish(5.0)
    wait(writer)
    assert writer.errors == 1
    assert len(read(tmp_path / "call.wav")) == 8000
    writer.close()


def test_the_header_of_an_endless_recording_stays_valid() -> None:
    header = wav_header(2**33)
    assert int.from_bytes(header[4:8], "little") <= 0xFFFFFFFF
    assert len(header) == 44
