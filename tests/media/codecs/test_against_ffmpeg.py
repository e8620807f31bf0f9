"""Each codec against FFmpeg's, both ways: what we encode it decodes, what it encodes we decode."""

from collections.abc import Callable

import numpy as np
import pytest

from media.codecs import ENCODABLE, Samples, make_decoder, make_encoder
from media.codecs import amr_payload as rtp
from media.codecs.amr_payload import Content, Family, Frame
from media.rtp.stream import Format
from tests.media.codecs import ffmpeg
from tests.media.codecs.signals import compare, speech, tone

G722 = Format(9, "G722")
OPUS = Format(96, "opus", 48000, 2)
AMR = Format(97, "AMR", parameters="octet-align=1")
AMR_WB = Format(98, "AMR-WB", 16000, parameters="octet-align=1")
NARROW_RATES = (4750, 5150, 5900, 6700, 7400, 7950, 10200, 12200)

pytestmark = pytest.mark.peer("espeak-ng")


def ours(format_: Format, payloads: list[bytes]) -> Samples:
    decoder = make_decoder(format_)
    return np.concatenate([decoder.decode(payload) for payload in payloads])


def encoded(format_: Format, pcm: Samples) -> list[bytes]:
    if format_.name not in ENCODABLE:
        pytest.skip(f"{format_.name} cannot be encoded on this machine")
    encoder = make_encoder(format_)
    size = encoder.sample_rate // 50
    return [encoder.encode(pcm[start : start + size]) for start in range(0, len(pcm), size)]


def stored(payloads: list[bytes]) -> list[bytes]:
    """Octet-aligned payloads of one frame as they stand in a file (RFC 4867 5.3): entry of the table, frame."""
    return [bytes([payload[1] & 0x7C]) + payload[2:] for payload in payloads]


def payloads_of(frames: list[bytes], family: Family, *, octet_align: bool = True) -> list[bytes]:
    return [
        rtp.pack(
            Content(None, (Frame(frame[0] >> 3 & 15, bool(frame[0] & 4), frame[1:]),)), family, octet_align=octet_align
        )
        for frame in frames
    ]


@pytest.mark.parametrize("law", ["PCMU", "PCMA"])
def test_g711_octet_by_octet(law: str) -> None:
    codec = {"PCMU": "pcm_mulaw", "PCMA": "pcm_alaw"}[law]
    format_ = Format(0, law)
    every = bytes(range(256))
    assert np.array_equal(ffmpeg.decode(codec, [every], 8000), make_decoder(format_).decode(every))
    said = speech(8000)
    theirs = ffmpeg.encode(codec, said, rate=8000, samples=160)
    assert compare(said, ours(format_, theirs), 8000).snr_db > 32
    # FFmpeg rounds to the nearest value: never further than the neighbouring interval.
    heard = ours(format_, theirs).astype(int) - ours(format_, encoded(format_, said))
    assert np.abs(heard).max() <= 512


@pytest.mark.parametrize("frequency", [300, 1000, 5000])
def test_g722_decodes_bit_by_bit_alike(frequency: int) -> None:
    """An ADPCM decoder is defined to the bit by G.722."""
    for pcm in (speech(16000), tone(frequency, 16000, level=12000)):
        for payloads in (encoded(G722, pcm), ffmpeg.encode("g722", pcm, rate=16000, samples=320)):
            mine, theirs = ours(G722, payloads), ffmpeg.decode("g722", payloads, 16000)
            assert np.array_equal(mine[: len(theirs)], theirs)


def test_g722_encodes_as_well() -> None:
    said = speech(16000)
    mine = compare(said, ffmpeg.decode("g722", encoded(G722, said), 16000), 16000)
    theirs = compare(said, ours(G722, ffmpeg.encode("g722", said, rate=16000, samples=320)), 16000)
    assert mine.snr_db >= theirs.snr_db - 0.5
    assert mine.delay_ms == pytest.approx(theirs.delay_ms, abs=0.1)


@pytest.mark.parametrize("parameters", ["", "useinbandfec=1", "maxplaybackrate=8000", "maxplaybackrate=16000", "cbr=1"])
def test_ffmpegs_own_decoder_hears_our_opus_as_we_do(parameters: str) -> None:
    said = speech(48000)
    payloads = encoded(Format(96, "opus", 48000, 2, parameters), said)
    theirs = ffmpeg.decode("opus", payloads, 48000, channels=2)
    measured = compare(ours(OPUS, payloads), theirs, 48000)
    assert measured.gain_db == pytest.approx(0, abs=0.2)
    assert measured.likeness > 0.998


