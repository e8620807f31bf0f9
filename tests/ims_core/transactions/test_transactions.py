"""The four machines, row by row, against tables written from the figures of RFC 3261 section 17 and of RFC 6026."""

from collections.abc import Callable
from typing import Any

import pytest

from ims_core.flow import Flow
from ims_core.messages.message import Request, Response, response_to
from ims_core.messages.parser import parse_message
from ims_core.transactions.events import RequestReceived
from ims_core.transactions.machines import (
    BY_CLASS,
    PROVISIONAL,
    ClientTransaction,
    InviteClient,
    InviteServer,
    NonInviteClient,
    NonInviteServer,
    ServerTransaction,
    TimerValues,
    Transaction,
    ack_for_failure,
    cancel_for,
)
from tests.kit import Network, Party, request_bytes, response_bytes

UDP = Flow("UDP", ("192.0.2.1", 5060), ("198.51.100.77", 5060))
TCP = UDP._replace(transport="TCP", connection=1)


class Layer:
    """Keeps what a transaction asks for."""

    def __init__(self, timers: TimerValues | None = None) -> None:
        self.timers = timers or TimerValues()
        self.log: list[str] = []
        self.timer: dict[str, float] = {}
        self.unexpected = 0

    def send(self, flow: Flow, data: bytes) -> None:
        message = parse_message(data, datagram=False)
        self.log.append(f"send {message.method if isinstance(message, Request) else message.status}")

    def start_timer(self, transaction: Transaction, event: str, delay: float) -> None:
        self.timer[event.removeprefix("timer ")] = delay

    def pass_up(self, transaction: ClientTransaction, response: Response) -> None:
        self.log.append(f"tell {response.status}")

    def fail(self, transaction: ClientTransaction, cause: str) -> None:
        self.log.append(f"tell {cause}")

    def forget(self, transaction: Transaction) -> None:
        self.log.append("end")

    def count_unexpected(self, transaction: Transaction, event: str) -> None:
        self.unexpected += 1


def message(method: str = "INVITE") -> Request:
    request = parse_message(request_bytes(method))
    assert isinstance(request, Request)
    return request


# How a machine gets into each state.
PATHS: dict[type[Transaction], dict[str, list[tuple[str, int]]]] = {
    InviteClient: {
        "calling": [],
        "proceeding": [("1xx", 180)],
        "completed": [("3xx-6xx", 486)],
        "accepted": [("2xx", 200)],
    },
    NonInviteClient: {"trying": [], "proceeding": [("1xx", 100)], "completed": [("2xx", 200)]},
    InviteServer: {
        "proceeding": [],
        "completed": [("3xx-6xx", 486)],
        "confirmed": [("3xx-6xx", 486), ("ack", 0)],
        "accepted": [("2xx", 200)],
    },
    NonInviteServer: {"trying": [], "proceeding": [("1xx", 100)], "completed": [("2xx", 200)]},
}
STATUS = {"1xx": 180, "2xx": 200, "3xx-6xx": 486}

