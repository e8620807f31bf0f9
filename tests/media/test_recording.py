"""Recordings on disk: complete after every flush, never shortened, and told about."""

import json
import os
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from media.codecs.g711 import PCMU, encode
from media.recording.keys import RecordingKey
from media.recording.recorder import MOST_PACKETS, Recording
from media.recording.report import Gap, Recorded
from media.recording.sealed import Opener, Truncated
from media.recording.settings import RecordingSettings
from media.recording.wav import UNKNOWN, wav_header, with_sizes
from media.rtp.stream import EVENTS, Format

from .outbox import DeskOutbox

MU = Format(0, PCMU)
PACKET = encode((8031).to_bytes(2, "little", signed=True), PCMU) * 160
KEY = RecordingKey("k1", bytes(range(32)))


def read(path: Path, channels: int = 2) -> NDArray[np.int16]:
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (channels, 8000, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, channels)


def loud(channel: NDArray[np.int16]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (np.abs(channel) > 400).astype(int), [0]))))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def tone(hertz: float, first: int, count: int = 160) -> bytes:
    linear = 8000 * np.sin(2 * np.pi * hertz / 8000 * (first + np.arange(count)))
    return encode(linear.astype("<i2").tobytes(), PCMU)


def peak(channel: NDArray[Any], rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(channel * np.hanning(len(channel))))
    return float(np.argmax(spectrum) * rate / len(channel))


class Made:
    """A recording on a desk of its own."""

    def __init__(self, path: Path, began: float = 0.0, **settings: Any) -> None:
        self.path = path
        self.outbox = DeskOutbox(RecordingSettings(**settings))
        self.desk, self.told = self.outbox.desk, self.outbox.told
        self.recording = Recording(1, str(path), self.outbox)
        self.recording.begin(0.0, began)
        self.taps = [self.recording.channel(0), self.recording.channel(1)]

    def speak(self, channel: int, begin: float, end: float, payload: Callable[[int], bytes] | None = None) -> None:
        """Send 20 ms packets, each arriving when it is complete."""
        for number in range(round(begin * 50), round(end * 50)):
            data = payload(number * 160) if payload else PACKET
            now = (number + 1) / 50
            self.taps[channel].take(MU, self, number & 0xFFFF, number * 160, data, now)

    def finish(self, now: float) -> Recorded:
        told: list[Recorded] = []
        self.recording.finish(now, told.append)
        (recorded,) = told
        return recorded

    def side_car(self) -> dict[str, Any]:
        return dict(json.loads(Path(f"{self.path}.json").read_bytes()))


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Made]:
    def build(name: str = "day/call.wav", **changes: Any) -> Made:
        return Made(tmp_path / name, **changes)

    return build


def test_the_file_is_playable_after_every_flush(make: Callable[..., Made]) -> None:
    made = make()
    for second in range(1, 5):
        made.speak(0, second - 1, second)
        made.recording.flush(float(second))
        if second > 1:
            assert len(read(made.path)) == 8000 * (second - 1)
            assert made.path.stat().st_size == 44 + 32_000 * (second - 1)
            assert made.desk.octets == made.path.stat().st_size
    recorded = made.finish(4.0)
    assert recorded == Recorded((str(made.path),), 4.0)
    assert loud(read(made.path)[:, 0]) == [(0, 32_000)]
    assert (made.path.exists(), made.desk.errors, made.told) == (True, 0, [])
    assert made.path.stat().st_mode & 0o777 == 0o600