@pytest.mark.parametrize("duration", ["2.5", "5", "10", "20", "40", "60"])
def test_opus_of_ffmpeg_is_decoded(duration: str) -> None:
    said = speech(48000)
    samples = int(float(duration) * 48)
    options = {"application": "audio", "frame_duration": duration}
    payloads = ffmpeg.encode("libopus", said, rate=48000, samples=samples, bit_rate=48000, options=options)
    heard = ours(OPUS, payloads)
    assert len(heard) == samples * len(payloads)
    measured = compare(said, heard, 48000)
    assert measured.likeness > 0.99
    assert measured.gain_db == pytest.approx(0, abs=0.5)
    assert measured.delay_ms < 7


@pytest.mark.parametrize("mode", range(8))
def test_ffmpegs_own_decoder_hears_our_amr_as_we_do(mode: int) -> None:
    said = speech(8000)
    payloads = encoded(Format(97, "AMR", parameters=f"octet-align=1;mode-set={mode}"), said)
    assert {payload[1] >> 3 & 15 for payload in payloads} == {mode}
    theirs = ffmpeg.decode("amrnb", stored(payloads), 8000)
    measured = compare(ours(AMR, payloads), theirs, 8000)
    assert measured.gain_db == pytest.approx(0, abs=0.3)
    assert measured.likeness > 0.99
    assert measured.delay_ms == 0


@pytest.mark.parametrize("octet_align", [True, False])
@pytest.mark.parametrize("mode", range(8))
def test_amr_of_ffmpeg_is_decoded(mode: int, octet_align: bool) -> None:
    said = speech(8000)
    frames = ffmpeg.encode("libopencore_amrnb", said, rate=8000, samples=160, bit_rate=NARROW_RATES[mode])
    format_ = AMR if octet_align else Format(97, "AMR")
    heard = ours(format_, payloads_of(frames, rtp.AMR, octet_align=octet_align))
    measured = compare(said, heard, 8000)
    assert measured.likeness > (0.94 if mode < 4 else 0.98)
    assert measured.gain_db == pytest.approx(0, abs=1.5)


@pytest.mark.parametrize("mode", range(9))
def test_ffmpegs_own_decoder_hears_our_amr_wb_as_we_do(mode: int) -> None:
    said = speech(16000)
    payloads = encoded(Format(98, "AMR-WB", 16000, parameters=f"octet-align=1;mode-set={mode}"), said)
    assert {payload[1] >> 3 & 15 for payload in payloads} == {mode}
    theirs = ffmpeg.decode("amrwb", stored(payloads), 16000)
    measured = compare(ours(AMR_WB, payloads), theirs, 16000)
    assert measured.gain_db == pytest.approx(0, abs=0.5)
    assert measured.likeness > 0.99
    assert compare(said, theirs, 16000).likeness > 0.95


@pytest.mark.parametrize("level", [20, 30, 50, 65])
def test_ffmpeg_measures_our_comfort_noise_as_we_were_told(level: int) -> None:
    """Its decoder makes noise 6 dB below what its own encoder, and RFC 3389 3.1, mean by a level."""
    noise = ours(Format(13, "CN"), [bytes([level])] * 200)
    told = [packet[0] for packet in ffmpeg.encode("comfortnoise", noise, rate=8000, samples=640)]
    assert len(told) >= 40
    assert np.mean(told) == pytest.approx(level, abs=1)


@pytest.mark.parametrize(("indices", "low"), [((50, 140), True), ((220, 110), False)])
def test_comfort_noise_has_the_colour_that_ffmpeg_gives_it(indices: tuple[int, ...], low: bool) -> None:
    """RFC 3389 3.2: reflection coefficients tell whether there is more of it below or above 2 kHz."""
    packet = bytes([30, *indices])

    def share_below(pcm: Samples) -> float:
        power = np.abs(np.fft.rfft(pcm.astype(np.float64))) ** 2
        return float(power[: len(power) // 2].sum() / power.sum())

    decode: list[Callable[[], Samples]] = [
        lambda: ours(Format(13, "CN"), [packet] * 100),
        lambda: ffmpeg.decode("comfortnoise", [packet] * 100, 8000),
    ]
    mine, theirs = (share_below(make()) for make in decode)
    assert mine == pytest.approx(theirs, abs=0.06)
    assert (mine > 0.6) if low else (mine < 0.4)
