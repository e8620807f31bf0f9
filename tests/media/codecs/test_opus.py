"""Opus as RFC 7587 has it: what the receiver's parameters change, FEC, DTX, stereo received, loss."""

import numpy as np
import pytest

from media.codecs import ENCODABLE, CodecError, Resampler, Samples
from media.codecs.fmtp import OpusParameters
from media.codecs.opus import PACKET_MS, OpusDecoder, OpusEncoder
from tests.media.codecs.signals import compare, rms, speech, tone

pytestmark = pytest.mark.skipif("opus" not in ENCODABLE, reason="there is no libopus")

FRAME = 960


def encoded(pcm: Samples, parameters: str = "") -> list[bytes]:
    encoder = OpusEncoder(OpusParameters.of(parameters))
    return [encoder.encode(pcm[start : start + FRAME]) for start in range(0, len(pcm), FRAME)]


def decoded(payloads: list[bytes]) -> Samples:
    decoder = OpusDecoder()
    return np.concatenate([decoder.decode(payload) for payload in payloads])


def kbit_per_second(payloads: list[bytes]) -> float:
    return sum(map(len, payloads)) * 8 / (len(payloads) * 20)


def share_above(pcm: Samples, frequency: float) -> float:
    power = np.abs(np.fft.rfft(pcm.astype(np.float64))) ** 2
    return float(power[int(frequency * len(pcm) / 48000) :].sum() / power.sum())


@pytest.mark.rfc("7587-6.1")
def test_parameters_are_read_as_they_are_written() -> None:
    assert OpusParameters.of("") == OpusParameters()
    text = "maxplaybackrate=16000; MaxAverageBitrate=20000;stereo=1;cbr=1; useinbandfec=1;usedtx=1;sprop-stereo=1"
    assert OpusParameters.of(text) == OpusParameters(16000, 20000, True, True, True, True)
    assert OpusParameters.of("maxplaybackrate=7;maxaveragebitrate=x;useinbandfec=2;usedtx") == OpusParameters()
    assert OpusParameters.of("maxaveragebitrate=1").max_average_bitrate == 6000
    assert OpusParameters.of("maxaveragebitrate=999999").max_average_bitrate == 510000


@pytest.mark.rfc("7587-6.1")
@pytest.mark.peer("espeak-ng")
@pytest.mark.parametrize(("rate", "highest"), [(8000, 4000), (16000, 8000), (24000, 12000)])
def test_nothing_is_sent_that_the_receiver_cannot_play(rate: int, highest: int) -> None:
    noise = np.random.default_rng(2).normal(0, 3000, 48000).astype(np.int16)
    heard = decoded(encoded(noise, f"maxplaybackrate={rate}"))
    assert share_above(heard, highest * 1.1) < 0.01
    assert share_above(heard, highest * 0.5) > 0.05


@pytest.mark.rfc("7587-6.1")
@pytest.mark.peer("espeak-ng")
@pytest.mark.parametrize("bitrate", [8000, 16000, 24000])
def test_the_bit_rate_stays_below_what_the_receiver_set(bitrate: int) -> None:
    assert kbit_per_second(encoded(speech(48000), f"maxaveragebitrate={bitrate}")) <= 1.15 * bitrate / 1000


@pytest.mark.rfc("7587-6.1")
@pytest.mark.peer("espeak-ng")
def test_constant_bit_rate_where_the_receiver_wants_it() -> None:
    assert len({len(payload) for payload in encoded(speech(48000), "cbr=1")}) == 1
    assert len({len(payload) for payload in encoded(speech(48000))}) > 5


@pytest.mark.rfc("7587-3.1.3")
@pytest.mark.peer("espeak-ng")
def test_silence_is_not_sent_where_the_receiver_wants_dtx() -> None:
    noise = np.random.default_rng(3).normal(0, 3, 48000 * 3)
    said = speech(48000)
    pcm = np.concatenate((said, noise.astype(np.int16), tone(425, 48000, 3.0)))
    assert all(encoded(pcm))
    payloads = encoded(pcm, "usedtx=1")
    silence = len(said) // FRAME
    assert sum(not payload for payload in payloads[: silence - 20]) <= 2
    assert sum(not payload for payload in payloads[silence : silence + 150]) > 80
    assert all(payloads[silence + 150 :]), "a tone is no silence"
    decoder = OpusDecoder()
    heard = [decoder.decode(payload) if payload else decoder.conceal(FRAME) for payload in payloads]
    assert rms(np.concatenate(heard[silence + 20 : silence + 150])) < 20
    assert rms(np.concatenate(heard[-100:])) == pytest.approx(8000 / np.sqrt(2), rel=0.1)


