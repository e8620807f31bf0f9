"""The payload formats of RFC 4867: its figures, its rules, and any octets at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.codecs import CodecError
from media.codecs.amr_payload import AMR, AMR_WB, MOST_FRAMES, NO_DATA, Content, Family, Frame, pack, unpack

FAMILIES = [AMR, AMR_WB]
both_families = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
both_formats = pytest.mark.parametrize("octet_align", [True, False], ids=["octet-aligned", "bandwidth-efficient"])


def bits(text: str) -> bytes:
    """Octets from a string of bits; blanks and bars are left out."""
    text = "".join(text.split()).replace("|", "")
    assert len(text) % 8 == 0
    return int(text or "0", 2).to_bytes(len(text) // 8, "big")


def pattern(count: int, seed: int) -> str:
    """So many bits that look like speech."""
    return "".join(str((seed * (n + 3) ** 2 >> 3) & 1) for n in range(count))


def padded(text: str) -> bytes:
    return bits(text + "0" * (-len(text) % 8))


@pytest.mark.rfc("4867-4.3.5.1")
def test_the_figure_of_a_single_frame() -> None:
    """No mode is requested (CMR=15), the frame of AMR 7.4 (FT=4) is not damaged (Q=1): 148 bits, two of padding."""
    speech = pattern(148, 7)
    payload = bits(f"1111 | 0 0100 1 | {speech} | 00")
    assert len(payload) == 20
    content = unpack(payload, AMR, octet_align=False)
    assert content == Content(None, (Frame(4, True, padded(speech)),))
    assert pack(content, AMR, octet_align=False) == payload


@pytest.mark.rfc("4867-4.3.5.2")
def test_the_figure_of_several_frames() -> None:
    """AMR-WB, CMR=1: 6.6 (FT=0), SID (FT=9), NO_DATA (FT=15), 8.85 (FT=1), none damaged, seven zeros at the end."""
    first, silence, last = pattern(132, 5), pattern(40, 11), pattern(177, 3)
    payload = bits(f"0001 | 1 0000 1 | 1 1001 1 | 1 1111 1 | 0 0001 1 | {first} {silence} {last} | 0000000")
    assert len(payload) == 48
    content = unpack(payload, AMR_WB, octet_align=False)
    assert content == Content(
        1,
        (
            Frame(0, True, padded(first)),
            Frame(9, True, padded(silence)),
            Frame(NO_DATA, True, b""),
            Frame(1, True, padded(last)),
        ),
    )
    assert pack(content, AMR_WB, octet_align=False) == payload


@pytest.mark.rfc("4867-4.4.5.1")
def test_the_figure_of_two_octet_aligned_frames() -> None:
    """AMR 7.95 (FT=5) twice, CMR=6: an octet for each entry of the table, each frame filled up to whole octets."""
    first, second = pattern(159, 5), pattern(159, 9)
    payload = bits(f"0110 0000 | 1 0101 1 00 | 0 0101 1 00 | {first} 0 | {second} 0")
    assert len(payload) == 43
    content = unpack(payload, AMR, octet_align=True)
    assert content == Content(6, (Frame(5, True, padded(first)), Frame(5, True, padded(second))))
    assert pack(content, AMR, octet_align=True) == payload


@pytest.mark.rfc("4867-4.3.2")
@both_formats
@both_families
def test_each_frame_type_has_its_length(family: Family, octet_align: bool) -> None:
    expected = {
        "AMR": {0: 95, 1: 103, 2: 118, 3: 134, 4: 148, 5: 159, 6: 204, 7: 244, 8: 39, 15: 0},
        "AMR-WB": {0: 132, 1: 177, 2: 253, 3: 285, 4: 317, 5: 365, 6: 397, 7: 461, 8: 477, 9: 40, 14: 0, 15: 0},
    }[family.name]
    for type_, size in expected.items():
        frame = Frame(type_, True, padded(pattern(size, 3)))
        payload = pack(Content(None, (frame,)), family, octet_align=octet_align)
        assert len(payload) == (2 + (size + 7) // 8 if octet_align else (10 + size + 7) // 8)
        assert unpack(payload, family, octet_align=octet_align).frames == (frame,)


@pytest.mark.rfc("4867-4.3.2")
@both_formats
@both_families
def test_a_packet_with_an_unused_frame_type_is_discarded(family: Family, octet_align: bool) -> None:
    """Of frame types that are not used, any makes the whole packet useless."""
    unused = set(range(16)) - family.bits.keys()
    assert unused == ({9, 10, 11, 12, 13, 14} if family is AMR else {10, 11, 12, 13})
    for type_ in unused:
        entry = f"0 {type_:04b} 1"
        payload = bits(f"1111 0000 {entry} 00" if octet_align else f"1111 {entry} 000000") + bytes(60)
        with pytest.raises(CodecError, match=f"unused type {type_}"):
            unpack(payload, family, octet_align=octet_align)


@pytest.mark.rfc("4867-4.3.2")
@both_formats
def test_the_quality_bit_is_kept(octet_align: bool) -> None:
    frames = (Frame(0, False, padded(pattern(95, 3))), Frame(2, True, padded(pattern(118, 5))))
    payload = pack(Content(2, frames), AMR, octet_align=octet_align)
    assert [frame.good for frame in unpack(payload, AMR, octet_align=octet_align).frames] == [False, True]


@pytest.mark.rfc("4867-4.3.1")
@both_formats
@both_families
@pytest.mark.parametrize("request_", range(16))
def test_only_modes_are_requests(family: Family, octet_align: bool, request_: int) -> None:
    """15 is no request; what stands for no mode is ignored."""
    plain = pack(Content(None, (Frame(NO_DATA, True, b""),)), family, octet_align=octet_align)
    assert plain[0] >> 4 == 15
    payload = bytes([plain[0] & 0x0F | request_ << 4]) + plain[1:]
    assert unpack(payload, family, octet_align=octet_align).mode_request == (
        request_ if request_ < family.modes else None
    )


@pytest.mark.parametrize("payload", [b"", b"\xf0", b"\xf0\x3c", b"\xf0\xbc\x3c" + bytes(40), b"\xf0\x04" + bytes(11)])
def test_what_is_cut_off_is_refused(payload: bytes) -> None:
    with pytest.raises(CodecError, match=r"empty|shorter"):
        unpack(payload, AMR, octet_align=True)


def test_what_is_framed_otherwise_than_agreed_is_refused() -> None:
    """Phones that pay no heed to octet-align are told from others by their lengths."""
    frame = Frame(7, True, padded(pattern(244, 3)))
    for aligned in (True, False):
        payload = pack(Content(None, (frame,)), AMR, octet_align=aligned)
        with pytest.raises(CodecError):
            unpack(payload, AMR, octet_align=not aligned)


@both_formats
def test_one_packet_cannot_ask_for_any_amount_of_sound(octet_align: bool) -> None:
    frames = (Frame(NO_DATA, True, b""),) * MOST_FRAMES
    assert unpack(pack(Content(None, frames), AMR, octet_align=octet_align), AMR, octet_align=octet_align)
    with pytest.raises(CodecError, match="more than 12"):
        unpack(pack(Content(None, (*frames, frames[0])), AMR, octet_align=octet_align), AMR, octet_align=octet_align)


@both_formats
@both_families
@given(data=st.data())
def test_what_is_packed_is_unpacked(family: Family, octet_align: bool, data: st.DataObject) -> None:
    frames = []
    for type_ in data.draw(st.lists(st.sampled_from(sorted(family.bits)), min_size=1, max_size=MOST_FRAMES)):
        size = family.bits[type_]
        number = data.draw(st.integers(0, 2**size - 1))
        octets = (size + 7) // 8
        frames.append(Frame(type_, data.draw(st.booleans()), (number << 8 * octets - size).to_bytes(octets, "big")))
    content = Content(data.draw(st.none() | st.integers(0, family.modes - 1)), tuple(frames))
    assert unpack(pack(content, family, octet_align=octet_align), family, octet_align=octet_align) == content


@both_formats
@both_families
@given(payload=st.binary(max_size=300) | st.binary(min_size=1, max_size=60).map(lambda octets: b"\xf0\x3c" + octets))
def test_any_octets_are_frames_or_a_clear_error(family: Family, octet_align: bool, payload: bytes) -> None:
    try:
        content = unpack(payload, family, octet_align=octet_align)
    except CodecError as error:
        told = str(error)
    else:
        told = f"{family.name} with {len(content.frames)} frames."
        for frame in content.frames:
            assert len(frame.data) == (family.bits[frame.type] + 7) // 8
        again = pack(content, family, octet_align=octet_align)
        assert len(again) == len(payload)
        assert unpack(again, family, octet_align=octet_align)[1] == content.frames
    assert family.name in told
    assert told.endswith(".")