# state | event | on UDP: next state, what is done, timers | on a stream, where it differs
INVITE_CLIENT = """
calling    | timer A         | calling: send INVITE, A=1            |
calling    | timer B         | terminated: end, tell timeout        |
calling    | transport error | terminated: end, tell transport      |
calling    | 1xx             | proceeding: tell 180                 |
calling    | 2xx             | accepted: tell 200, M=32             |
calling    | 3xx-6xx         | completed: send ACK, tell 486, D=32  | terminated: send ACK, tell 486, end
proceeding | timer A         | proceeding:                          |
proceeding | timer B         | proceeding:                          |
proceeding | 1xx             | proceeding: tell 180                 |
proceeding | 2xx             | accepted: tell 200, M=32             |
proceeding | 3xx-6xx         | completed: send ACK, tell 486, D=32  | terminated: send ACK, tell 486, end
proceeding | give up         | terminated: end, tell timeout        |
proceeding | transport error | proceeding:                          |
completed  | timer A         | completed:                           | -
completed  | timer B         | completed:                           | -
completed  | 1xx             | completed:                           | -
completed  | 3xx-6xx         | completed: send ACK                  | -
completed  | timer D         | terminated: end                      | -
completed  | transport error | terminated: end                      | -
completed  | give up         | completed:                           | -
accepted   | timer A         | accepted:                            |
accepted   | timer B         | accepted:                            |
accepted   | 1xx             | accepted:                            |
accepted   | 2xx             | accepted: tell 200                   |
accepted   | timer M         | terminated: end                      |
accepted   | transport error | accepted:                            |
accepted   | give up         | accepted:                            |
"""
NON_INVITE_CLIENT = """
trying     | timer E         | trying: send INFO, E=1               |
trying     | timer F         | terminated: end, tell timeout        |
trying     | transport error | terminated: end, tell transport      |
trying     | 1xx             | proceeding: tell 180                 |
trying     | 2xx             | completed: tell 200, K=5             | terminated: tell 200, end
trying     | 3xx-6xx         | completed: tell 486, K=5             | terminated: tell 486, end
proceeding | timer E         | proceeding: send INFO, E=4           |
proceeding | timer F         | terminated: end, tell timeout        |
proceeding | transport error | terminated: end, tell transport      |
proceeding | 1xx             | proceeding: tell 180                 |
proceeding | 2xx             | completed: tell 200, K=5             | terminated: tell 200, end
proceeding | 3xx-6xx         | completed: tell 486, K=5             | terminated: tell 486, end
completed  | timer E         | completed:                           | -
completed  | timer F         | completed:                           | -
completed  | 1xx             | completed:                           | -
completed  | 2xx             | completed:                           | -
completed  | 3xx-6xx         | completed:                           | -
completed  | transport error | completed:                           | -
completed  | timer K         | terminated: end                      | -
"""
INVITE_SERVER = """
proceeding | request         | proceeding: send 183                 |
proceeding | 1xx             | proceeding: send 180                 |
proceeding | 2xx             | accepted: send 200, L=32             |
proceeding | 3xx-6xx         | completed: send 486, G=0.5, H=32     | completed: send 486, H=32
completed  | request         | completed: send 486                  |
completed  | timer G         | completed: send 486, G=1             | -
completed  | timer H         | terminated: end                      |
completed  | ack             | confirmed: I=5                       | terminated: end
confirmed  | ack             | confirmed:                           | -
confirmed  | request         | confirmed:                           | -
confirmed  | timer G         | confirmed:                           | -
confirmed  | timer H         | confirmed:                           | -
confirmed  | timer I         | terminated: end                      | -
accepted   | request         | accepted:                            |
accepted   | 2xx             | accepted: send 200                   |
accepted   | timer L         | terminated: end                      |
"""
NON_INVITE_SERVER = """
trying     | request         | trying:                              |
trying     | 1xx             | proceeding: send 180                 |
trying     | 2xx             | completed: send 200, J=32            | terminated: send 200, end
trying     | 3xx-6xx         | completed: send 486, J=32            | terminated: send 486, end
trying     | give up         | terminated: end                      |
proceeding | give up         | terminated: end                      |
proceeding | request         | proceeding: send 100                 |
proceeding | 1xx             | proceeding: send 180                 |
proceeding | 2xx             | completed: send 200, J=32            | terminated: send 200, end
proceeding | 3xx-6xx         | completed: send 486, J=32            | terminated: send 486, end
completed  | request         | completed: send 200                  | -
completed  | timer J         | terminated: end                      | -
"""


def rows(kind: type[Transaction], table: str) -> list[Any]:
    found = []
    for row in table.strip().splitlines():
        state, event, on_udp, on_stream = (cell.strip() for cell in row.split("|"))
        for flow, outcome in ((UDP, on_udp), (TCP, on_stream or on_udp)):
            if outcome != "-":
                name = f"{kind.__name__}-{flow.transport}-{state}-{event}"
                found.append(pytest.param(kind, flow, state, event, outcome, id=name))
    return found


def start(kind: type[Transaction], flow: Flow, layer: Layer) -> Transaction:
    request = message("INVITE" if kind in {InviteClient, InviteServer} else "INFO")
    make: Callable[..., Any] = kind
    transaction = make(layer, ("key",), flow, request)
    if isinstance(transaction, ClientTransaction):
        transaction.start()  # type: ignore[attr-defined]
    elif kind is InviteServer:
        transaction.fire(PROVISIONAL, response_to(request, 183, to_tag="b1"))
    return transaction  # type: ignore[no-any-return]


