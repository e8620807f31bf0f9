"""The ng protocol without an rtpengine: bencoding, and a client on a network that loses, repeats and lies."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.rtpengine import bencode
from media.rtpengine.digits import DigitListener
from media.rtpengine.keys import Keys
from media.rtpengine.ng import NgClient, Refused, Silent

values = st.recursive(
    st.integers(-(2**62), 2**62) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_what_is_encoded_is_decoded(value: Any) -> None:
    assert bencode.decode(bencode.encode(value)) == value


@given(st.binary(max_size=200) | st.text("dile0123456789:-ab", max_size=60).map(str.encode))
def test_any_octets_are_a_value_or_a_mistake(data: bytes) -> None:
    try:
        value = bencode.decode(data)
    except ValueError:
        return
    assert bencode.decode(bencode.encode(cast("bencode.Writable", value))) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"i5",
        b"ie",
        b"i5e6",
        b"5:four",
        b"999999999:x",
        b"d1:ae",
        b"d1:a",
        b"li5e",
        b"-1:x",
        b"l" * 5000,
        b"di1ei2ee",
    ],
)
def test_what_is_no_value_is_told(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        bencode.decode(data)


def test_keys_are_sorted_and_octets_kept() -> None:
    assert bencode.encode({"b": b"\xff", "a": ["é", -1]}) == b"d1:al2:\xc3\xa9i-1ee1:b1:\xffe"


class Server(asyncio.DatagramProtocol):
    """Answers as the test says; `requests` are those that came, each with its cookie."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, Any]] = []
        self.answer: Callable[[bytes, int], list[bytes]] = lambda cookie, _: [cookie + b" d6:result4:ponge"]
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        cookie, _, body = data.partition(b" ")
        self.requests.append((cookie, bencode.decode(body)))
        for answer in self.answer(cookie, len(self.requests)):
            self.transport.sendto(answer, addr)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.setattr("media.rtpengine.ng.REPEAT_SECONDS", (0.05, 0.05, 0.05))
    server = Server()
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))
    yield server
    server.transport.close()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[NgClient]:
    client = NgClient()
    await client.connect(server.transport.get_extra_info("sockname"))
    yield client
    client.close()


async def test_a_request_is_answered_by_its_cookie(server: Server, client: NgClient) -> None:
    answers = await asyncio.gather(client.ask("ping"), client.ask("query", call_id="a", from_tag="b"))
    assert [answer["result"] for answer in answers] == ["pong", "pong"]
    (first, ping), (second, query) = server.requests
    assert first != second
    assert ping == {"command": "ping"}
    assert query == {"command": "query", "call-id": "a", "from-tag": "b"}
    assert client.local_host == "127.0.0.1"


async def test_a_lost_request_is_sent_again_with_its_cookie(server: Server, client: NgClient) -> None:
    good = server.answer
    server.answer = lambda cookie, count: good(cookie, count) if count == 3 else []
    assert await client.ask("ping") == {"result": "pong"}
    assert len({cookie for cookie, _ in server.requests}) == 1
    assert client.repeated == 2


async def test_what_answers_nothing_is_counted_and_passed_over(server: Server, client: NgClient) -> None:
    good = server.answer
    server.answer = lambda cookie, count: [
        b"other d6:result2:oke", cookie + b" nonsense", cookie + b" i5e", *good(cookie, count), *good(cookie, count),
    ]  # fmt: skip
    assert await client.ask("ping") == {"result": "pong"}
    assert await client.ask("ping") == {"result": "pong"}
    assert client.strange >= 3


async def test_a_refusal_is_told_with_its_reason(server: Server, client: NgClient) -> None:
    body = bencode.encode({"result": "error", "error-reason": "Unknown call-id"})
    server.answer = lambda cookie, _: [cookie + b" " + body]
    with pytest.raises(Refused, match="Unknown call-id"):
        await client.ask("query", call_id="a")


async def test_who_does_not_answer_is_silent(server: Server, client: NgClient) -> None:
    server.answer = lambda *_: []
    with pytest.raises(Silent, match="did not answer 'ping'"):
        await client.ask("ping")
    assert len(server.requests) == 3
    server.transport.close()
    await asyncio.sleep(0)
    with pytest.raises(Silent, match="Nobody listens"):
        await client.ask("ping")
    assert client.refused
    client.close()
    with pytest.raises(Silent, match="closed"):
        await client.ask("ping")


def pressed(**changes: Any) -> bytes:
    told = {"callid": "c", "source_tag": "peer", "tags": ["link", "peer"], "type": "DTMF", "event": 11, "duration": 80}
    return json.dumps(told | changes).encode()


def test_digits_are_told_and_nothing_else() -> None:
    told: list[tuple[str, str, str, int]] = []
    listener = DigitListener(lambda *each: told.append(each))
    for data in (
        pressed(), pressed(event=0), pressed(event=16), pressed(event=-1), pressed(event="1"), b"", b"[]", b"\xff{",
        pressed(callid=None), pressed(event=15),
    ):  # fmt: skip
        listener.datagram_received(data, ("127.0.0.1", 9))
    assert told == [("c", "peer", "#", 80), ("c", "peer", "0", 80), ("c", "peer", "D", 80)]
    assert listener.strange == 7


@given(st.binary(max_size=300))
def test_any_datagram_may_come_where_digits_are_told(data: bytes) -> None:
    DigitListener(lambda *_: None).datagram_received(data, ("127.0.0.1", 9))


@pytest.mark.rfc("4733-2.5.1.2")
def test_a_key_told_twice_by_rtpengine_was_pressed_once() -> None:
    keys = Keys()
    told = [("5", 80, 10.0), ("5", 80, 10.001), ("6", 80, 10.002), ("5", 80, 10.13), ("5", 400, 10.3), ("5", 40, 10.4)]
    assert [keys.is_release(*each) for each in told] == [True, False, True, True, False, True]
