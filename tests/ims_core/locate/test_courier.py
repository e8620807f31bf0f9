"""Requests on their way: to names, to the next server, by TCP for their size (RFC 3263 4.3, RFC 3261 18.1.1)."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from ims_core.errors import NoRoute
from ims_core.flow import Address, Flow, format_address
from ims_core.locate.courier import DEAD_SECONDS, MAX_DATAGRAM, NO_TCP_SECONDS, Courier, Hop, Outbound, Peer
from ims_core.locate.errand import CANCELLED, UNAVAILABLE, UNRESOLVED, Errand
from ims_core.locate.records import Answer, Question, Record, Srv
from ims_core.messages.message import Request, Response
from ims_core.transactions.endpoint import Event, RequestFailed, RequestReceived, ResponseReceived
from ims_core.transactions.machines import TIMEOUT, TRANSPORT
from ims_core.ua.session_events import Answered, Ended, Rejected
from tests.kit import Network, Party, Phone

NAME = "sip:bob@lab.example"


class User:
    """Keeps what it is told: statuses and causes, with the servers they are of."""

    def __init__(self) -> None:
        self.told: list[int | str] = []
        self.by: list[Address] = []
        self.outbound: list[Outbound] = []

    def receive_response(self, outbound: Outbound, response: Response) -> None:
        self._note(outbound, response.status)

    def request_failed(self, outbound: Outbound, cause: str) -> None:
        self._note(outbound, cause)

    def _note(self, outbound: Outbound, what: int | str) -> None:
        self.told.append(what)
        self.by.append(outbound.flow.remote)
        self.outbound.append(outbound)


class Client(Party):
    """An endpoint with a courier, whose questions a zone answers after a tenth of a second."""

    def __init__(self, network: Network, zone: Mapping[str, Sequence[Record]]) -> None:
        super().__init__(network, "client")
        self.courier = Courier(self.endpoint, listeners=self.advertised)
        self.courier.resolver.ask = self._ask
        self.zone = zone
        self.asked: list[str] = []
        self.react = self._dispatch

    def send(
        self,
        hop: Hop = NAME,
        method: str = "OPTIONS",
        *,
        size: int = 0,
        prepare: Callable[[Request, Flow], None] | None = None,
    ) -> tuple[User, Outbound]:
        user = User()
        request = self.request(method, size)
        return user, self.courier.request(request, hop, user, prepare=prepare)

    def request(self, method: str, size: int = 0) -> Request:
        request = Request(method, NAME)
        for name, value in (
            ("Max-Forwards", "70"),
            ("From", "<sip:alice@ims.example>;tag=a"),
            ("To", f"<{NAME}>"),
            ("Call-ID", self.endpoint.ids.call_id()),
            ("CSeq", f"1 {method}"),
        ):
            request.add(name, value)
        if size:
            request.set_body(b"x" * size, "text/plain")
        return request

    def connection_failed(self, flow: Flow) -> None:
        self.courier.connection_failed(flow)
        self._drain()

    def _ask(self, question: Question) -> None:
        self.asked.append(f"{question.kind} {question.name}")
        records = tuple(self.zone.get(f"{question.kind} {question.name}", ()))
        self.network.call_later(0.1, lambda: self._answer(question, Answer(records, 3600)))

    def _answer(self, question: Question, answer: Answer) -> None:
        self.courier.resolver.answer(question, answer)
        self._drain()

    def _dispatch(self, event: Event) -> None:
        match event:
            case ResponseReceived(transaction, response) if transaction.user is not None:
                transaction.user.receive_response(transaction, response)
            case RequestFailed(transaction, cause) if transaction.user is not None:
                transaction.user.request_failed(transaction, cause)


class Bench:
    """A client, and servers of ``lab.example`` that give these answers, the one of the best priority first."""

    def __init__(self, *answers: tuple[int, ...], tcp: bool = True) -> None:
        self.network = Network()
        self.servers = [Party(self.network, f"server {n}", answers=given) for n, given in enumerate(answers)]
        zone: dict[str, Sequence[Record]] = {
            "SRV _sip._udp.lab.example": [
                Srv(n, 1, server.address[1], f"s{n}.lab.example") for n, server in enumerate(self.servers)
            ],
            **{f"A s{n}.lab.example": [server.address[0]] for n, server in enumerate(self.servers)},
        }
        self.client = Client(self.network, zone)
        if not tcp:
            for server in self.servers:
                self.network.unlisten("TCP", server.address)

    def requests(self) -> list[int]:
        """How many requests each server got, ACK and CANCEL aside."""
        return [len(server.requests) for server in self.servers]


# Names ------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3263-4")
def test_a_name_is_looked_up_and_the_best_server_asked() -> None:
    b = Bench((200,), (200,))
    user, outbound = b.client.send()
    b.network.run()
    assert user.told == [200]
    assert user.outbound == [outbound]
    assert b.requests() == [1, 0]
    assert b.client.asked[0] == "NAPTR lab.example"
    b.client.assert_idle()


def test_an_address_is_not_looked_up_and_costs_no_errand() -> None:
    b = Bench((200,))
    _, outbound = b.client.send(f"sip:{format_address(b.servers[0].address)}")
    assert not isinstance(outbound, Errand)
    assert b.client.asked == []


def test_a_name_that_nobody_knows_is_told_once() -> None:
    b = Bench()
    user, _ = b.client.send()
    b.network.run()
    assert user.told == [UNRESOLVED]
    b.client.assert_idle()


def test_a_name_that_is_known_to_be_none_is_told_later_as_well() -> None:
    b = Bench()
    b.client.send()
    b.network.run()
    user, _ = b.client.send()
    assert user.told == []  # not while its user still waits to learn what it sent
    b.network.run()
    assert user.told == [UNRESOLVED]


@pytest.mark.parametrize("uri", ["sip:bob@lab.example;transport=tls", "sips:bob@lab.example", "tel:+4930123"])
def test_a_name_without_a_transport_of_ours_has_no_way(uri: str) -> None:
    with pytest.raises(NoRoute):
        Bench().client.courier.way(uri)


@pytest.mark.rfc("3261-26.2.1")
def test_a_sips_uri_never_goes_by_udp() -> None:
    with pytest.raises(NoRoute):
        Bench().client.courier.way("sips:bob@192.0.2.1;transport=udp")


def test_the_peer_of_a_dialog_whose_name_nobody_knows_is_where_it_was_heard() -> None:
    b = Bench((200,))
    peer = b.client.flow(b.servers[0])
    hop = b.client.courier.way_to_peer("sip:bob@phone.local:5070", peer)
    assert hop == Peer("sip:bob@phone.local:5070", peer)
    user, _ = b.client.send(hop)
    b.network.run()
    assert (user.told, b.client.asked) == ([200], ["A phone.local"])


@pytest.mark.rfc("3261-13.2.2.4")
def test_an_ack_waits_for_the_name_and_can_be_repeated() -> None:
    b = Bench(())
    b.client.zone = {**b.client.zone, "A bob.example": [b.servers[0].address[0]]}
    again = b.client.courier.send_ack(b.client.request("ACK"), "sip:bob@bob.example:5060")
    again()  # too early: nobody knows where to
    b.network.run()
    again()
    b.network.run()
    first, second = b.network.packets("ACK")
    assert first.data == second.data
    assert first.flow.remote == b.servers[0].address


# Failover ---------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3263-4.3")
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_503_leads_to_the_next_server(method: str) -> None:
    b = Bench((503,), (503,), (100, 200))
    failed: list[tuple[Flow, str]] = []
    b.client.courier.on_failed = lambda flow, cause: failed.append((flow, cause))
    user, _ = b.client.send(method=method)
    b.network.run()
    assert user.told == [100, 200]
    assert failed == [(b.client.flow(server), "503") for server in b.servers[:2]]
    assert user.by == [b.servers[2].address] * 2
    assert b.requests() == [1, 1, 1]
    assert b.client.courier.failovers == {"503": 2}
    branches = {packet.message.via.branch for packet in b.network.packets(method)}
    assert len(branches) == 3, "each attempt is a transaction of its own"
    assert len({packet.message.call_id for packet in b.network.packets(method)}) == 1


@pytest.mark.rfc("3263-4.3")
def test_the_last_503_is_told() -> None:
    b = Bench((503,), (503,))
    user, _ = b.client.send(method="INVITE")
    b.network.run()
    assert user.told == [503]
    b.client.assert_idle()


@pytest.mark.rfc("3263-4.3")
@pytest.mark.parametrize("status", [404, 486, 500, 600])
def test_other_failures_are_answers(status: int) -> None:
    b = Bench((status,), (200,))
    user, _ = b.client.send(method="INVITE")
    b.network.run()
    assert (user.told, b.requests()) == ([status], [1, 0])


@pytest.mark.rfc("3263-4.3")
def test_a_timeout_leads_to_the_next_server() -> None:
    b = Bench((), (200,))
    b.network.detach(b.servers[0])
    user, _ = b.client.send()
    b.network.run()
    assert user.told == [200]
    assert b.client.courier.failovers == {TIMEOUT: 1}


@pytest.mark.rfc("3263-4.3")
def test_a_timeout_after_a_provisional_response_does_not() -> None:
    b = Bench((100,), (200,))
    user, _ = b.client.send()
    b.network.run()
    assert ({*user.told[:-1]}, user.told[-1], b.requests()) == ({100}, TIMEOUT, [1, 0])


def test_a_server_that_is_silent_to_an_invite_is_not_waited_for() -> None:
    b = Bench((), (180, 200))
    b.network.detach(b.servers[0])
    user, _ = b.client.send(method="INVITE")
    b.network.run(6.0)
    assert user.told == [180, 200]
    assert b.client.courier.failovers == {TIMEOUT: 1}


@pytest.mark.rfc("3261-9.1")
def test_the_server_that_was_given_up_is_cancelled_when_it_wakes_and_its_2xx_is_told() -> None:
    b = Bench((), (180,))
    user, _ = b.client.send(method="INVITE")
    b.network.run(5.0)
    slow = b.servers[0].requests[0]
    b.servers[0].react = lambda _: None
    b.servers[0].endpoint.reply(slow.transaction, 180)
    b.network.run(0.1)
    assert len(b.network.packets("CANCEL")) == 1
    b.servers[0].endpoint.reply(slow.transaction, 200)  # the CANCEL came too late
    b.network.run(0.1)
    assert user.told == [180, 200]
    assert user.by == [b.servers[1].address, b.servers[0].address]


@pytest.mark.rfc("3263-4.3")
def test_a_server_that_did_not_serve_is_tried_last_for_a_while() -> None:
    b = Bench((503,), (200,))
    for _ in range(3):
        b.client.send()
        b.network.run(1.0)
    assert b.requests() == [1, 3]
    assert b.client.courier.dead() == 1
    b.network.run(DEAD_SECONDS)
    assert b.client.courier.dead() == 0
    b.client.send()
    b.network.run()
    assert b.requests() == [2, 4]


@pytest.mark.rfc("3261-21.5.4")
def test_a_server_that_asks_for_rest_gets_it() -> None:
    b = Bench(())
    b.servers[0].react = lambda event: (
        b.servers[0].endpoint.reply(event.transaction, 503, headers=(("Retry-After", "120 (in trouble)"),))
        if isinstance(event, RequestReceived)
        else None
    )
    first, _ = b.client.send()
    b.network.run()
    second, _ = b.client.send()
    b.network.run()
    assert (first.told, second.told) == ([503], [UNAVAILABLE])
    assert b.requests() == [1]
    b.network.run(120)
    b.client.send()
    b.network.run()
    assert b.requests() == [2]


def test_a_dead_server_is_asked_when_there_is_no_other() -> None:
    b = Bench((503,))
    for _ in range(2):
        b.client.send()
        b.network.run()
    assert b.requests() == [2]


# CANCEL -----------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-9.1")
def test_a_cancel_reaches_the_server_that_rings() -> None:
    b = Bench((503,), (180,))
    user, outbound = b.client.send(method="INVITE")
    b.network.run(1.0)
    b.client.courier.cancel(outbound, (("Reason", "SIP;cause=200"),))
    b.network.run()
    (cancel,) = b.network.packets("CANCEL")
    assert cancel.flow.remote == b.servers[1].address
    assert cancel.message.get("Reason") == "SIP;cause=200"
    assert user.told == [180, 487]


def test_what_is_cancelled_while_its_name_is_looked_up_is_not_sent() -> None:
    b = Bench((200,))
    user, outbound = b.client.send(method="INVITE")
    b.client.courier.cancel(outbound)
    b.network.run()
    assert user.told == [CANCELLED]
    assert b.network.sent == []


def test_nothing_more_is_tried_after_a_cancel() -> None:
    b = Bench((100,), (200,))
    user, outbound = b.client.send(method="INVITE")
    b.network.run(1.0)
    b.client.courier.cancel(outbound)
    b.servers[0].endpoint.reply(b.servers[0].requests[0].transaction, 503)
    b.network.run()
    assert (user.told, b.requests()) == ([100, 503], [1, 0])


# Size -------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-18.1.1")
def test_what_is_too_large_goes_by_tcp() -> None:
    b = Bench((200,))
    user, _ = b.client.send(b.client.flow(b.servers[0]), size=1300)
    b.network.run()
    assert user.told == [200]
    (packet,) = b.network.packets("OPTIONS")
    assert packet.flow.transport == "TCP"
    assert packet.message.via.transport == "TCP"
    assert b.client.courier.oversize == 1


@pytest.mark.rfc("3261-18.1.1")
def test_the_limit_is_1300_bytes() -> None:
    b = Bench((200,))
    b.client.send(b.client.flow(b.servers[0]), size=900)
    b.network.run()
    spare = MAX_DATAGRAM - len(b.network.packets("OPTIONS")[0].data) - 1  # Content-Length grows by a digit
    for size in (900 + spare, 900 + spare + 1):
        b.client.send(b.client.flow(b.servers[0]), size=size)
        b.network.run()
    sent = [(len(packet.data), packet.flow.transport) for packet in b.network.packets("OPTIONS")[1:]]
    assert sent == [(1300, "UDP"), (1301, "TCP")]


@pytest.mark.rfc("3261-18.1.1")
@pytest.mark.parametrize(
    ("uri", "headers"),
    [
        (NAME, [("Subject", "\u5b57" * 450)]),
        (f"sip:{'x' * 1300}@peer.example", []),
        (NAME, [("X", "y")] * 200),
        (NAME, [("X", "y" * 990)]),
    ],
    ids=["characters of three bytes", "the first line", "many short lines", "what we add"],
)
def test_all_bytes_count_for_the_limit(uri: str, headers: list[tuple[str, str]]) -> None:
    b = Bench((200,))
    request = b.client.request("OPTIONS")
    request.uri = uri
    for name, value in headers:
        request.add(name, value)

    def prepare(sent: Request, _: Flow) -> None:
        if len(headers) == 1 and value.isascii():
            sent.add("Record-Route", f"<sip:{'z' * 250}@proxy.example;lr>")

    b.client.courier.request(request, b.client.flow(b.servers[0]), User(), prepare=prepare)
    b.network.run()
    (packet,) = b.network.packets("OPTIONS")
    assert len(packet.data) > MAX_DATAGRAM
    assert packet.flow.transport == "TCP"


@pytest.mark.rfc("3261-18.1.1")
def test_without_tcp_it_goes_by_udp_and_that_is_remembered() -> None:
    b = Bench((200,), tcp=False)
    for expected in (["TCP", "UDP"], ["TCP", "UDP", "UDP"]):
        user, _ = b.client.send(b.client.flow(b.servers[0]), size=1300)
        b.network.run()
        assert user.told == [200]
        assert [packet.flow.transport for packet in b.network.packets("OPTIONS")] == expected
    assert b.client.courier.failovers == {"no_tcp": 1}
    b.network.run(NO_TCP_SECONDS)
    b.client.send(b.client.flow(b.servers[0]), size=1300)
    b.network.run()
    assert [packet.flow.transport for packet in b.network.packets("OPTIONS")][3:] == ["TCP", "UDP"]


@pytest.mark.rfc("3261-18.1.1", "3263-4.3")
def test_the_way_by_udp_is_not_tried_when_the_server_answered_by_tcp() -> None:
    b = Bench((503,), (200,))
    user, _ = b.client.send(size=1300)
    b.network.run()
    assert user.told == [200]
    assert [packet.flow.transport for packet in b.network.packets("OPTIONS")] == ["TCP", "TCP"]
    assert b.requests() == [1, 1]


@pytest.mark.rfc("3261-13.2.2.4", "3261-18.1.1")
def test_a_large_ack_that_tcp_did_not_take_goes_by_udp_the_next_time() -> None:
    b = Bench((), tcp=False)
    again = b.client.courier.send_ack(b.client.request("ACK", 1300), b.client.flow(b.servers[0]))
    b.network.run()
    again()
    again()
    b.network.run()
    transports = [packet.flow.transport for packet in b.network.packets("ACK")]
    assert transports == ["TCP", "UDP", "UDP"]
    assert b.network.packets("ACK")[1].data == b.network.packets("ACK")[2].data


def test_each_attempt_is_prepared_for_its_own_flow() -> None:
    b = Bench((200,), tcp=False)

    def prepare(request: Request, flow: Flow) -> None:
        request.add("Contact", f"<sip:alice@192.0.2.1;transport={flow.transport.lower()}>")

    b.client.send(b.client.flow(b.servers[0]), size=1300, prepare=prepare)
    b.network.run()
    assert [packet.message.values("Contact") for packet in b.network.packets("OPTIONS")] == [
        ["<sip:alice@192.0.2.1;transport=tcp>"],
        ["<sip:alice@192.0.2.1;transport=udp>"],
    ]


def test_a_connection_that_is_only_a_try_is_told_from_others() -> None:
    b = Bench((200,))
    udp, tcp = b.client.flow(b.servers[0]), b.client.flow(b.servers[0], "TCP")
    b.client.send(tcp)
    assert not b.client.courier.is_probing(tcp)
    b.client.send(udp, size=1300)
    assert b.client.courier.is_probing(tcp)


@pytest.mark.rfc("3263-4.3")
def test_a_connection_that_fails_leads_to_the_next_server() -> None:
    b = Bench((200,), (200,))
    zone = b.client.zone
    b.client.zone = {**zone, "SRV _sip._tcp.lab.example": zone["SRV _sip._udp.lab.example"]}
    b.network.unlisten("TCP", b.servers[0].address)
    user, _ = b.client.send(f"{NAME};transport=tcp")
    b.network.run()
    assert (user.told, b.requests()) == ([200], [0, 1])
    assert b.client.courier.failovers == {TRANSPORT: 1}


# A session --------------------------------------------------------------------------------------------------


def test_a_call_to_a_name_goes_to_the_server_that_serves() -> None:
    network = Network()
    busy = Party(network, "busy", answers=(503,))
    alice, bob = Phone(network, "alice"), Phone(network, "bob")
    hosts = {"bob0.example": busy.address[0], "bob1.example": bob.address[0]}

    def ask(question: Question) -> None:
        records: dict[str, Sequence[Record]] = {
            "SRV": [Srv(n, 0, 5060, name) for n, name in enumerate(hosts)] if "_udp" in question.name else [],
            "A": [hosts.get(question.name, "")],
        }
        alice.ua.courier.resolver.answer(question, Answer(tuple(records.get(question.kind, ())), 60))

    alice.ua.courier.resolver.ask = ask
    call = alice.ua.outgoing("sip:bob@lab.example", lambda event: alice.told.append((call, event)))
    call.start("sip:bob@lab.example", caller="<sip:alice@ims.example>", callee="<sip:bob@lab.example>", sdp=b"offer")
    network.run(1.0)
    assert [type(event) for event in alice.told_by(call)] == [Answered]
    call.hang_up()
    network.run()
    assert isinstance(bob.told[-1][1] if bob.told else None, Ended)
    alice.assert_idle()
    bob.assert_idle()


def test_a_call_to_nobody_is_rejected_once() -> None:
    network = Network()
    alice = Phone(network, "alice")
    alice.ua.courier.resolver.ask = lambda question: alice.ua.courier.resolver.answer(question, Answer((), 60))
    call = alice.ua.outgoing("sip:bob@lab.example", lambda event: alice.told.append((call, event)))
    call.start("sip:bob@lab.example", caller="<sip:alice@ims.example>", callee="<sip:bob@lab.example>", sdp=b"offer")
    network.run()
    assert [event.status for event in alice.told_by(call) if isinstance(event, Rejected)] == [503]
    alice.assert_idle()


@pytest.mark.rfc("5922-4", "3263-4.1")
def test_a_server_by_tls_must_prove_the_name_that_was_asked_for() -> None:
    b = Bench(())
    b.client.advertised["TLS", b.client.address] = "client.example:5061"
    courier = Courier(b.client.endpoint, listeners=[("TLS", b.client.address)])
    answers: dict[str, tuple[Record, ...]] = {"SRV": (Srv(0, 0, 5071, "s0.lab.example"),), "A": ("192.0.2.9",)}
    courier.resolver.ask = lambda question: courier.resolver.answer(question, Answer(answers.get(question.kind, ()), 1))
    courier.request(b.client.request("OPTIONS"), "sips:bob@lab.example", None)
    ((flow, _),) = b.client.data_to_send()
    assert flow == Flow("TLS", b.client.address, ("192.0.2.9", 5071), server_name="lab.example")
