"""A retransmitted datagram costs one look-up by its hash and is not parsed."""

from collections.abc import Callable

import pytest

from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message
from ims_core.transactions import endpoint as endpoint_module
from ims_core.transactions.endpoint import AckReceived, RequestReceived
from tests.kit import Network, Party, request_bytes, response_bytes

rfc = pytest.mark.rfc
pytestmark = pytest.mark.interpreted  # the calls of the parser are counted


class Parses:
    """Counts the calls of the parser."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, data: bytes, *, datagram: bool = True) -> Request | Response:
        self.count += 1
        return parse_message(data, datagram=datagram)


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> Parses:
    counting = Parses()
    monkeypatch.setattr(endpoint_module, "parse_message", counting)
    return counting


class Bench:
    """A server, and a client whose datagrams the test writes itself."""

    def __init__(self, *answers: int, transport: str = "UDP") -> None:
        self.network = Network()
        self.server = Party(self.network, "server", answers=answers)
        self.client = Party(self.network, "client")
        self.flow = self.server.flow(self.client, transport)
        if transport != "UDP":
            self.flow = self.flow._replace(connection=1)

    def receive(self, data: bytes) -> list[bytes]:
        """Bytes come in anew, as from a socket; returns what goes out."""
        self.server.receive(bytes(bytearray(data)), self.flow)
        return [sent for _, sent in self.server.data_to_send()]

    def finish(self) -> None:
        self.network.run()
        self.server.assert_idle()
        assert self.server.endpoint._heard == {}


@rfc("3261-17.2.3")
@pytest.mark.parametrize("branch", ["z9hG4bK7", "z9hG4bK", "1"])
@pytest.mark.parametrize("method", ["INVITE", "REGISTER", "OPTIONS", "BYE", "CANCEL", "MESSAGE", "NEW"])
def test_a_retransmitted_request_gets_the_last_answer_without_a_parse(parses: Parses, method: str, branch: str) -> None:
    bench = Bench(180) if method == "INVITE" else Bench(404)
    data = request_bytes(method, branch=branch)
    (answer,) = bench.receive(data)
    assert parses.count == 1
    assert bench.receive(data) == [answer]
    assert bench.receive(data) == [answer]
    assert parses.count == 1
    assert len(bench.server.requests) == (method != "CANCEL")
    counted = method if method != "NEW" else "other"
    assert bench.server.endpoint.messages.told()["in", counted, "request"] == 3
    if method == "INVITE":
        bench.server.endpoint.reply(bench.server.requests[0].transaction, 486)
    bench.finish()


@rfc("3261-17.2.1")
def test_a_retransmitted_ack_to_a_refusal_is_absorbed_without_a_parse(parses: Parses) -> None:
    bench = Bench(486)
    bench.receive(request_bytes())
    ack = request_bytes("ACK", to="<sip:bob@ims.example>;tag=b1")
    for _ in range(3):
        assert bench.receive(ack) == []
    assert parses.count == 2
    assert bench.server.endpoint.messages.told()["in", "ACK", "request"] == 3
    assert bench.receive(request_bytes()) == [], "a late INVITE is absorbed as well"
    bench.finish()


@rfc("6026-7.1")
def test_a_retransmitted_invite_is_absorbed_after_the_2xx_and_each_ack_is_told(parses: Parses) -> None:
    bench = Bench(200)
    bench.receive(request_bytes())
    assert bench.receive(request_bytes()) == []
    assert parses.count == 1
    ack = request_bytes("ACK", to="<sip:bob@ims.example>;tag=b1", branch="z9hG4bKc0ffee02")
    for _ in range(2):
        bench.receive(ack)
    assert parses.count == 3
    assert [type(event) for event in bench.server.events] == [RequestReceived, AckReceived, AckReceived]
    bench.finish()


@rfc("3261-17.1.1.2")
@rfc("3261-17.1.2.2")
@pytest.mark.parametrize(
    ("method", "status", "repeats"), [("INVITE", 486, ["ACK"]), ("INFO", 200, []), ("INFO", 404, [])]
)
def test_a_retransmitted_final_response_is_dealt_with_without_a_parse(
    parses: Parses, method: str, status: int, repeats: list[str]
) -> None:
    bench = Bench()
    endpoint = bench.server.endpoint
    request = parse_message(request_bytes(method))
    assert isinstance(request, Request)
    endpoint.request(request, bench.flow, None)
    bench.server.data_to_send()
    answer = response_bytes(request, status)
    first = bench.receive(answer)
    for _ in range(2):
        assert bench.receive(answer) == first
    assert [data.partition(b" ")[0].decode() for data in first] == repeats
    assert parses.count == 1
    assert bench.server.statuses == [status]
    assert endpoint.messages.told()["in", method, f"{status // 100}xx"] == 3
    bench.finish()


@rfc("6026-7.2")
def test_every_2xx_to_an_invite_is_told(parses: Parses) -> None:
    bench = Bench()
    request = parse_message(request_bytes())
    assert isinstance(request, Request)
    bench.server.endpoint.request(request, bench.flow, None)
    for _ in range(2):
        bench.receive(response_bytes(request, 180))
    for _ in range(2):
        bench.receive(response_bytes(request, 200))
    assert bench.server.statuses == [180, 180, 200, 200]
    assert parses.count == 4
    bench.network.run()
    assert bench.server.endpoint.transactions() == {"client": 0, "server": 0}


def test_streams_repeat_nothing_and_so_nothing_is_noted_for_them() -> None:
    bench = Bench(404, transport="TCP")
    bench.receive(request_bytes("OPTIONS"))
    assert bench.server.endpoint._heard == {}
    bench.finish()


@rfc("3261-17.2.2")
def test_after_its_time_the_same_datagram_is_a_new_request() -> None:
    bench = Bench(404)
    bench.receive(request_bytes("OPTIONS"))
    bench.finish()
    assert len(bench.receive(request_bytes("OPTIONS"))) == 1
    assert len(bench.server.requests) == 2
    bench.finish()


def _other_branch() -> bytes:
    return request_bytes("OPTIONS", branch="z9hG4bKother")


def _other_method() -> bytes:
    return request_bytes("MESSAGE")


def _response() -> bytes:
    return b"SIP/2.0 200 OK" + request_bytes("OPTIONS").removeprefix(b"OPTIONS sip:bob@192.0.2.1 SIP/2.0")


@pytest.mark.parametrize("collide", [_other_branch, _other_method, _response])
def test_bytes_of_the_same_hash_are_not_taken_for_a_retransmission(collide: Callable[[], bytes]) -> None:
    bench = Bench(404)
    bench.receive(request_bytes("OPTIONS"))
    endpoint = bench.server.endpoint
    ((_, transaction),) = endpoint._heard.items()
    other = collide()
    endpoint._heard[hash(other)] = transaction
    bench.receive(other)
    expected = {_other_branch: ["OPTIONS", "OPTIONS"], _other_method: ["OPTIONS", "MESSAGE"], _response: ["OPTIONS"]}
    assert [event.request.method for event in bench.server.requests] == expected[collide]
    endpoint._heard.pop(hash(other), None)
    bench.network.run()
    bench.server.assert_idle()


@pytest.mark.parametrize("other", [request_bytes("OPTIONS"), b"SIP/2.0", b"SIP/2.0 ", b"SIP/2.0 0"])
def test_bytes_of_the_same_hash_are_not_taken_for_a_repeated_response(other: bytes) -> None:
    bench = Bench()
    request = parse_message(request_bytes("INFO"))
    assert isinstance(request, Request)
    transaction = bench.server.endpoint.request(request, bench.flow, None)
    bench.receive(response_bytes(request, 200))
    assert not bench.server.endpoint._hear_again(transaction, other + request.via.branch.encode())
    bench.network.run()
    bench.finish()
