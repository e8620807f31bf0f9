"""AMR and AMR-WB as streams: modes, requests, pauses, damage, loss."""

import numpy as np
import pytest

from media.codecs import ENCODABLE, CodecError, Samples
from media.codecs import amr_payload as rtp
from media.codecs.amr import AMR, AMR_WB, AmrDecoder, AmrEncoder, Kind
from media.codecs.amr_payload import NO_DATA, Content, Frame
from media.codecs.fmtp import AmrParameters
from tests.media.codecs import ffmpeg
from tests.media.codecs.signals import rms, tone

KINDS = [AMR, AMR_WB]
both_kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.family.name)
ALIGNED = AmrParameters(octet_align=True)


def encoder_of(kind: Kind, parameters: AmrParameters = ALIGNED, packet_ms: int = 20) -> AmrEncoder:
    if kind.family.name not in ENCODABLE:
        pytest.skip(f"{kind.family.name} cannot be encoded on this machine")
    return AmrEncoder(kind, parameters, packet_ms)


def sound(kind: Kind, ms: int = 20) -> Samples:
    return tone(400, kind.sample_rate, ms / 1000)


def mode_of(payload: bytes) -> int:
    return payload[1] >> 3 & 15


@both_kinds
def test_a_request_is_followed(kind: Kind) -> None:
    encoder = encoder_of(kind)
    assert mode_of(encoder.encode(sound(kind))) == kind.first_mode
    for mode in (0, kind.family.modes - 1, 3):
        encoder.follow(mode)
        assert mode_of(encoder.encode(sound(kind))) == mode
    encoder.follow(None)
    assert mode_of(encoder.encode(sound(kind))) == 3


@pytest.mark.rfc("4867-8.1")
@both_kinds
def test_no_mode_outside_the_set_is_used(kind: Kind) -> None:
    encoder = encoder_of(kind, AmrParameters(octet_align=True, modes=(1, 4, 6)))
    used = []
    for request in (None, *range(kind.family.modes)):
        encoder.follow(request)
        used.append(mode_of(encoder.encode(sound(kind))))
    assert used[1:8] == [1, 1, 1, 1, 4, 4, 6]
    assert set(used) <= {1, 4, 6}


@pytest.mark.rfc("4867-8.1")
def test_a_mode_changes_only_at_each_second_frame_where_the_period_is_two() -> None:
    encoder = encoder_of(AMR, AmrParameters(octet_align=True, change_period=2))
    used = []
    for n in range(12):
        encoder.follow(n % 8)
        used.append(mode_of(encoder.encode(sound(AMR))))
    assert all(used[n] == used[n + 1] for n in range(0, 12, 2))
    assert len(set(used)) > 3


@pytest.mark.rfc("4867-8.1")
def test_a_mode_changes_only_to_its_neighbour_where_that_is_wanted() -> None:
    encoder = encoder_of(AMR, AmrParameters(octet_align=True, modes=(0, 2, 4, 7), change_neighbor=True))
    assert mode_of(encoder.encode(sound(AMR))) == 7
    encoder.follow(0)
    assert [mode_of(encoder.encode(sound(AMR))) for _ in range(4)] == [4, 2, 0, 0]
    encoder.follow(7)
    assert [mode_of(encoder.encode(sound(AMR))) for _ in range(4)] == [2, 4, 7, 7]


@pytest.mark.rfc("4867-4.3.1")
@both_kinds
@pytest.mark.parametrize("octet_align", [True, False])
def test_a_request_goes_to_the_peer_and_is_seen_there(kind: Kind, octet_align: bool) -> None:
    parameters = AmrParameters(octet_align=octet_align)
    encoder, decoder = encoder_of(kind, parameters), AmrDecoder(kind, parameters)
    requests = []
    for asked in (None, 4, None, 0):
        encoder.ask(asked)
        decoder.decode(encoder.encode(sound(kind)))
        requests.append(decoder.mode_request)
    assert requests == [None, 4, 4, 0], "15 is no request: the last one stays in force"