def test_an_independent_decoder_finds_each_tone_on_its_channel(make: Callable[..., Made]) -> None:
    for format_ in ("wav", "opus"):
        made = make(f"call.{format_}", format=format_, mixed=True)
        made.speak(0, 0.5, 3.5, lambda first: tone(440, first))
        made.speak(1, 1.0, 3.0, lambda first: tone(1000, first))
        made.recording.flush(4.0)
        recorded = made.finish(5.0)
        assert [Path(file).name for file in recorded.files] == [f"call.{format_}", f"call.mixed.{format_}"]
        stereo, rate = soundfile.read(recorded.files[0])
        mixed, _ = soundfile.read(recorded.files[1])
        assert (len(stereo), len(mixed)) == (5 * rate, 5 * rate)
        middle = slice(rate * 3 // 2, rate * 5 // 2)
        assert peak(stereo[middle, 0], rate) == pytest.approx(440, abs=1)
        assert peak(stereo[middle, 1], rate) == pytest.approx(1000, abs=1)
        assert peak(mixed[middle] - stereo[middle, 0], rate) == pytest.approx(1000, abs=1)
        for channel, begin, end in ((0, 0.5, 3.5), (1, 1.0, 3.0)):
            heard = np.flatnonzero(np.abs(stereo[:, channel]) > 0.05)
            assert heard[0] / rate == pytest.approx(begin, abs=0.01)
            assert heard[-1] / rate == pytest.approx(end, abs=0.01)
        # What one says is not heard from the other side.
        alone = stereo[rate * 6 // 10 : rate * 9 // 10]
        assert np.sqrt(np.mean(alone[:, 1] ** 2)) < 0.001 * np.sqrt(np.mean(alone[:, 0] ** 2))


def test_opus_is_playable_after_every_flush(make: Callable[..., Made]) -> None:
    made = make("call.opus", format="opus")
    for second in range(1, 5):
        made.speak(0, second - 1, second, lambda first: tone(440, first))
        made.recording.flush(float(second))
        if second > 1:
            audio, rate = soundfile.read(made.path)
            assert len(audio) > (second - 1 - 0.07) * rate
            assert peak(audio[rate // 4 : rate // 2, 0], rate) == pytest.approx(440, abs=4)


def test_an_encrypted_recording_opens_up_to_its_last_chunk(make: Callable[..., Made]) -> None:
    made = make("call.wav.sealed", key=KEY, mixed=True)
    for second in range(1, 4):
        made.speak(0, second - 1, second)
        made.recording.flush(float(second))
    with made.path.open("rb") as file:
        chunks = Opener(file).read({"k1": KEY})
        data = b"".join(next(chunks) for _ in range(3))  # the header and two seconds
        with pytest.raises(Truncated):
            next(chunks)
    assert len(data) == 44 + 2 * 32_000
    recorded = made.finish(3.0)
    assert [Path(file).name for file in recorded.files] == ["call.wav.sealed", "call.mixed.wav.sealed"]
    for file_name, frame in zip(recorded.files, (4, 2), strict=True):
        with Path(file_name).open("rb") as file:
            data = b"".join(Opener(file).read({"k1": KEY}))
        assert len(data) == 44 + 3 * 8000 * frame
    assert PACKET[:16] * 4 not in made.path.read_bytes()
    assert made.side_car()["key"] == "k1"


def test_a_pause_keeps_what_is_said_out_of_the_file(make: Callable[..., Made]) -> None:
    made = make()
    made.speak(0, 0, 2)
    made.recording.pause(2.0)
    made.recording.pause(2.1)
    made.speak(0, 2, 5)
    made.recording.flush(3.0)
    made.recording.flush(4.0)
    made.recording.resume(5.0)
    made.speak(0, 5, 6)
    recorded = made.finish(6.0)
    assert recorded.gaps == (Gap(2.0, 5.0, "paused"),)
    audio = read(made.path)
    assert len(audio) == 48_000
    assert loud(audio[:, 0]) == [(0, 16_000), (40_000, 48_000)]
    assert 0 < np.abs(audio[16_000:40_000]).max() <= 328
    assert made.side_car()["gaps"] == [{"begin": 2.0, "end": 5.0, "reason": "paused"}]
    assert made.outbox.left_out == 0


def test_a_recording_goes_on_when_its_leg_is_connected_to_another(make: Callable[..., Made]) -> None:
    made = make()
    made.speak(0, 0, 2)
    made.speak(1, 0, 2)
    made.recording.part(2.0)
    made.recording.flush(3.0)
    assert len(read(made.path)) == 16_000
    made.recording.meet(10.0)
    made.taps[1] = made.recording.channel(1)
    made.speak(0, 10, 11)
    made.speak(1, 10, 11)
    recorded = made.finish(11.0)
    audio = read(made.path)
    assert len(audio) == 88_000
    for channel in (0, 1):
        assert loud(audio[:, channel]) == [(0, 16_000), (80_000, 88_000)]
    assert recorded.gaps == (Gap(2.0, 10.0, "apart"),)


def test_a_recording_ends_where_its_leg_was_left_alone(make: Callable[..., Made]) -> None:
    made = make()
    made.speak(0, 0, 2)
    made.recording.pause(1.5)
    made.recording.part(2.0)
    recorded = made.finish(60.0)
    assert recorded.seconds == 2.0
    assert recorded.gaps == (Gap(1.5, 2.0, "paused"),)
    assert len(read(made.path)) == 16_000


def test_the_side_car_tells_what_is_known(make: Callable[..., Made]) -> None:
    made = make(began=1_700_000_000.25, mixed=True)
    made.speak(0, 0, 2)
    made.recording.flush(2.0)
    told = made.side_car()
    assert (told["complete"], told["began"], told["rate"]) == (False, "2023-11-14T22:13:20.250000Z", 8000)
    made.finish(3.0)
    told = made.side_car()
    assert (told["complete"], told["seconds"]) == (True, 3.0)
    assert told["files"] == ["call.wav", "call.mixed.wav"]
    assert Path(f"{made.path}.json").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in made.path.parent.iterdir()) == ["call.mixed.wav", "call.wav", "call.wav.json"]


def test_a_call_in_which_nothing_was_recorded_leaves_no_file(make: Callable[..., Made]) -> None:
    made = make()
    assert made.finish(0.0) == Recorded()
    assert not made.path.parent.exists()


def test_digits_and_noise_are_not_sound(make: Callable[..., Made]) -> None:
    made = make()
    for name in (EVENTS, "CN"):
        made.taps[0].take(Format(101, name), made, 1, 0, b"\x01\x8a\x00\xa0", 0.02)
    made.finish(1.0)
    assert not read(made.path).any()
    assert made.told == []


def test_comfort_noise_takes_no_place_of_what_is_said_after_it(make: Callable[..., Made]) -> None:
    made = make()
    noise, source = Format(13, "CN"), object()
    for number in range(2 * MOST_PACKETS):
        made.taps[0].take(noise, source, number, 160 * number, b"\x40", 0.5)
    made.speak(0, 1.0, 2.0)
    made.finish(2.0)
    assert made.outbox.left_out == 0
    assert np.all(np.abs(read(made.path)[8000:, 0]) > 400)


def test_a_file_that_exists_is_not_overwritten(make: Callable[..., Made]) -> None:
    made = make("call.wav")
    made.path.write_bytes(b"precious")
    for second in (2, 3):
        made.recording.flush(float(second))
    assert made.finish(4.0) == Recorded((), 4.0, (), 4.0)
    assert made.path.read_bytes() == b"precious"
    assert made.desk.errors == 1
    assert made.told == [(str(made.path), "File exists")]


def test_what_finds_no_room_is_silence_and_told_of(make: Callable[..., Made]) -> None:
    made = make()
    for second in range(1, 8):
        made.outbox.is_full = second > 2
        made.speak(0, second - 1, second)
        made.recording.flush(float(second))
    assert made.outbox.left_out == 250
    made.outbox.is_full = False
    made.speak(0, 7, 8)
    made.finish(8.0)
    audio = read(made.path)
    assert len(audio) == 64_000
    assert loud(audio[:, 0]) == [(0, 16_000), (56_000, 64_000)]
    assert made.side_car()["left_out"] == 250


def test_a_flood_of_packets_is_not_kept(make: Callable[..., Made]) -> None:
    made = make()
    for number in range(MOST_PACKETS + 10):
        made.taps[0].take(MU, made, number, number * 160, PACKET, 0.5)
    assert made.outbox.left_out == 10
    made.recording.flush(1.0)
    made.taps[0].take(MU, made, MOST_PACKETS + 10, 160, PACKET, 1.1)
    assert made.outbox.left_out == 10


@pytest.mark.parametrize("format_", ["wav", "opus"])
@pytest.mark.parametrize("key", [None, KEY], ids=["open", "sealed"])
def test_a_full_disk_costs_silence_until_there_is_room(
    make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch, format_: str, key: RecordingKey | None
) -> None:
    made = make(f"call.{format_}", format=format_, key=key)
    made.speak(0, 0, 2, lambda first: tone(440, first))
    made.recording.flush(2.0)
    pwrite, room = os.pwrite, [100]

    def full(descriptor: int, data: bytes, offset: int) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        taken, room[0] = data[: room[0]], 0
        return pwrite(descriptor, taken, offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        for second in (3, 4, 5, 6):
            made.speak(0, second - 1, second, lambda first: tone(440, first))
            made.recording.flush(float(second))
        assert made.desk.errors >= 4
    assert made.told == [(str(made.path), "No space left on device")]
    made.speak(0, 6, 10, lambda first: tone(440, first))
    made.recording.flush(10.0)
    recorded = made.finish(11.0)
    assert recorded.lost_seconds == pytest.approx(3.0, abs=0.1)
    path = made.path
    if key is not None:
        path = made.path.with_name("opened")
        with made.path.open("rb") as file:
            data = b"".join(Opener(file).read({key.id: key}))
        path.write_bytes(with_sizes(data[:44], len(data)) + data[44:])
    audio, rate = soundfile.read(path)
    assert len(audio) == 11 * rate
    assert peak(audio[rate // 2 : rate, 0], rate) == pytest.approx(440, abs=2)
    assert np.abs(audio[rate * 3 : rate * 4]).max() < 0.01
    assert peak(audio[8 * rate : 9 * rate, 0], rate) == pytest.approx(440, abs=2)


def test_the_header_of_an_endless_recording_stays_valid() -> None:
    for octets in (2**33, UNKNOWN):
        header = wav_header(octets, 2, 8000)
        assert int.from_bytes(header[4:8], "little") <= 0xFFFFFFFF
        assert len(header) == 44
    assert with_sizes(wav_header(UNKNOWN, 2, 8000), 44 + 400) == wav_header(400, 2, 8000)
    assert with_sizes(b"OggS" + bytes(60), 1000) == b"OggS" + bytes(60)


@pytest.mark.parametrize(
    ("settings", "path", "mixed"),
    [
        ({}, "a/b.wav", "a/b.mixed.wav"),
        ({"format": "opus"}, "b.opus", "b.mixed.opus"),
        ({"key": KEY}, "b.wav.sealed", "b.mixed.wav.sealed"),
        ({}, "odd", "odd.mixed.wav"),
    ],
)
def test_the_mixed_file_lies_beside(settings: dict[str, Any], path: str, mixed: str) -> None:
    assert RecordingSettings(**settings).mixed_path(path) == mixed


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="format must be one of wav, opus"):
        RecordingSettings(format="mp3")
    assert "00" not in repr(msgspec.structs.replace(RecordingSettings(), key=RecordingKey("id", bytes(32))))


def test_what_fails_at_the_end_keeps_nobody_waiting(make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch) -> None:
    made = make()
    made.speak(0, 0, 2)
    made.recording.flush(2.0)

    def fail(*_: object) -> None:
        raise ValueError("odd")

    with monkeypatch.context() as patch:
        patch.setattr("media.recording.work.Timeline.drain", fail)
        recorded = made.finish(3.0)
    assert recorded == Recorded((str(made.path),), 1.0)
    assert len(read(made.path)) == 8000
    assert made.told == [("", "A recording failed: ValueError('odd').")] * 2


@pytest.mark.parametrize("key", [None, KEY])
def test_what_could_not_be_ended_is_not_told_to_be_complete(
    make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch, key: RecordingKey | None
) -> None:
    made = make(key=key)
    made.speak(0, 0, 4)
    made.recording.flush(2.0)

    def broken(*_: object) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", broken)
        recorded = made.finish(4.0)
    assert recorded.seconds == 4.0
    assert recorded.lost_seconds == pytest.approx(3.0)
    assert made.side_car()["complete"] is False
    assert made.side_car()["lost_seconds"] == pytest.approx(3.0)


def test_a_decoder_that_fails_in_any_way_costs_its_packet_only(
    make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        sample_rate = 8000
        mode_request = None

        def decode(self, payload: bytes) -> NDArray[np.int16]:
            if payload == b"bad":
                raise ZeroDivisionError
            return np.full(160, 8000, np.int16)

        def conceal(self, samples: int, following: bytes | None = None) -> NDArray[np.int16]:
            return np.zeros(samples, np.int16)

    monkeypatch.setattr("media.recording.track.make_decoder", lambda coding: Failing())
    made = make()
    for number, payload in enumerate((b"good", b"bad", b"good")):
        made.taps[0].take(Format(96, "EVS"), made, number, number * 160, payload, (number + 1) / 50)
    made.finish(1.0)
    assert loud(read(made.path)[:, 0]) == [(0, 160), (320, 480)]
    assert made.told == [(str(made.path), "1 packets could not be decoded.")]
    assert made.side_car()["undecodable"] == 1
