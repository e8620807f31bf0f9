"""A peer's packets played as a steady signal."""

import numpy as np
import pytest

from media.codecs import ENCODABLE, Samples, make_encoder
from media.codecs.playout import Playout
from media.rtp.stream import Format

PCMU = Format(0, "PCMU")
PCMA = Format(8, "PCMA")
CN = Format(13, "CN")
STEP = 160


def tone(samples: int, frequency: float = 440.0, level: float = 8000.0, rate: int = 8000) -> Samples:
    return np.asarray(level * np.sin(2 * np.pi * frequency * np.arange(samples) / rate), np.int16)


def rms(pcm: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(pcm, dtype=np.float64))))


def packets(pcm: Samples, format_: Format = PCMU) -> list[bytes]:
    encoder = make_encoder(format_, 20)
    return [encoder.encode(pcm[i : i + STEP]) for i in range(0, len(pcm), STEP)]


class Line:
    """Sends and pulls each 20 ms."""

    def __init__(self, playout: Playout) -> None:
        self.playout = playout
        self.now = 50.0
        self.number = 65530
        self.timestamp = 2**32 - 4000
        self.source: object = object()

    def send(self, payload: bytes | None, format_: Format = PCMU, steps: int = 1) -> Samples:
        """Have the packet arrive (None: it is lost), and play what is to be heard in its time."""
        if payload is not None:
            self.playout.put(
                format_, self.source, self.number & 0xFFFF, self.timestamp & 0xFFFFFFFF, payload, self.now + 0.001
            )
        self.number += 1
        self.timestamp += steps * STEP
        return self.pause(steps)

    def pause(self, steps: int) -> Samples:
        heard = []
        for _ in range(steps):
            self.now += 0.02
            heard.append(self.playout.pull(self.playout.sample_rate // 50, self.now))
        return np.concatenate(heard)


def test_nothing_received_is_silence() -> None:
    playout = Playout(8000)
    assert not playout.pull(160, 1.0).any()
    assert playout.delay_ms == 0


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_a_tone_is_heard_at_its_level_at_every_rate(rate: int) -> None:
    line = Line(Playout(rate))
    heard = np.concatenate([line.send(payload) for payload in packets(tone(16000))])
    assert len(heard) == 2 * rate
    later = heard[rate // 2 :].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(later * np.hanning(len(later))))
    assert np.argmax(spectrum) * rate / len(later) == pytest.approx(440, abs=1)
    assert rms(heard[rate // 2 :]) == pytest.approx(8000 / np.sqrt(2), rel=0.02)


def test_lost_packets_are_concealed() -> None:
    line = Line(Playout(8000))
    heard = np.concatenate(
        [line.send(None if n % 10 == 7 else payload) for n, payload in enumerate(packets(tone(16000)))]
    )
    later = heard[1600:]
    assert min(rms(later[i : i + STEP]) for i in range(0, len(later), STEP)) > 4000
    assert np.abs(np.diff(later.astype(int))).max() < 1.5 * np.abs(np.diff(tone(8000).astype(int))).max()
    assert line.playout.buffer.lost == 10


def test_a_codec_changed_in_mid_call_is_followed() -> None:
    line = Line(Playout(8000))
    signal = tone(8000)
    for n, (mu, a) in enumerate(zip(packets(signal), packets(signal, PCMA), strict=True)):
        heard = line.send(a, PCMA) if n % 2 else line.send(mu)
    assert rms(heard) == pytest.approx(8000 / np.sqrt(2), rel=0.05)
    assert line.playout.undecodable == 0


def test_another_clock_rate_begins_anew() -> None:
    line = Line(Playout(8000))
    for payload in packets(tone(1600)):
        line.send(payload)
    line.send(bytes([60]), Format(98, "CN", 16000), 2)
    heard = line.pause(5)
    assert 0 < rms(heard) < 100


def test_comfort_noise_is_made_until_speech_goes_on() -> None:
    """RFC 3389 4: the noise is played "until a regular voice packet" arrives; the silent time is no loss."""
    line = Line(Playout(8000))
    for payload in packets(tone(8000)):
        line.send(payload)
    line.send(bytes([50]), CN, 100)
    silence = line.playout.pull(8000, line.now)
    expected = 32767 * 10 ** (-50 / 20)
    assert rms(silence) == pytest.approx(expected, rel=0.1)
    assert line.playout.buffer.lost == 0


def test_what_cannot_be_decoded_is_counted_and_concealed() -> None:
    line = Line(Playout(8000))
    for payload in packets(tone(8000)):
        line.send(payload)
    heard = line.send(b"", CN)
    line.send(b"x" * 40, Format(99, "unheard-of"))
    assert len(heard) == STEP
    assert len(line.pause(2)) == 2 * STEP
    assert line.playout.undecodable == 2


def test_a_buffer_that_is_too_deep_is_read_down_without_a_gap() -> None:
    playout = Playout(8000)
    delays = [0.1 if n < 50 and n % 5 == 1 else 0.0 for n in range(1000)]
    coming = sorted(
        (10 + n * 0.02 + delays[n], n, payload) for n, payload in enumerate(packets(tone(20 * 8000, 200.0)))
    )
    depths = []
    for tick in range(995):
        now = 10.07 + tick * 0.02
        while coming and coming[0][0] <= now:
            arrival, n, payload = coming.pop(0)
            playout.put(PCMU, playout, n, n * STEP, payload, arrival)
        heard = playout.pull(STEP, now)
        depths.append(playout.delay_ms)
        if tick > 50:
            assert rms(heard) == pytest.approx(8000 / np.sqrt(2), rel=0.1)
    assert depths[100] > 100
    assert depths[-1] < 60
    assert playout.buffer.discarded == 0


def test_who_sends_nothing_any_more_is_silent_but_for_the_noise_it_told() -> None:
    for format_ in (PCMU, Format(96, "opus", 48000, 2), Format(97, "AMR")):
        if format_.name not in ENCODABLE:
            continue
        playout = Playout(8000)
        encoder = make_encoder(format_, 20)
        pcm = tone(encoder.sample_rate // 50, rate=encoder.sample_rate)
        for n in range(10):
            playout.put(format_, playout, n, n * format_.clock_rate // 50, encoder.encode(pcm), 1 + n * 0.02)
            playout.pull(STEP, 1.04 + n * 0.02)
        for tick in range(150):
            heard = playout.pull(STEP, 1.24 + tick * 0.02)
        assert not heard.any()
    line = Line(Playout(8000))
    line.send(bytes([40]), CN)
    assert rms(line.pause(500)[-STEP:]) > 100


def test_what_comes_too_late_is_counted_across_clocks() -> None:
    playout = Playout(8000)
    for n in (0, 1, 2, 4, 5, 3, 6):
        playout.put(PCMU, playout, n, n * STEP, bytes(160), 1 + n * 0.02 if n != 3 else 1.2)
        playout.pull(STEP, 1.05 + n * 0.02 if n != 3 else 1.21)
    assert playout.discarded == playout.buffer.late == 1
    playout.put(Format(96, "opus", 48000, 2), playout, 7, 0, b"\xff", 2.0)
    assert playout.discarded == 1
    assert playout.buffer.late == 0


def test_events_passed_over_are_no_loss() -> None:
    line = Line(Playout(8000))
    signal = packets(tone(3200))
    for payload in signal[:10]:
        line.send(payload)
    for _ in range(5):
        line.playout.pass_over(line.number & 0xFFFF)
        line.number += 1
        line.timestamp += STEP
        line.pause(1)
    for payload in signal[10:]:
        line.send(payload)
    assert line.playout.buffer.lost == 0