def fire(transaction: Any, event: str, status: int) -> None:
    request = message(transaction.request.method)  # the transaction may have let its own go
    if not status:
        transaction.fire(event)
    elif isinstance(transaction, ServerTransaction):
        transaction.fire(BY_CLASS[status // 100], response_to(request, status, to_tag="b1"))
    else:
        transaction.fire(event, response_to(request, status, to_tag="b1"))


def check_row(kind: type[Transaction], flow: Flow, state: str, event: str, outcome: str) -> None:
    layer = Layer()
    transaction = start(kind, flow, layer)
    for step, status in PATHS[kind][state]:
        fire(transaction, step, status)
    assert transaction.state == state
    layer.log.clear()
    layer.timer.clear()
    fire(transaction, event, STATUS.get(event, 0))
    expected_state, _, rest = outcome.partition(":")
    expected = [item.strip() for item in rest.split(",") if item.strip()]
    timers = {name: float(value) for name, _, value in (item.partition("=") for item in expected if "=" in item)}
    assert transaction.state == expected_state
    assert layer.log == [item for item in expected if "=" not in item]
    assert layer.timer == timers
    assert layer.unexpected == 0


@pytest.mark.rfc("3261-17.1.1")
@pytest.mark.rfc("6026-7.2")
@pytest.mark.parametrize(("kind", "flow", "state", "event", "outcome"), rows(InviteClient, INVITE_CLIENT))
def test_invite_client(kind: type[Transaction], flow: Flow, state: str, event: str, outcome: str) -> None:
    check_row(kind, flow, state, event, outcome)


@pytest.mark.rfc("3261-17.1.2")
@pytest.mark.parametrize(("kind", "flow", "state", "event", "outcome"), rows(NonInviteClient, NON_INVITE_CLIENT))
def test_non_invite_client(kind: type[Transaction], flow: Flow, state: str, event: str, outcome: str) -> None:
    check_row(kind, flow, state, event, outcome)


@pytest.mark.rfc("3261-17.2.1")
@pytest.mark.rfc("6026-7.1")
@pytest.mark.parametrize(("kind", "flow", "state", "event", "outcome"), rows(InviteServer, INVITE_SERVER))
def test_invite_server(kind: type[Transaction], flow: Flow, state: str, event: str, outcome: str) -> None:
    check_row(kind, flow, state, event, outcome)


@pytest.mark.rfc("3261-17.2.2")
@pytest.mark.parametrize(("kind", "flow", "state", "event", "outcome"), rows(NonInviteServer, NON_INVITE_SERVER))
def test_non_invite_server(kind: type[Transaction], flow: Flow, state: str, event: str, outcome: str) -> None:
    check_row(kind, flow, state, event, outcome)


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        (InviteClient, INVITE_CLIENT),
        (NonInviteClient, NON_INVITE_CLIENT),
        (InviteServer, INVITE_SERVER),
        (NonInviteServer, NON_INVITE_SERVER),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_the_tables_here_name_every_transition_there_is(kind: type[Transaction], table: str) -> None:
    named = {tuple(cell.strip() for cell in row.split("|")[:2]) for row in table.strip().splitlines()}
    assert {row for row in start(kind, UDP, Layer()).table if row[0] != "terminated"} <= named


@pytest.mark.parametrize(
    ("kind", "path", "event"),
    [
        (InviteServer, [("3xx-6xx", 486)], ("2xx", 200)),
        (InviteServer, [("2xx", 200)], ("3xx-6xx", 486)),
        (InviteServer, [], ("ack", 0)),
        (NonInviteServer, [("2xx", 200)], ("2xx", 200)),
        (InviteClient, [("3xx-6xx", 486)], ("2xx", 200)),
        (InviteClient, [("2xx", 200)], ("3xx-6xx", 486)),
    ],
)
def test_what_a_state_does_not_know_is_counted_and_changes_nothing(
    kind: type[Transaction], path: list[tuple[str, int]], event: tuple[str, int]
) -> None:
    layer = Layer()
    transaction = start(kind, UDP, layer)
    for step in path:
        fire(transaction, *step)
    before, log = transaction.state, layer.log.copy()
    fire(transaction, *event)
    assert (transaction.state, layer.log, layer.unexpected) == (before, log, 1)


@pytest.mark.rfc("3261-17.1.1.2")
@pytest.mark.parametrize(("flow", "timers"), [(UDP, {"A": 0.5, "B": 32.0}), (TCP, {"B": 32.0})])
def test_timers_of_a_new_invite(flow: Flow, timers: dict[str, float]) -> None:
    layer = Layer()
    start(InviteClient, flow, layer)
    assert (layer.timer, layer.log) == (timers, ["send INVITE"])


@pytest.mark.rfc("3261-17.1.2.2")
@pytest.mark.parametrize(("flow", "timers"), [(UDP, {"E": 0.5, "F": 32.0}), (TCP, {"F": 32.0})])
def test_timers_of_a_new_non_invite(flow: Flow, timers: dict[str, float]) -> None:
    layer = Layer()
    start(NonInviteClient, flow, layer)
    assert (layer.timer, layer.log) == (timers, ["send INFO"])


@pytest.mark.rfc("3261-17.1.1.1")
def test_all_timers_follow_from_the_base_values() -> None:
    layer = Layer(TimerValues(t1=0.1, t2=0.8, t4=1.0))
    for kind, path in (
        (InviteClient, [("2xx", 200)]),
        (InviteServer, [("3xx-6xx", 486), ("ack", 0)]),
        (NonInviteClient, [("2xx", 200)]),
        (NonInviteServer, [("2xx", 200)]),
    ):
        transaction = start(kind, UDP, layer)
        for step in path:
            fire(transaction, *step)
    long, t4 = pytest.approx(6.4), 1.0
    expected = {"A": 0.1, "B": long, "E": 0.1, "F": long, "G": 0.1, "H": long, "I": t4, "J": long, "K": t4, "M": long}
    assert layer.timer == expected


@pytest.mark.rfc("3261-17.1.1.2")
def test_timer_d_is_never_below_32_seconds() -> None:
    layer = Layer(TimerValues(t1=0.1))
    fire(start(InviteClient, UDP, layer), "3xx-6xx", 486)
    assert layer.timer["D"] == 32.0


# Retransmissions on the wire --------------------------------------------------------------------------------------


def silent_pair(answers: tuple[int, ...] = ()) -> tuple[Network, Party, Party]:
    network = Network()
    return network, Party(network, "client"), Party(network, "server", answers=answers)


def send(client: Party, server: Party, method: str, transport: str = "UDP") -> ClientTransaction:
    request = message(method)
    request.remove("Via")
    return client.endpoint.request(request, client.flow(server, transport), None)


@pytest.mark.rfc("3261-17.1.1.2")
@pytest.mark.parametrize(
    ("transport", "times"), [("UDP", [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]), ("TCP", [0.0])], ids=["UDP", "TCP"]
)
def test_an_unanswered_invite_is_sent_at_these_times_and_given_up_after_32_s(
    transport: str, times: list[float]
) -> None:
    network, client, server = silent_pair()
    send(client, server, "INVITE", transport)
    network.run(31.999)
    assert client.statuses == []
    network.run(0.001)
    assert client.statuses == ["timeout"]
    network.run()
    assert network.times("INVITE") == times
    client.assert_idle()


@pytest.mark.rfc("3261-17.1.2.2")
@pytest.mark.parametrize(
    ("transport", "times"),
    [("UDP", [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]), ("TCP", [0.0])],
    ids=["UDP", "TCP"],
)
def test_an_unanswered_non_invite_is_sent_at_these_times_and_given_up_after_32_s(
    transport: str, times: list[float]
) -> None:
    network, client, server = silent_pair()
    send(client, server, "OPTIONS", transport)
    network.run()
    assert network.times("OPTIONS") == times
    assert client.statuses == ["timeout"]
    client.assert_idle()


@pytest.mark.rfc("3261-17.1.2.2")
def test_after_a_provisional_response_a_non_invite_is_repeated_every_t2() -> None:
    network, client, server = silent_pair()
    server.answers = (100,)
    send(client, server, "OPTIONS")
    network.run(32)
    # the timer under way when the 100 comes runs out at 0.5 s
    assert network.times("OPTIONS") == [0.0, 0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]
    assert client.statuses[-1] == "timeout"


@pytest.mark.rfc("3261-17.1.1.2")
def test_a_provisional_response_stops_the_repetition_of_an_invite() -> None:
    network, client, server = silent_pair((100, 180))
    send(client, server, "INVITE")
    network.run(300)
    assert network.times("INVITE") == [0.0]
    assert client.statuses == [100, 180]
    assert client.endpoint.transactions()["client"] == 1, "no limit of time: the user may ring as long as it likes"


@pytest.mark.rfc("3261-17.2.1")
@pytest.mark.parametrize(
    ("transport", "times"),
    [("UDP", [0.0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]), ("TCP", [0.0])],
    ids=["UDP", "TCP"],
)
def test_a_refusal_is_repeated_at_these_times_until_its_ack(transport: str, times: list[float]) -> None:
    network, client, server = silent_pair((486,))
    network.drop = lambda packet: packet.summary == "ACK"
    send(client, server, "INVITE", transport)
    network.run(40)
    start = network.times("486 INVITE")[0]
    assert [round(at - start, 6) for at in network.times("486 INVITE")] == times
    assert len(network.packets("ACK")) == len(times), "each refusal is acknowledged"
    assert client.statuses == [486], "and told once"
    network.run()
    server.assert_idle()
    client.assert_idle()


@pytest.mark.rfc("3261-17.2.2")
def test_a_repeated_non_invite_gets_the_same_bytes_again_for_64_t1() -> None:
    network, client, server = silent_pair((200,))
    for at in (0.0, 10.0, 31.9, 33.0):
        network.call_later(at, lambda: server.receive(request_bytes("OPTIONS"), server.flow(client)))
    network.run(32)
    answers = {packet.data for packet in network.packets("200 OPTIONS", by=server.address)}
    assert len(answers) == 1
    assert len(network.packets("200 OPTIONS")) == 3
    assert len(server.events) == 1
    network.run()
    assert len(server.events) == 2, "33 s later it is a new request"


@pytest.mark.rfc("4320-4.1")
@pytest.mark.parametrize("status", [101, 180, 183, 199])
def test_a_non_invite_gets_no_provisional_response_but_100(status: int) -> None:
    _network, _, server = silent_pair((status,))
    server.receive(request_bytes("OPTIONS"), server.flow(SOURCE))
    assert server.data_to_send() == []
    assert server.endpoint.unexpected == {("NonInviteServer", "trying", "1xx above 100"): 1}
    server.endpoint.reply(server.requests[0].transaction, 100)
    server.endpoint.reply(server.requests[0].transaction, 200)
    assert [parse_message(data).start_line for _, data in server.data_to_send()] == [
        "SIP/2.0 100 Trying",
        "SIP/2.0 200 OK",
    ]


@pytest.mark.rfc("4320-4.2")
def test_a_non_invite_gets_no_408_and_its_transaction_ends() -> None:
    _network, _, server = silent_pair((408,))
    server.receive(request_bytes("OPTIONS"), server.flow(SOURCE))
    assert server.data_to_send() == []
    assert server.endpoint.transactions() == {"client": 0, "server": 0}
    assert ("out", "OPTIONS", "4xx") not in server.endpoint.messages.told()


@pytest.mark.rfc("4320-4.2")
def test_an_invite_may_get_a_408() -> None:
    _network, _, server = silent_pair((180, 408))
    server.receive(request_bytes(), server.flow(SOURCE))
    assert [parse_message(data).start_line[8:11] for _, data in server.data_to_send()] == ["180", "408"]


@pytest.mark.rfc("4320-4.3")
def test_a_late_response_to_a_non_invite_is_told_to_nobody() -> None:
    network, client, server = silent_pair()
    transaction = send(client, server, "OPTIONS")
    network.run()
    client.receive(response_bytes(transaction.request, 200), client.flow(server))
    assert client.statuses == ["timeout"]
    assert client.endpoint.dropped == {"stray response": 1}
    assert client.data_to_send() == []


@pytest.mark.rfc("3261-17.2.1")
def test_a_repeated_invite_gets_the_last_provisional_again_and_makes_no_second_call() -> None:
    network, client, server = silent_pair((100, 180))
    for at in (0.0, 0.5, 1.5):
        network.call_later(at, lambda: server.receive(request_bytes(), server.flow(client)))
    network.run(5)
    assert network.wire() == ["100 INVITE", "180 INVITE", "180 INVITE", "180 INVITE"]
    assert len(server.events) == 1


# ACK and CANCEL ---------------------------------------------------------------------------------------------------


def sent_invite() -> Request:
    head = request_bytes(
        via="SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKtop;rport, SIP/2.0/UDP 198.51.100.77;branch=z9hG4bKbelow",
        cseq=314,
        headers=[
            ("Route", "<sip:203.0.113.1;lr>"),
            ("Route", "<sip:203.0.113.2;lr>"),
            ("Proxy-Authorization", "Digest secret"),
            ("Content-Type", "application/sdp"),
        ],
        body=b"v=0",
    )
    request = parse_message(head)
    assert isinstance(request, Request)
    return request


@pytest.mark.rfc("3261-17.1.1.3")
def test_the_ack_to_a_refusal_is_of_the_same_hop_and_has_the_to_of_the_response() -> None:
    invite = sent_invite()
    response = parse_message(response_bytes(invite, 486, to_tag="callee"))
    assert isinstance(response, Response)
    ack = parse_message(ack_for_failure(invite, response).encode())
    assert isinstance(ack, Request)
    assert (ack.method, ack.uri) == ("ACK", invite.uri)
    assert ack.values("Via") == ["SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKtop;rport"], "one Via: that of the INVITE's top"
    assert ack.values("Route") == ["<sip:203.0.113.1;lr>", "<sip:203.0.113.2;lr>"]
    assert ack.get("To") == "<sip:bob@ims.example>;tag=callee"
    assert (ack.get("From"), ack.call_id) == (invite.get("From"), invite.call_id)
    assert ack.get("CSeq") == "314 ACK"
    assert ack.body == b""


@pytest.mark.rfc("3261-9.1")
def test_the_cancel_is_of_the_same_hop_and_has_the_to_of_the_request() -> None:
    invite = sent_invite()
    cancel = parse_message(cancel_for(invite).encode())
    assert isinstance(cancel, Request)
    assert (cancel.method, cancel.uri) == ("CANCEL", invite.uri)
    assert cancel.values("Via") == ["SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKtop;rport"]
    assert cancel.values("Route") == ["<sip:203.0.113.1;lr>", "<sip:203.0.113.2;lr>"]
    assert cancel.get("To") == "<sip:bob@ims.example>"
    assert (cancel.get("From"), cancel.call_id, cancel.get("CSeq")) == (
        invite.get("From"),
        invite.call_id,
        "314 CANCEL",
    )
    assert "Require" not in cancel
    assert "Proxy-Authorization" not in cancel


@pytest.mark.rfc("3261-9.1")
def test_a_cancel_waits_for_the_first_provisional_response() -> None:
    network, client, server = silent_pair()
    invite = send(client, server, "INVITE")
    network.run(0.1)
    client.endpoint.cancel(invite)
    client.endpoint.cancel(invite)
    network.run(0.1)
    assert "CANCEL" not in network.wire()
    server.endpoint.reply(server.requests[0].transaction, 100)
    network.run(0.1)
    assert network.wire().count("CANCEL") == 1
    network.run()
    assert client.statuses == [100, 487]
    client.assert_idle()
    server.assert_idle()


@pytest.mark.rfc("3261-9.1")
@pytest.mark.parametrize("final", [200, 404])
def test_no_cancel_is_sent_when_the_first_response_is_final(final: int) -> None:
    network, client, server = silent_pair((final,))
    client.endpoint.cancel(send(client, server, "INVITE"))
    network.run()
    assert "CANCEL" not in network.wire()
    assert client.statuses == [final]
    client.assert_idle()


@pytest.mark.rfc("3261-9.1")
@pytest.mark.parametrize("final", [200, 404])
def test_a_cancel_after_the_final_response_does_nothing(final: int) -> None:
    network, client, server = silent_pair((180, final))
    invite = send(client, server, "INVITE")
    network.run(0.1)
    client.endpoint.cancel(invite)
    network.run()
    assert "CANCEL" not in network.wire()


@pytest.mark.rfc("3261-9.1")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_a_cancelled_invite_without_final_response_is_given_up_64_t1_after_the_cancel(transport: str) -> None:
    network, client, server = silent_pair()
    server.answers = (180,)
    invite = send(client, server, "INVITE", transport)
    network.run(10)
    network.detach(server)
    client.endpoint.cancel(invite)
    network.run(31.9)
    assert "timeout" not in client.statuses
    network.run(0.2)
    assert client.statuses == [180, "timeout"]
    network.run()
    client.assert_idle()


@pytest.mark.rfc("3261-9.2")
def test_a_cancel_that_matches_nothing_gets_481() -> None:
    network, client, server = silent_pair()
    server.receive(request_bytes("CANCEL"), server.flow(client))
    network.run(1)
    assert network.wire() == ["481 CANCEL"]
    assert server.events == []


@pytest.mark.rfc("3261-9.2")
@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "BYE"])
def test_a_cancel_of_anything_but_an_invite_gets_200_and_changes_nothing(method: str) -> None:
    network, client, server = silent_pair()
    server.receive(request_bytes(method), server.flow(client))
    server.receive(request_bytes("CANCEL"), server.flow(client))
    network.run(1)
    assert network.wire() == ["200 CANCEL"]
    assert [type(event) for event in server.events] == [RequestReceived]


