"""Every codec and every pair of codecs: level, frequency, delay, noise; tones and speech."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.codecs import (
    DECODABLE,
    ENCODABLE,
    CodecError,
    Decoder,
    Resampler,
    Samples,
    fitting_packet_ms,
    make_decoder,
    make_encoder,
    same_bitstream,
    sample_rate_of,
)
from media.rtp.stream import Format
from tests.media.codecs.signals import compare, decibels, frequency_of, rms, speech, tone

FORMATS = {
    "PCMU": Format(0, "PCMU"),
    "PCMA": Format(8, "PCMA"),
    "G722": Format(9, "G722"),
    "opus": Format(96, "opus", 48000, 2),
    "AMR": Format(97, "AMR"),
    "AMR octet-aligned": Format(98, "AMR", parameters="octet-align=1"),
    "AMR-WB": Format(99, "AMR-WB", 16000),
    "AMR-WB octet-aligned": Format(100, "AMR-WB", 16000, parameters="octet-align=1"),
}
# What a codec may delay by (its look-ahead and filters), and how much of speech must be what was said.
LONGEST_DELAY_MS = {"PCMU": 0.0, "PCMA": 0.0, "G722": 1.5, "opus": 7.0, "AMR": 8.0, "AMR-WB": 9.0}
SPEECH_SNR_DB = {"PCMU": 32, "PCMA": 32, "G722": 16, "opus": 4, "AMR": 4, "AMR-WB": 6}
LIKENESS = {"PCMU": 0.999, "PCMA": 0.999, "G722": 0.999, "opus": 0.99, "AMR": 0.98, "AMR-WB": 0.98}
PAIRS = list(itertools.product(["PCMU", "PCMA", "G722", "opus", "AMR", "AMR-WB octet-aligned"], repeat=2))


def needed(name: str) -> Format:
    format_ = FORMATS[name]
    if format_.name not in ENCODABLE:
        pytest.skip(f"{format_.name} cannot be encoded on this machine")
    return format_


def pieces(pcm: Samples, size: int) -> Iterator[Samples]:
    return (pcm[start : start + size] for start in range(0, len(pcm) - size + 1, size))


def payloads(format_: Format, pcm: Samples, packet_ms: int = 20) -> list[bytes]:
    encoder = make_encoder(format_, packet_ms)
    return [encoder.encode(piece) for piece in pieces(pcm, encoder.sample_rate * packet_ms // 1000)]


def decoded(decoder: Decoder, packets: list[bytes]) -> Samples:
    return np.concatenate([decoder.decode(packet) for packet in packets])


def through(format_: Format, pcm: Samples, packet_ms: int = 20) -> Samples:
    return decoded(make_decoder(format_), payloads(format_, pcm, packet_ms))


def transcoded(pcm: Samples, first: Format, second: Format) -> tuple[Samples, float]:
    """What is heard at the far end of `second` of what was encoded as `first`, and the resampler's delay."""
    resampler = Resampler(sample_rate_of(first), sample_rate_of(second))
    decoder, encoder, far = make_decoder(first), make_encoder(second), make_decoder(second)
    heard = [far.decode(encoder.encode(resampler.convert(decoder.decode(packet)))) for packet in payloads(first, pcm)]
    return np.concatenate(heard), resampler.delay


def test_what_is_there_is_declared() -> None:
    assert {"PCMU", "PCMA", "CN"} <= DECODABLE
    assert {"PCMU", "PCMA"} <= ENCODABLE <= DECODABLE
    for format_ in FORMATS.values():
        for names, make in ((DECODABLE, make_decoder), (ENCODABLE, make_encoder)):
            if format_.name in names:
                assert make(format_).sample_rate == sample_rate_of(format_)
            else:
                with pytest.raises(CodecError):
                    make(format_)