@both_kinds
@pytest.mark.parametrize("octet_align", [True, False])
@pytest.mark.parametrize("packet_ms", [20, 40, 60, 80, 100])
def test_several_frames_in_a_packet(kind: Kind, packet_ms: int, octet_align: bool) -> None:
    parameters = AmrParameters(octet_align=octet_align)
    encoder, decoder = encoder_of(kind, parameters, packet_ms), AmrDecoder(kind, parameters)
    one_by_one, single = encoder_of(kind, parameters), AmrDecoder(kind, parameters)
    pcm = sound(kind, 10 * packet_ms)
    size = kind.sample_rate // 1000 * packet_ms
    heard = [decoder.decode(encoder.encode(pcm[i : i + size])) for i in range(0, len(pcm), size)]
    frame = kind.sample_rate // 50
    expected = [single.decode(one_by_one.encode(pcm[i : i + frame])) for i in range(0, len(pcm), frame)]
    assert np.array_equal(np.concatenate(heard), np.concatenate(expected))


def test_a_packet_of_another_length_is_refused() -> None:
    with pytest.raises(CodecError, match="no packets of 30 ms"):
        encoder_of(AMR, ALIGNED, 30)
    with pytest.raises(ValueError, match="80 samples"):
        encoder_of(AMR).encode(np.zeros(80, np.int16))


@pytest.mark.parametrize("octet_align", [True, False])
def test_pauses_are_filled_with_the_noise_described(octet_align: bool) -> None:
    """Silence descriptors (SID) of another encoder, NO_DATA, and nothing at all: the noise goes on."""
    rng = np.random.default_rng(4)
    pcm = np.concatenate((tone(300, 8000, 1.0), rng.normal(0, 60, 24000).astype(np.int16)))
    frames = ffmpeg.encode("libopencore_amrnb", pcm, rate=8000, samples=160, bit_rate=12200, options={"dtx": "1"})
    types = [frame[0] >> 3 & 15 for frame in frames]
    assert {8, NO_DATA} <= set(types)
    decoder = AmrDecoder(AMR, AmrParameters(octet_align=octet_align))
    heard: list[Samples] = []
    for frame, type_ in zip(frames, types, strict=True):
        if type_ == NO_DATA and len(heard) % 2:
            heard.append(decoder.conceal(160))
        else:
            content = Content(None, (Frame(type_, True, frame[1:]),))
            heard.append(decoder.decode(rtp.pack(content, rtp.AMR, octet_align=octet_align)))
    pause = np.concatenate(heard[types.index(8) + 30 :])
    assert len(pause) > 8000
    assert 20 < rms(pause) < 120
    assert min(rms(pause[i : i + 800]) for i in range(0, len(pause) - 800, 800)) > 10


@pytest.mark.rfc("4867-4.3.2")
@both_kinds
def test_a_damaged_frame_is_concealed_rather_than_decoded(kind: Kind) -> None:
    """Q=0: "the corresponding frame is severely damaged"."""
    encoder, decoder, other = encoder_of(kind), AmrDecoder(kind, ALIGNED), AmrDecoder(kind, ALIGNED)
    for _ in range(10):
        payload = encoder.encode(sound(kind))
        decoder.decode(payload)
        other.decode(payload)
    damaged = bytearray(encoder.encode(sound(kind)))
    damaged[1] &= ~0x04
    damaged[2:] = b"\xaa" * len(damaged[2:])
    assert np.array_equal(decoder.decode(bytes(damaged)), other.conceal(kind.sample_rate // 50))


@both_kinds
def test_what_is_missing_fades(kind: Kind) -> None:
    encoder, decoder = encoder_of(kind), AmrDecoder(kind, ALIGNED)
    frame = kind.sample_rate // 50
    pcm = sound(kind, 1000)
    for i in range(0, len(pcm), frame):
        before = decoder.decode(encoder.encode(pcm[i : i + frame]))
    levels = [rms(decoder.conceal(frame)) for _ in range(10)]
    assert rms(before) > levels[0] > 0.2 * rms(before)
    assert levels[5] < 0.02 * rms(before)


@both_kinds
def test_concealment_of_any_length(kind: Kind) -> None:
    decoder = AmrDecoder(kind, ALIGNED)
    assert [len(decoder.conceal(samples)) for samples in (80, 80, 1, 500, 0, 160)] == [80, 80, 1, 500, 0, 160]


def test_parameters_are_read_as_they_are_written() -> None:
    assert AmrParameters.of("") == AmrParameters()
    text = " Octet-Align=1; mode-set=7,0, 2;mode-change-period=2; mode-change-neighbor=1;max-red=0"
    assert AmrParameters.of(text) == AmrParameters(True, (0, 2, 7), 2, True)
    assert AmrParameters.of("octet-align=x;mode-set=a,-1;mode-change-period=3") == AmrParameters()