@pytest.mark.rfc("3261-9.2")
def test_a_cancel_after_the_answer_gets_200_and_changes_nothing() -> None:
    network, client, server = silent_pair((200,))
    server.receive(request_bytes(), server.flow(client))
    server.receive(request_bytes("CANCEL"), server.flow(client))
    network.run(1)
    assert network.wire() == ["200 INVITE", "200 CANCEL"]
    assert len(server.events) == 1


@pytest.mark.rfc("3261-9.2")
@pytest.mark.parametrize("status", [180, 200, 486])
def test_the_200_to_a_cancel_has_the_to_tag_of_the_response_to_the_invite(status: int) -> None:
    network, client, server = silent_pair((status,))
    server.receive(request_bytes(), server.flow(client))
    server.receive(request_bytes("CANCEL"), server.flow(client))
    network.run(0.1)
    answer, confirmation = network.sent[:2]
    assert confirmation.summary == "200 CANCEL"
    assert confirmation.message.to.tag == answer.message.to.tag != ""


# Matching ---------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-17.2.3")
def test_one_branch_of_two_senders_is_two_requests() -> None:
    _network, client, server = silent_pair()
    for host in ("198.51.100.77:5060", "198.51.100.77:5070", "198.51.100.78"):
        via = f"SIP/2.0/UDP {host};branch=z9hG4bKsame"
        server.receive(request_bytes("OPTIONS", via=via), server.flow(client))
    assert len(server.events) == 3