@pytest.mark.parametrize("name", ["telephone-event", "GSM"])
def test_what_is_no_codec_of_ours_is_refused(name: str) -> None:
    for make in (make_decoder, make_encoder):
        with pytest.raises(CodecError, match=f"{name} cannot be"):
            make(Format(99, name))


@pytest.mark.parametrize("frequency", [300, 1000, 2000])
@pytest.mark.parametrize("name", FORMATS)
def test_a_tone_keeps_level_and_frequency(name: str, frequency: int) -> None:
    format_ = needed(name)
    rate = sample_rate_of(format_)
    heard = through(format_, tone(frequency, rate, 2.0))[rate:]
    assert decibels(rms(heard) / (8000 / np.sqrt(2))) == pytest.approx(0, abs=1.0)
    assert frequency_of(heard, rate) == pytest.approx(frequency, abs=1.0)


@pytest.mark.rfc("3551-4.5.2")
def test_g722_has_16_khz_although_its_clock_has_8() -> None:
    format_ = needed("G722")
    assert (format_.clock_rate, sample_rate_of(format_)) == (8000, 16000)
    (payload,) = payloads(format_, tone(1000, 16000, 0.02))
    assert len(payload) == format_.clock_rate // 50, "an octet each tick of the clock"


@pytest.mark.rfc("7587-4.1")
@pytest.mark.parametrize("parameters", ["", "maxplaybackrate=8000", "maxplaybackrate=16000"])
def test_opus_has_48_khz_whatever_is_inside(parameters: str) -> None:
    needed("opus")
    format_ = Format(96, "opus", 48000, 2, parameters)
    assert sample_rate_of(format_) == format_.clock_rate == 48000
    assert len(through(format_, tone(1000, 48000, 0.1))) == 4800


@pytest.mark.parametrize("name", ["G722", "opus", "AMR-WB"])
def test_wideband_carries_what_narrowband_cannot(name: str) -> None:
    format_ = needed(name)
    rate = sample_rate_of(format_)
    heard = through(format_, tone(5000, rate, 2.0))[rate:]
    assert decibels(rms(heard) / (8000 / np.sqrt(2))) == pytest.approx(0, abs=2.0)
    assert frequency_of(heard, rate) == pytest.approx(5000, abs=2.0)


@pytest.mark.peer("espeak-ng")
@pytest.mark.parametrize("name", FORMATS)
def test_speech_keeps_its_level_and_comes_in_time(name: str) -> None:
    format_ = needed(name)
    rate = sample_rate_of(format_)
    said = speech(rate)
    measured = compare(said, through(format_, said), rate)
    assert measured.delay_ms <= LONGEST_DELAY_MS[format_.name]
    assert measured.gain_db == pytest.approx(0, abs=1.0)
    assert measured.snr_db >= SPEECH_SNR_DB[format_.name]
    assert measured.likeness >= LIKENESS[format_.name]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_tone_through_every_pair(first: str, second: str) -> None:
    one, other = needed(first), needed(second)
    heard, _ = transcoded(tone(1000, sample_rate_of(one), 2.0), one, other)
    rate = sample_rate_of(other)
    settled = heard[rate:]
    assert len(heard) == 2 * rate
    assert decibels(rms(settled) / (8000 / np.sqrt(2))) == pytest.approx(0, abs=1.5)
    assert frequency_of(settled, rate) == pytest.approx(1000, abs=1.0)


@pytest.mark.peer("espeak-ng")
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_speech_through_every_pair(first: str, second: str) -> None:
    one, other = needed(first), needed(second)
    low = min(sample_rate_of(one), sample_rate_of(other))
    said, expected = (speech(sample_rate_of(format_), low) for format_ in (one, other))
    heard, resampling = transcoded(said, one, other)
    measured = compare(expected, heard, sample_rate_of(other))
    longest = LONGEST_DELAY_MS[one.name] + LONGEST_DELAY_MS[other.name] + resampling * 1000 + 0.5
    assert measured.delay_ms <= longest
    assert measured.gain_db == pytest.approx(0, abs=1.5)
    assert measured.likeness >= LIKENESS[one.name] * LIKENESS[other.name]


