"""Encrypted files: what is written opens with its key only, as it was, up to where it was cut."""

import io
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.recording import sealed
from media.recording.keys import KeyringError, RecordingKey, read_keys
from media.recording.sealed import (
    LARGEST_CHUNK,
    NotSealed,
    Opener,
    SealedError,
    Sealer,
    Tampered,
    Truncated,
    UnknownKey,
)

KEY = RecordingKey("2026-11", bytes(range(32)))
SALT = bytes(range(100, 132))
PIECES = (b"RIFF", b"one" * 100, b"two" * 50)


def seal(*pieces: bytes, last: bool = True, key: RecordingKey = KEY) -> bytes:
    sealer = Sealer(key, SALT)
    return (
        sealer.header
        + b"".join(sealer.seal(piece) for piece in pieces)
        + (sealer.seal(b"", last=True) if last else b"")
    )


def chunks(data: bytes, key: RecordingKey = KEY) -> Iterator[bytes]:
    return Opener(io.BytesIO(data)).read({key.id: key})


def test_what_was_sealed_opens_with_its_key() -> None:
    data = seal(*PIECES)
    assert b"".join(chunks(data)) == b"".join(PIECES)
    assert Opener(io.BytesIO(data)).key_id == "2026-11"
    assert b"oneone" not in data


def test_large_pieces_become_several_chunks() -> None:
    piece = bytes(LARGEST_CHUNK + 5)
    assert [len(chunk) for chunk in chunks(seal(piece))] == [LARGEST_CHUNK, 5, 0]


def test_files_of_one_key_share_no_keystream() -> None:
    first, second = Sealer(KEY, SALT), Sealer(KEY, SALT[::-1])
    assert first.seal(b"the same")[5:] != second.seal(b"the same")[5:]
    # Nor do the chunks of one file.
    assert first.seal(b"the same")[5:] != first.seal(b"the same")[5:]


@given(st.integers(1, len(seal(*PIECES)) - 1))
def test_a_file_that_breaks_off_gives_its_whole_chunks(length: int) -> None:
    data = seal(*PIECES)
    got = []
    with pytest.raises((Truncated, NotSealed)):  # noqa: PT012 - what came before counts
        for chunk in chunks(data[:length]):
            got.append(chunk)  # noqa: PERF402
    assert tuple(got) == PIECES[: len(got)]
    sizes = [len(seal(*PIECES[:count], last=False)) for count in range(4)]
    assert len(got) == max(sum(size <= length for size in sizes) - 1, 0)


@given(st.integers(0, len(seal(*PIECES)) - 1), st.integers(1, 255))
def test_any_changed_octet_is_noticed(place: int, change: int) -> None:
    data = bytearray(seal(*PIECES))
    data[place] ^= change
    got = []
    with pytest.raises(SealedError):  # noqa: PT012
        for chunk in chunks(bytes(data)):
            got.append(chunk)  # noqa: PERF402
    assert tuple(got) == PIECES[: len(got)]


def test_chunks_can_neither_be_moved_nor_left_out_nor_added() -> None:
    header, *each = (len(seal(*PIECES[:count], last=False)) for count in range(4))
    data = seal(*PIECES)
    first, second, third = data[header : each[0]], data[each[0] : each[1]], data[each[1] : each[2]]
    last = data[each[2] :]
    head = data[:header]
    for changed in (
        head + second + first + third + last,
        head + first + third + last,
        head + first + last,
        head + first + second + third + last + last,
        seal(*PIECES) + b"x",
    ):
        with pytest.raises((Tampered, UnknownKey)):
            list(chunks(changed))


def test_without_the_right_key_nothing_opens() -> None:
    data = seal(*PIECES)
    with pytest.raises(UnknownKey, match="needs the key '2026-11', which is not at hand"):
        list(chunks(data, RecordingKey("other", KEY.key)))
    with pytest.raises(UnknownKey, match="is not the one of the recording"):
        list(chunks(data, RecordingKey("2026-11", bytes(32))))


@pytest.mark.parametrize("data", [b"", b"RIFF....WAVEfmt ", sealed.MAGIC, sealed.MAGIC + b"\x05abc"])
def test_other_files_are_told_apart(data: bytes) -> None:
    with pytest.raises(NotSealed):
        Opener(io.BytesIO(data))


def test_keys_are_read_with_the_one_for_new_recordings_first() -> None:
    text = f"# of the vault\n\n2027-01: {'ab' * 32}\n2026-11:{'CD' * 32}\n"
    keys = read_keys(text)
    assert list(keys) == ["2027-01", "2026-11"]
    assert keys["2026-11"].key == b"\xcd" * 32
    assert "cd" not in repr(keys["2026-11"]).lower().removeprefix("recordingkey")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "there is no key"),
        ("# none\n", "there is no key"),
        ("a:" + "ab" * 31, "line 1 is not of the form"),
        ("\n" + "ab" * 32, "line 2 is not of the form"),
        (f"a:{'ab' * 32}\na:{'cd' * 32}", "line 2 has an id that was there before"),
        ("a b:" + "ab" * 32, "line 1 is not of the form"),
    ],
)
def test_a_mistake_in_the_keys_is_told_without_showing_them(text: str, mistake: str) -> None:
    with pytest.raises(KeyringError, match=mistake) as raised:
        read_keys(text)
    assert "abab" not in str(raised.value)