@pytest.mark.rfc("3261-17.2.3")
def test_a_sent_by_without_port_is_that_with_the_default_port() -> None:
    _network, client, server = silent_pair()
    for host in ("198.51.100.77:5060", "198.51.100.77"):
        via = f"SIP/2.0/UDP {host};branch=z9hG4bKsame"
        server.receive(request_bytes("OPTIONS", via=via), server.flow(client))
    assert len(server.events) == 1


@pytest.mark.rfc("3261-17.2.3")
@pytest.mark.parametrize("branch", ["", ";branch=1", ";branch=xz9hG4bK"])
def test_a_hop_of_rfc_2543_is_matched_by_its_headers(branch: str) -> None:
    network, _client, server = silent_pair((180, 486))
    via = f"SIP/2.0/UDP 198.51.100.77:5060{branch}"

    def receive(method: str, *, cseq: int = 1, call_id: str = "old-1", to: str = "<sip:bob@ims.example>") -> None:
        data = request_bytes(method, via=via, cseq=cseq, call_id=call_id, to=to)
        server.receive(data, server.flow(("198.51.100.77", 5060)))

    receive("INVITE")
    receive("INVITE")
    assert len(server.events) == 1
    receive("ACK", to="<sip:bob@ims.example>;tag=whatever")
    assert server.endpoint.transactions()["server"] == 1
    assert len(server.events) == 1, "the ACK was taken for the refusal"
    receive("INVITE", cseq=2)
    receive("INVITE", call_id="old-2")
    assert len(server.events) == 3
    network.run()
    server.assert_idle()