@pytest.mark.rfc("7587-3.3")
@pytest.mark.peer("espeak-ng")
def test_a_lost_packet_is_repeated_in_the_next() -> None:
    """With in-band FEC what is heard of a lost packet resembles what was said; without it is a guess."""
    said = speech(48000)
    payloads = encoded(said, "useinbandfec=1;maxplaybackrate=16000")
    whole = decoded(payloads)
    likeness = {}
    for helped in (True, False):
        decoder = OpusDecoder()
        heard = []
        for n, payload in enumerate(payloads):
            if n % 5 == 3 and n + 1 < len(payloads):
                heard.append(decoder.conceal(FRAME, payloads[n + 1] if helped else None))
            else:
                heard.append(decoder.decode(payload))
        lost = np.concatenate([np.arange(n * FRAME, (n + 1) * FRAME) for n in range(3, len(payloads) - 1, 5)])
        likeness[helped] = compare(whole[lost], np.concatenate(heard)[lost], 48000, longest_ms=1).likeness
    assert likeness[True] > 0.95
    assert likeness[True] > likeness[False] + 0.1


def test_a_broken_packet_does_not_spoil_the_concealment_before_it() -> None:
    decoder = OpusDecoder()
    for payload in encoded(tone(400, 48000, 0.2)):
        decoder.decode(payload)
    assert len(decoder.conceal(FRAME, b"\xff\xff\xff")) == FRAME
    with pytest.raises(CodecError, match="malformed"):
        decoder.decode(b"\xff\xff\xff")


@pytest.mark.rfc("7587-7")
def test_stereo_is_mixed_down() -> None:
    """Any receiver must take stereo, whatever it told ("stereo" is but a preference)."""
    import ctypes  # noqa: PLC0415 - the encoder of the product is mono

    from media.codecs.opus import LIBRARY  # noqa: PLC0415

    assert LIBRARY is not None
    error = ctypes.c_int()
    state = ctypes.c_void_p(LIBRARY.opus_encoder_create(48000, 2, 2049, ctypes.byref(error)))
    buffer = ctypes.create_string_buffer(1500)
    left, right = tone(400, 48000), tone(1000, 48000)
    both = np.ascontiguousarray(np.column_stack((left, right)))
    payloads = []
    for start in range(0, 48000, FRAME):
        piece = both[start : start + FRAME]
        size = LIBRARY.opus_encode(state, ctypes.c_void_p(piece.ctypes.data), FRAME, buffer, 1500)
        payloads.append(buffer.raw[:size])
    LIBRARY.opus_encoder_destroy(state)
    assert payloads[9][0] & 0x04, "the packets are stereo"
    heard = decoded(payloads)
    assert len(heard) == 48000
    spectrum = np.abs(np.fft.rfft(heard[24000:] * np.hanning(24000)))
    loudest = {round(float(place) * 2 / 100) * 100 for place in np.argsort(spectrum)[-4:]}
    assert loudest == {400, 1000}


def test_what_goes_on_missing_falls_to_a_low_noise() -> None:
    decoder = OpusDecoder()
    for payload in encoded(tone(400, 48000)):
        before = decoder.decode(payload)
    concealed = [decoder.conceal(FRAME) for _ in range(50)]
    levels = [rms(pcm) for pcm in concealed]
    assert levels[0] > 0.3 * rms(before)
    assert max(levels[6:]) < 250
    steps = np.abs(np.diff(np.concatenate((before, *concealed)).astype(int)))
    assert steps.max() < 1.5 * np.abs(np.diff(before.astype(int))).max()


def test_what_comes_after_a_loss_does_not_click() -> None:
    decoder = OpusDecoder()
    payloads = encoded(tone(400, 48000))
    heard = [decoder.conceal(FRAME) if 20 <= n < 30 else decoder.decode(payload) for n, payload in enumerate(payloads)]
    steady = np.abs(np.diff(np.concatenate(heard[:20]).astype(int))).max()
    assert np.abs(np.diff(np.concatenate(heard).astype(int))).max() < 2 * steady
    assert rms(np.concatenate(heard[32:])) == pytest.approx(8000 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("samples", [120, 480, 960, 1920, 2880, 5760, 48000, 7])
def test_concealment_of_any_length(samples: int) -> None:
    decoder = OpusDecoder()
    decoder.decode(encoded(tone(400, 48000, 0.02))[0])
    assert len(decoder.conceal(samples)) == samples


def test_a_packet_of_another_length_is_refused() -> None:
    with pytest.raises(CodecError, match="no packets of 30 ms"):
        OpusEncoder(OpusParameters(), 30)
    with pytest.raises(ValueError, match="480 samples"):
        OpusEncoder(OpusParameters(), 20).encode(np.zeros(480, np.int16))
    for packet_ms in PACKET_MS:
        assert OpusEncoder(OpusParameters(), packet_ms).encode(np.zeros(48 * packet_ms, np.int16))


def test_speech_of_a_narrow_band_needs_no_other_care() -> None:
    pcm = Resampler(8000, 48000).convert(tone(700, 8000))
    assert rms(decoded(encoded(pcm))[24000:]) == pytest.approx(8000 / np.sqrt(2), rel=0.05)