@pytest.mark.parametrize("wanted", [10, 20, 30, 40, 60, 200])
@pytest.mark.parametrize("name", FORMATS)
def test_packets_last_as_long_as_is_wanted_and_can_be(name: str, wanted: int) -> None:
    format_ = needed(name)
    packet_ms = fitting_packet_ms(format_, wanted)
    rate = sample_rate_of(format_)
    heard = through(format_, tone(500, rate, 1.2), packet_ms)
    assert len(heard) == 1.2 * rate
    assert packet_ms <= max(wanted, 20)
    assert decibels(rms(heard[rate // 2 :]) / (8000 / np.sqrt(2))) == pytest.approx(0, abs=1.0)


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.binary(max_size=400))
def test_any_payload_is_decoded_or_refused(name: str, data: bytes) -> None:
    format_ = needed(name)
    decoder = make_decoder(format_)
    try:
        heard = decoder.decode(data)
    except CodecError:
        heard = np.zeros(0, np.int16)
    assert heard.dtype == np.int16
    assert len(heard) <= 0.5 * decoder.sample_rate
    assert len(decoder.conceal(decoder.sample_rate // 50)) == decoder.sample_rate // 50


@pytest.mark.parametrize("name", FORMATS)
def test_payloads_that_were_damaged_are_survived(name: str) -> None:
    """Bits turned over in packets of the right form reach the inside of each codec."""
    format_ = needed(name)
    rate = sample_rate_of(format_)
    noise = np.random.default_rng(5)
    decoder = make_decoder(format_)
    for packet in payloads(format_, tone(700, rate, 4.0)):
        damaged = bytearray(packet)
        for place in noise.integers(2, max(3, len(packet)), 5):
            if place < len(packet):
                damaged[place] ^= 1 << int(noise.integers(8))
        assert len(decoder.decode(bytes(damaged))) == rate // 50
    good = [decoder.decode(packet) for packet in payloads(format_, tone(700, rate, 1.0))]
    assert decibels(rms(good[-1]) / (8000 / np.sqrt(2))) == pytest.approx(0, abs=1.0)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_encoded_is_not_changed(name: str) -> None:
    """It may be what others hear too."""
    format_ = needed(name)
    pcm = tone(700, sample_rate_of(format_), 0.2)
    pcm.setflags(write=False)
    kept = pcm.copy()
    payloads(format_, pcm)
    assert np.array_equal(pcm, kept)


def test_the_same_bitstream_may_be_sent_on_undecoded() -> None:
    opus, dtx = FORMATS["opus"], Format(111, "opus", 48000, 2, "usedtx=1;useinbandfec=1")
    assert same_bitstream(opus, dtx)
    assert not same_bitstream(FORMATS["PCMU"], FORMATS["PCMA"])
    assert not same_bitstream(FORMATS["AMR"], FORMATS["AMR octet-aligned"])
    assert not same_bitstream(FORMATS["AMR"], FORMATS["AMR-WB"])
    assert not same_bitstream(Format(13, "CN"), Format(98, "CN", 16000))


@pytest.mark.rfc("4867-8.1")
def test_amr_may_be_sent_on_to_who_takes_all_of_its_modes() -> None:
    every, some = Format(97, "AMR"), Format(98, "AMR", parameters="mode-set=0,2,4,7")
    one = Format(99, "AMR", parameters="mode-set=7")
    assert same_bitstream(some, every)
    assert same_bitstream(one, some)
    assert not same_bitstream(every, some)
    assert not same_bitstream(some, one)
    slow = Format(97, "AMR", parameters="mode-change-period=2")
    assert same_bitstream(slow, every)
    assert not same_bitstream(every, slow)
    near = Format(97, "AMR", parameters="mode-change-neighbor=1")
    assert same_bitstream(near, every)
    assert not same_bitstream(every, near)