@pytest.mark.rfc("3261-17.2.3")
def test_a_cancel_of_rfc_2543_finds_its_invite() -> None:
    network, _client, server = silent_pair((180,))
    via = "SIP/2.0/UDP 198.51.100.77:5060"
    server.receive(request_bytes(via=via), server.flow(("198.51.100.77", 5060)))
    server.receive(request_bytes("CANCEL", via=via), server.flow(("198.51.100.77", 5060)))
    network.run(1)
    assert network.wire()[:4] == ["180 INVITE", "200 CANCEL", "487 INVITE", "487 INVITE"]


@pytest.mark.rfc("3261-17.1.3")
def test_a_response_of_another_branch_or_method_is_a_stray() -> None:
    network, client, server = silent_pair()
    transaction = send(client, server, "OPTIONS")
    network.run(0.01)
    request = transaction.request
    wrong_branch = request.copy()
    wrong_branch.replace_top_via("SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKother")
    wrong_method = request.copy()
    wrong_method.set("CSeq", "1 INFO")
    for wrong in (wrong_branch, wrong_method):
        client.receive(response_bytes(wrong, 200), client.flow(server))
    assert client.statuses == []
    assert client.endpoint.dropped["stray response"] == 2
    client.receive(response_bytes(request, 200), client.flow(server))
    assert client.statuses == [200]


