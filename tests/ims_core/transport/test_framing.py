"""A stream is cut into the same messages however its bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.transport.framing import PING, StreamFramer, Unframed

rfc = pytest.mark.rfc


def message(body: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join([b"OPTIONS sip:a@b SIP/2.0", *lines, b"Content-Length: %d" % len(body), b"", body])


def feed(framer: StreamFramer, *pieces: bytes) -> list[bytes]:
    return [whole for piece in pieces for whole in framer.feed(piece)]


def single(data: bytes) -> list[bytes]:
    return [data[position : position + 1] for position in range(len(data))]


_item = st.one_of(
    st.binary(max_size=40).map(message),
    st.binary(max_size=20).map(lambda body: message(body, b"Subject: folded\r\n l: 77")),
    st.just(PING),
)


@rfc("3261-18.3")
@given(st.lists(_item, max_size=5), st.lists(st.integers(1, 60), max_size=20), st.integers(0, 55))
def test_whole_bytewise_and_any_pieces_give_the_same(items: list[bytes], cuts: list[int], trailing: int) -> None:
    messages = [item for item in items if item != PING]
    stream = b"".join(items)
    rest = message(b"unfinished")[:trailing]
    pieces, start = [], 0
    for cut in cuts:
        pieces.append(stream[start : start + cut])
        start += cut
    pieces.append(stream[start:])
    for way in ([stream + rest], [*single(stream), *single(rest)], [*pieces, rest], [stream, rest]):
        framer = StreamFramer()
        assert feed(framer, *way) == messages
        assert framer.pings == items.count(PING)
        assert framer.pending is bool(rest)


@rfc("5626-4.4.1")
def test_keep_alives_are_counted_and_not_taken_for_messages() -> None:
    for way in ([PING + PING], single(PING + PING), [b"\r\n\r", b"\n\r\n\r\n"]):
        framer = StreamFramer()
        assert feed(framer, *way) == []
        assert framer.pings == 2
        assert not framer.pending


@rfc("5626-4.4.1")
def test_a_pong_leaves_nothing_pending() -> None:
    framer = StreamFramer()
    assert feed(framer, b"\r\n") == []
    assert (framer.pings, framer.pending) == (0, False)
    assert feed(framer, message(b"x")) == [message(b"x")]


@rfc("3261-7.5")
@pytest.mark.parametrize("empty", [b"\r\n", b"\r\n\r\n\r\n"])
def test_empty_lines_before_a_message_are_ignored(empty: bytes) -> None:
    assert feed(StreamFramer(), empty + message(b"x")) == [message(b"x")]
    assert feed(StreamFramer(), *single(empty + message(b"x"))) == [message(b"x")]


@rfc("3261-7.3.3")
@pytest.mark.parametrize("line", [b"l: 3", b"CONTENT-LENGTH:3", b"Content-Length :   3", b"Content-Length:\r\n 3"])
def test_every_spelling_of_content_length_is_heeded(line: bytes) -> None:
    data = b"OPTIONS sip:a@b SIP/2.0\r\n" + line + b"\r\n\r\nabc"
    framer = StreamFramer()
    assert feed(framer, data + b"OPT") == [data]
    assert framer.pending


@rfc("3261-7.3.1")
def test_a_folded_line_is_no_content_length() -> None:
    data = message(b"ab", b"Subject: one\r\n Content-Length: 0")
    assert feed(StreamFramer(), data) == [data]


@rfc("3261-18.3")
@pytest.mark.parametrize(
    "line",
    [
        *[b"Subject: x", b"Content-Length: x", b"Content-Length: -1", b"l: 1234567890", b"l:"],
        *[b"Content-Length: 0\r\nl: 8", b"l: 8\r\nContent-Length:\r\n 0", b"l: 8\r\nl: 8"],
    ],
)
def test_a_stream_without_usable_length_cannot_be_followed(line: bytes) -> None:
    head = b"OPTIONS sip:a@b SIP/2.0\r\n" + line + b"\r\n\r\n"
    with pytest.raises(Unframed) as caught:
        feed(StreamFramer(), head + b"whatever follows")
    assert (caught.value.error.status, caught.value.head) == (400, head)


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 101,
        b"OPTIONS sip:a@b SIP/2.0\r\nSubject: " + b"x" * 100 + b"\r\nContent-Length: 0\r\n\r\n",
        b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 51\r\n\r\n",
    ],
)
def test_more_than_the_caps_allow_is_not_collected(data: bytes) -> None:
    for way in ([data], single(data)):
        framer = StreamFramer(max_header=100, max_body=50)
        with pytest.raises(Unframed, match="too large") as caught:
            feed(framer, *way)
        assert caught.value.error.status == 513


def test_a_large_message_within_the_caps_passes() -> None:
    data = message(b"x" * 200_000)
    framer = StreamFramer()
    assert feed(framer, *(data[start : start + 1400] for start in range(0, len(data), 1400))) == [data]
