"""SIP in WebSocket messages, against the client side of the library."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import OPEN
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

from ims_core.transport.framing import PING, PONG
from ims_core.transport.websocket import WebSocketFramer, WebSocketSettings

rfc = pytest.mark.rfc
LIMIT = 2000


class Browser:
    """The client of one connection to a framer."""

    def __init__(
        self,
        settings: WebSocketSettings | None = None,
        *,
        origin: str | None = None,
        path: str = "/",
        subprotocols: tuple[str, ...] = ("sip",),
        connect: bool = True,
    ) -> None:
        self.framer = WebSocketFramer(settings or WebSocketSettings(), max_message=LIMIT)
        self.client = ClientProtocol(
            parse_uri(f"ws://ims.example{path}"),
            origin=Origin(origin) if origin else None,
            subprotocols=[*map(Subprotocol, subprotocols)] or None,
        )
        self.answer: Response | None = None
        self.heard: list[Frame] = []
        self.received: list[bytes] = []
        if connect:
            self.client.send_request(self.client.connect())
            self.talk()

    def talk(self, *, piece: int = 1_000_000) -> None:
        """Carry what either has to say until neither has anything."""
        while data := b"".join(self.client.data_to_send()):
            for start in range(0, len(data), piece):
                self.received += self.framer.feed(data[start : start + piece])
                self.hear(self.framer.replies())

    def hear(self, data: bytes) -> None:
        if data:
            self.client.receive_data(data)
        for event in self.client.events_received():
            if isinstance(event, Response):
                self.answer = event
            elif isinstance(event, Frame):
                self.heard.append(event)

    @property
    def status(self) -> int:
        assert self.answer is not None
        return self.answer.status_code


@rfc("7118-4.1")
def test_the_handshake_agrees_on_sip() -> None:
    browser = Browser(subprotocols=("chat", "sip"))
    assert browser.answer is not None
    assert (browser.status, browser.answer.headers["Sec-WebSocket-Protocol"]) == (101, "sip")
    assert browser.client.state is OPEN
    assert browser.framer.ready
    assert not browser.framer.pending


@rfc("7118-4.1")
@pytest.mark.parametrize("subprotocols", [(), ("chat",)])
def test_without_sip_there_is_no_connection(subprotocols: tuple[str, ...]) -> None:
    browser = Browser(subprotocols=subprotocols)
    assert browser.status == 400
    assert browser.framer.closing
    assert not browser.framer.ready


@rfc("6455-4.2.2")
@pytest.mark.parametrize(
    ("origins", "origin", "status"),
    [
        ((), "https://stranger.example", 101),
        (("https://phone.example",), "https://phone.example", 101),
        (("https://phone.example",), "https://stranger.example", 403),
        (("https://phone.example",), None, 101),
    ],
)
def test_pages_of_strangers_are_kept_out(origins: tuple[str, ...], origin: str | None, status: int) -> None:
    browser = Browser(WebSocketSettings(origins), origin=origin)
    assert browser.status == status
    assert browser.framer.closing is (status != 101)


@pytest.mark.parametrize(("path", "status"), [("/sip", 101), ("/sip?a=1", 101), ("/", 404), ("/sip/x", 404)])
def test_the_path_can_be_fixed(path: str, status: int) -> None:
    assert Browser(WebSocketSettings(path="/sip"), path=path).status == status


@rfc("6455-4.2.1")
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 400),
        (b"OPTIONS sip:ims.example SIP/2.0\r\nVia: SIP/2.0/TCP x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n", 400),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n", 400),
    ],
)
@pytest.mark.parametrize("piece", [1, 100_000])
def test_what_is_no_handshake_gets_a_4xx_and_the_end(data: bytes, status: int, piece: int) -> None:
    framer = WebSocketFramer(WebSocketSettings(), max_message=LIMIT)
    said = b""
    for start in range(0, len(data), piece):
        assert list(framer.feed(data[start : start + piece])) == []
        said += framer.replies()
    assert said.startswith(b"HTTP/1.1 4")
    assert said.count(b"HTTP/1.1 ") == 1
    assert int(said.split()[1]) == status or len(data) > 1000 or data.startswith(b"POST")
    assert framer.closing
    assert not framer.ready


@rfc("7118-5")
@pytest.mark.parametrize("piece", [1, 3, 1_000_000])
def test_text_and_binary_whole_and_in_frames(piece: int) -> None:
    browser = Browser()
    client = browser.client
    client.send_text("grüße".encode())
    client.send_binary(b"\xff\xfe")
    client.send_text(b"one ", fin=False)
    client.send_ping(b"between")
    client.send_continuation(b"mess", fin=False)
    client.send_continuation(b"age", fin=True)
    browser.talk(piece=piece)
    assert browser.received == ["grüße".encode(), b"\xff\xfe", b"one message"]
    assert [(frame.opcode, bytes(frame.data)) for frame in browser.heard] == [(Opcode.PONG, b"between")]
    assert not browser.framer.pending


@rfc("7118-5")
@given(st.lists(st.binary(min_size=1, max_size=80).filter(lambda data: data.strip()), max_size=6), st.integers(1, 90))
def test_the_same_messages_in_any_pieces(messages: list[bytes], piece: int) -> None:
    browser = Browser()
    for message in messages:
        browser.client.send_binary(message)
    browser.talk(piece=piece)
    assert browser.received == [message.lstrip(b"\r\n") for message in messages], "empty lines before are no part of it"


@rfc("7118-5")
@pytest.mark.parametrize(("message", "opcode"), [(b"SIP/2.0 200 OK\r\n\r\n", Opcode.TEXT), (b"a\xffb", Opcode.BINARY)])
def test_each_message_is_one_of_the_websocket(message: bytes, opcode: Opcode) -> None:
    browser = Browser()
    browser.hear(browser.framer.wrap(message))
    assert [(frame.opcode, frame.fin, bytes(frame.data)) for frame in browser.heard] == [(opcode, True, message)]


@rfc("7118-6")
def test_keep_alives_of_both_kinds_are_answered() -> None:
    browser = Browser()
    browser.client.send_ping(b"abc")
    browser.client.send_text(PING)
    browser.client.send_text(PONG)
    browser.talk()
    assert browser.received == []
    assert [(frame.opcode, bytes(frame.data)) for frame in browser.heard] == [
        (Opcode.PONG, b"abc"),
        (Opcode.TEXT, PONG),
    ]


@rfc("6455-7.4.1")
@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([Frame(Opcode.TEXT, b"x" * (LIMIT + 1))], CloseCode.MESSAGE_TOO_BIG),
        (
            [Frame(Opcode.TEXT, b"x" * LIMIT, fin=False), Frame(Opcode.CONT, b"x")],
            CloseCode.MESSAGE_TOO_BIG,
        ),
        ([Frame(Opcode.TEXT, b"\xff")], CloseCode.INVALID_DATA),
        ([Frame(Opcode.CONT, b"x")], CloseCode.PROTOCOL_ERROR),
        ([Frame(Opcode.TEXT, b"a", fin=False), Frame(Opcode.TEXT, b"b")], CloseCode.PROTOCOL_ERROR),
    ],
)
def test_faults_end_the_connection_with_their_code(frames: list[Frame], code: CloseCode) -> None:
    browser = Browser()
    data = b"".join(frame.serialize(mask=True) for frame in frames)
    assert list(browser.framer.feed(data)) == []
    browser.hear(browser.framer.replies())
    assert browser.client.close_rcvd is not None
    assert browser.client.close_rcvd.code == code
    assert list(browser.framer.feed(Frame(Opcode.TEXT, b"more").serialize(mask=True))) == []
    assert browser.framer.wrap(b"more") == b""


@rfc("6455-5.5.1")
def test_a_close_is_answered_and_ours_says_that_we_go() -> None:
    browser = Browser()
    browser.client.send_close(CloseCode.NORMAL_CLOSURE)
    browser.talk()
    assert browser.framer.closing
    assert browser.client.close_rcvd is not None
    assert browser.client.close_rcvd.code == CloseCode.NORMAL_CLOSURE

    browser = Browser()
    browser.hear(browser.framer.farewell())
    assert browser.client.close_rcvd is not None
    assert browser.client.close_rcvd.code == CloseCode.GOING_AWAY
    assert browser.framer.farewell() == b""


def test_half_a_frame_and_half_a_message_are_pending() -> None:
    browser = Browser()
    framer = browser.framer
    frame = Frame(Opcode.TEXT, b"half", fin=False).serialize(mask=True)
    assert (list(framer.feed(frame[:-1])), framer.pending) == ([], True)
    assert (list(framer.feed(frame[-1:])), framer.pending) == ([], True)
    end = Frame(Opcode.CONT, b" and half").serialize(mask=True)
    assert (list(framer.feed(end)), framer.pending) == ([b"half and half"], False)


def test_endless_empty_fragments_take_no_room() -> None:
    framer = Browser().framer
    assert list(framer.feed(Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True))) == []
    for _ in range(1000):
        assert list(framer.feed(Frame(Opcode.CONT, b"", fin=False).serialize(mask=True))) == []
    assert len(framer._whole) == 0


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_do_no_harm(data: bytes, connected: bool) -> None:
    browser = Browser(connect=connected)
    for message in browser.framer.feed(data):
        assert len(message) <= LIMIT
    browser.framer.replies()