@pytest.mark.rfc("3261-18.1.2")
@pytest.mark.parametrize("sent_by", ["198.51.100.1:5062", "255.255.255.255:5060", "198.51.100.1"])
def test_a_response_whose_top_via_names_another_is_discarded(sent_by: str) -> None:
    network, client, server = silent_pair()
    transaction = send(client, server, "OPTIONS")
    ours = "{}:{}".format(*client.address).encode()
    response = response_bytes(transaction.request, 200)
    client.receive(response.replace(ours, sent_by.encode()), client.flow(server))
    assert client.statuses == []
    assert client.endpoint.dropped == {"stray response": 1}
    client.receive(response, client.flow(server))
    assert client.statuses == [200]
    network.run()


@pytest.mark.rfc("6026-7.2")
def test_every_2xx_is_told_for_64_t1_and_then_is_a_stray() -> None:
    network, client, server = silent_pair()
    request = send(client, server, "INVITE").request

    def answer(tag: str) -> Callable[[], None]:
        return lambda: client.receive(response_bytes(request, 200, to_tag=tag), client.flow(server))

    for at, tag in ((0.1, "one"), (5.0, "two"), (32.0, "one"), (33.0, "one")):
        network.call_later(at, answer(tag))
    network.run()
    assert client.statuses == [200, 200, 200]
    assert client.endpoint.dropped["stray response"] == 1
    client.assert_idle()


# Via --------------------------------------------------------------------------------------------------------------

SOURCE = ("203.0.113.5", 33333)


@pytest.mark.rfc("3261-18.2.1")
@pytest.mark.rfc("3261-18.2.2")
@pytest.mark.rfc("3581-4")
@pytest.mark.parametrize(
    ("transport", "via", "stamped", "destination"),
    [
        # the source is where the Via says
        ("UDP", "203.0.113.5:33333;branch=z9hG4bK1", "203.0.113.5:33333;branch=z9hG4bK1", SOURCE),
        # another port in the Via: responses go there, not to the source port
        ("UDP", "203.0.113.5:5070;branch=z9hG4bK1", "203.0.113.5:5070;branch=z9hG4bK1", ("203.0.113.5", 5070)),
        ("UDP", "203.0.113.5;branch=z9hG4bK1", "203.0.113.5;branch=z9hG4bK1", ("203.0.113.5", 5060)),
        # another host: received is added, and the port stays the Via's
        (
            "UDP",
            "192.0.2.99:5070;branch=z9hG4bK1",
            "192.0.2.99:5070;branch=z9hG4bK1;received=203.0.113.5",
            ("203.0.113.5", 5070),
        ),
        (
            "UDP",
            "phone.ims.example;branch=z9hG4bK1",
            "phone.ims.example;branch=z9hG4bK1;received=203.0.113.5",
            ("203.0.113.5", 5060),
        ),
        # rport: received is added even when it is the same, and the response goes where the request came from
        (
            "UDP",
            "203.0.113.5;rport;branch=z9hG4bK1",
            "203.0.113.5;rport=33333;branch=z9hG4bK1;received=203.0.113.5",
            SOURCE,
        ),
        # what a sender wrote into received itself does not count
        (
            "UDP",
            "10.0.0.9;branch=z9hG4bK1;received=192.0.2.66;rport",
            "10.0.0.9;branch=z9hG4bK1;received=203.0.113.5;rport=33333",
            SOURCE,
        ),
        # maddr would let a stranger aim our responses at anybody
        ("UDP", "203.0.113.5:33333;branch=z9hG4bK1;maddr=192.0.2.66", None, SOURCE),
        # over a stream responses go back over the connection
        (
            "TCP",
            "192.0.2.99:5070;branch=z9hG4bK1",
            "192.0.2.99:5070;branch=z9hG4bK1;received=203.0.113.5",
            SOURCE,
        ),
    ],
)
def test_the_top_via_is_stamped_and_routes_the_response(
    transport: str, via: str, stamped: str | None, destination: tuple[str, int]
) -> None:
    _network, _, server = silent_pair((200,))
    below = "SIP/2.0/UDP 198.51.100.4;branch=z9hG4bKbelow"
    head = f"SIP/2.0/{transport} {via}, {below}"
    flow = Flow(transport, server.address, SOURCE, 9 if transport == "TCP" else 0)
    server.receive(request_bytes("OPTIONS", via=head), flow)
    ((reply_to, data),) = server.data_to_send()
    assert reply_to.remote == destination
    assert reply_to.connection == flow.connection
    response = parse_message(data)
    assert response.values("Via") == [f"SIP/2.0/{transport} {stamped or via}", below]


