"""What the Via of our own requests asks of the peer."""

import pytest

from ims_core.flow import TRANSPORTS, Address, Flow
from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.transactions.endpoint import Endpoint
from tests.kit import Clock, request_bytes, response_bytes, seeded_ids

HERE: Address = ("192.0.2.1", 5061)
PEER: Address = ("198.51.100.77", 5061)


@pytest.fixture
def endpoint() -> Endpoint:
    listeners = {(transport, HERE): "ims.example:5061" for transport in TRANSPORTS}
    return Endpoint(clock=Clock(), ids=seeded_ids("Via"), sent_by=listeners)


def request(method: str) -> Request:
    made = parse_message(request_bytes(method))
    assert isinstance(made, Request)
    made.remove("Via")
    return made


@pytest.mark.rfc("5923-9.1", "3581-3")
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "ACK"])
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_responses_come_to_our_port_and_by_tls_requests_may_take_our_connection(
    endpoint: Endpoint, transport: str, method: str
) -> None:
    way = Flow(transport, HERE, PEER)
    if method == "ACK":
        endpoint.send_ack(request(method), way)
    else:
        endpoint.request(request(method), way, None)
    ((_, data),) = endpoint.data_to_send()
    via = parse_message(data).via
    assert via.params["rport"] == ""
    assert ("alias" in via.params) is (transport == "TLS")
    assert (via.transport, via.host, via.port) == (transport, "ims.example", 5061)


@pytest.mark.rfc("5923-9.1", "3261-9.1", "3261-17.1.1.3")
def test_what_follows_an_invite_on_its_hop_has_the_same_via(endpoint: Endpoint) -> None:
    way = Flow("TLS", HERE, PEER)
    transaction = endpoint.request(request("INVITE"), way, None)
    invite = transaction.request.copy()
    endpoint.receive(response_bytes(invite, 180), way)
    endpoint.cancel(transaction)
    endpoint.receive(response_bytes(invite, 487), way)
    sent = [parse_message(data) for _, data in endpoint.data_to_send()]
    assert [message.method for message in sent if isinstance(message, Request)] == ["INVITE", "CANCEL", "ACK"]
    assert {tuple(message.values("Via")) for message in sent} == {tuple(invite.values("Via"))}
    assert "alias" in sent[-1].via.params