@pytest.mark.rfc("3261-18.2.1")
def test_an_ipv6_source_is_stamped_without_brackets() -> None:
    _network, _, server = silent_pair((200,))
    flow = Flow("UDP", server.address, ("2001:db8::5", 5060))
    server.receive(request_bytes("OPTIONS", via="SIP/2.0/UDP [2001:DB8::9]:5060;branch=z9hG4bK1;rport"), flow)
    ((reply_to, data),) = server.data_to_send()
    assert reply_to.remote == ("2001:db8::5", 5060)
    top = parse_message(data).via
    assert (top.host, top.params["received"], top.params["rport"]) == ("2001:db8::9", "2001:db8::5", "5060")


@pytest.mark.rfc("3261-18.1.1")
def test_what_we_send_carries_our_own_via_on_top() -> None:
    _network, client, server = silent_pair()
    first, second = send(client, server, "OPTIONS", "TCP"), send(client, server, "OPTIONS")
    tops = [transaction.request.values("Via") for transaction in (first, second)]
    assert [len(values) for values in tops] == [1, 1]
    host, port = client.address
    assert tops[0][0].startswith(f"SIP/2.0/TCP {host}:{port};branch=z9hG4bK")
    assert tops[1][0].startswith(f"SIP/2.0/UDP {host}:{port};branch=z9hG4bK")
    assert first.request.via.branch != second.request.via.branch


# Failure of the transport -----------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-18.4")
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_connection_that_cannot_be_opened_ends_the_request_at_once(method: str) -> None:
    network = Network()
    client = Party(network, "client")
    request = message(method)
    request.remove("Via")
    client.endpoint.request(request, client.flow(("192.0.2.200", 5060), "TCP"), None)
    network.run(0.1)
    assert client.statuses == ["transport"]
    network.run()
    client.assert_idle()


@pytest.mark.rfc("3261-18.4")
def test_a_connection_that_was_opened_for_a_request_and_breaks_ends_it() -> None:
    network, client, server = silent_pair()
    send(client, server, "OPTIONS", "TCP")
    network.run(0.1)
    client.connection_failed(client.flow(server, "TCP")._replace(connection=17))
    assert client.statuses == ["transport"]


# Counting ---------------------------------------------------------------------------------------------------------


def test_methods_that_strangers_invent_do_not_grow_the_counters() -> None:
    _network, client, server = silent_pair((501,))
    for number in range(50):
        data = request_bytes(f"SING{number}", branch=f"z9hG4bK{number}")
        server.receive(data, server.flow(client))
    assert server.endpoint.messages.told() == {("in", "other", "request"): 50, ("out", "other", "5xx"): 50}
    for number in range(50):
        send(client, server, f"DANCE{number}")
    assert client.endpoint.messages.told()["out", "other", "request"] == 50
    assert len(client.endpoint.messages.told()) == 1


@pytest.mark.rfc("3261-8.2.7")
@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (request_bytes("OPTIONS", without=["Call-ID"]), 400),
        (request_bytes("OPTIONS", without=["To"]), 400),
        (request_bytes("OPTIONS", without=["From"]), 400),
        (request_bytes("OPTIONS", without=["CSeq"]), 400),
        (request_bytes("OPTIONS", cseq=2**31), 400),
        (request_bytes("OPTIONS").replace(b"SIP/2.0\r\nVia", b"SIP/3.0\r\nVia"), 505),
        (request_bytes("OPTIONS", headers=[("Call-ID", "twice")]), 400),
        (request_bytes("ACK", without=["Call-ID"]), None),
        (request_bytes("OPTIONS", without=["Via"]), None),
        (request_bytes("OPTIONS", via="nonsense"), None),
        (b"\x00\x01\x02 nothing of SIP", None),
        (b"SIP/2.0 200 OK\r\n\r\n", None),
        (b"INVITE sip:bob@192.0.2.1 SIP/2.0\r\n", None),
    ],
)
def test_malformed_requests_are_answered_where_possible_and_leave_nothing_behind(
    data: bytes, answer: int | None
) -> None:
    _network, client, server = silent_pair()
    server.receive(data, server.flow(client))
    statuses = [parse.split(b" ", 2)[1] for _, parse in server.data_to_send()]
    assert statuses == ([] if answer is None else [str(answer).encode()])
    assert server.events == []
    assert sum(server.endpoint.dropped.values()) == 1
    assert server.endpoint.transactions() == {"client": 0, "server": 0}


@pytest.mark.parametrize("status", [200, 404])
def test_an_answered_request_waits_for_timer_j_without_its_headers(status: int) -> None:
    _network, client, server = silent_pair((status,))
    server.receive(request_bytes("REGISTER"), server.flow(client))
    (event,) = server.requests
    assert event.request.lines, "the user still has them"
    assert event.transaction.request.lines == []
    assert event.transaction.request.method == "REGISTER"
