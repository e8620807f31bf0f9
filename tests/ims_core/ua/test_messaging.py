"""MESSAGE and OPTIONS outside dialogs, sent and received (RFC 3428, RFC 3261 section 11)."""

from __future__ import annotations

import pytest

from ims_core.errors import Forbidden, NoRoute, RequestEntityTooLarge
from ims_core.ua.messaging import LARGEST_MESSAGE, Outcome, TextReceived, ping, send_message, serve_messages
from ims_core.ua.notifier import serve_events
from ims_core.ua.referral import serve_referrals
from ims_core.ua.replaces import serve_replaces
from tests.ims_core.ua.test_subscriptions import Weather
from tests.kit import Faults, Network, Phone, request_bytes

ALICE = "<sip:alice@ims.example>"


class Pair:
    """Alice writes to bob, who answers with ``status``."""

    def __init__(self, *, transport: str = "UDP", faults: Faults | None = None, status: int = 200) -> None:
        self.network = Network(3, faults)
        self.alice = Phone(self.network, "alice", transport=transport)
        self.bob = Phone(self.network, "bob", transport=transport)
        self.received: list[TextReceived] = []
        self.outcomes: list[Outcome] = []
        self.status = status
        serve_messages(self.bob.ua, self.take, accept=("text/plain", "text/html"))

    def take(self, message: TextReceived) -> int:
        self.received.append(message)
        if message.body == b"no":
            raise Forbidden("I do not want that")
        return self.status

    def write(self, body: bytes = b"Hello", **options: str) -> None:
        flow = self.alice.flow(self.bob, self.alice.transport)
        send_message(self.alice.ua, flow, self.bob.uri, body, self.outcomes.append, user=ALICE, **options)  # type: ignore[arg-type]

    def finish(self) -> None:
        self.network.run()
        self.alice.assert_idle()
        self.bob.assert_idle()


@pytest.mark.rfc("3428-4")
@pytest.mark.rfc("3428-7")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("status", [200, 202])
def test_a_message_is_delivered_or_kept(transport: str, status: int) -> None:
    pair = Pair(transport=transport, status=status)
    pair.write("Grüße".encode())
    pair.network.run(0.1)
    (received,) = pair.received
    assert (received.identity, received.content_type, received.body.decode()) == ("alice", "text/plain", "Grüße")
    assert received.request.contact is None, "MUST NOT insert Contact"
    assert (pair.outcomes[0].status, pair.outcomes[0].is_success) == (status, True)
    (reply,) = pair.network.packets(f"{status} MESSAGE")
    assert "contact" not in reply.message.keys
    assert reply.message.body == b""
    assert len(pair.bob.ua) == len(pair.bob.ua.usages) == 0, "no dialog"
    pair.finish()


@pytest.mark.rfc("3428-7")
def test_messages_that_are_not_wanted() -> None:
    pair = Pair()
    pair.write(b"no")
    pair.write(b"\x00", content_type="image/png")
    pair.network.run(0.1)
    assert [(outcome.status, outcome.reason) for outcome in pair.outcomes] == [
        (403, "I do not want that"),
        (415, "Unsupported Media Type"),
    ]
    assert pair.network.packets("415 MESSAGE")[0].message.get("Accept") == "text/plain, text/html"
    pair.finish()


@pytest.mark.rfc("3428-8")
def test_a_message_that_is_too_large_is_not_sent() -> None:
    pair = Pair()
    with pytest.raises(RequestEntityTooLarge):
        pair.write(b"x" * 1100)
    pair.write(b"x" * 700)
    pair.network.run(0.1)
    assert [packet.summary for packet in pair.network.sent] == ["MESSAGE", "200 MESSAGE"]
    assert len(pair.network.sent[0].data) <= LARGEST_MESSAGE
    pair.finish()


@pytest.mark.rfc("3428-4")
def test_a_message_is_told_once_over_a_bad_network() -> None:
    pair = Pair(faults=Faults(loss=0.4, duplicate=0.4, jitter=1.0))
    for number in range(20):
        pair.write(str(number).encode())
    pair.network.run(60)
    assert len(pair.outcomes) == 20
    bodies = [message.body for message in pair.received]
    assert len(bodies) == len(set(bodies)), "none twice"
    assert sum(outcome.is_success for outcome in pair.outcomes) >= 18
    pair.finish()


def test_a_message_to_nobody() -> None:
    pair = Pair()
    pair.network.detach(pair.bob)
    pair.write()
    pair.network.run(40)
    assert pair.outcomes == [Outcome(408, "No answer", 32.0, None)]
    pair.outcomes.clear()
    pair.alice.transport = "TCP"
    pair.write()
    pair.network.run(1)
    assert (pair.outcomes[0].status, pair.outcomes[0].is_success) == (503, False)


def test_a_message_with_nowhere_to_go() -> None:
    pair = Pair()
    send_message(pair.alice.ua, "sip:bob@[2001:db8::1]", "sip:bob@x", b"hi", pair.outcomes.append, user=ALICE)
    assert pair.outcomes == [Outcome(503, NoRoute().reason, 0.0, None)]
    pair.finish()


# OPTIONS -------------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3261-11.1")
@pytest.mark.rfc("3261-11.2")
def test_a_ping_is_answered_with_what_is_served() -> None:
    pair = Pair()
    serve_events(pair.bob.ua, [Weather()])
    serve_referrals(pair.bob.ua, lambda referral: referral.accept())
    serve_replaces(pair.bob.ua, lambda *_: True)
    ping(pair.alice.ua, pair.alice.flow(pair.bob), pair.bob.uri, ALICE, pair.outcomes.append)
    pair.network.run(0.1)
    (outcome,) = pair.outcomes
    assert outcome.is_success
    assert outcome.seconds == pytest.approx(0.002)
    assert outcome.response is not None
    allowed = set(outcome.response.values("Allow"))
    assert {"INVITE", "BYE", "OPTIONS", "MESSAGE", "SUBSCRIBE", "NOTIFY", "REFER"} <= allowed
    assert "PUBLISH" not in allowed
    assert outcome.response.values("Accept") == ["application/sdp", "text/plain", "text/html"]
    assert {"replaces", "norefersub"} <= set(outcome.response.values("Supported"))
    assert outcome.response.get("Allow-Events") == "weather"
    (asked,) = pair.network.packets("OPTIONS")
    assert asked.message.contact is not None
    assert asked.message.contact.uri_text == pair.alice.uri
    assert asked.message.get("Accept") == "application/sdp"
    pair.finish()


def test_a_ping_that_nobody_answers() -> None:
    pair = Pair()
    pair.network.detach(pair.bob)
    ping(pair.alice.ua, pair.alice.flow(pair.bob), pair.bob.uri, ALICE, pair.outcomes.append)
    pair.network.run(40)
    assert [(outcome.status, outcome.seconds) for outcome in pair.outcomes] == [(408, 32.0)]


@pytest.mark.rfc("3261-8.2.1")
@pytest.mark.parametrize(
    ("method", "status"), [("MESSAGE", 405), ("PUBLISH", 405), ("DANCE", 501), ("NOTIFY", 481), ("BYE", 481)]
)
def test_what_is_not_served_is_refused_by_name(method: str, status: int) -> None:
    network = Network()
    dave = Phone(network, "dave")
    dave.receive(request_bytes(method, dave.uri), dave.flow(("198.51.100.77", 5060)))
    network.flush()
    (packet,) = network.packets(f"{status} {method}")
    if status in {405, 501}:
        assert packet.message.get("Allow") == dave.ua.allow
        assert "MESSAGE" not in dave.ua.allow.split(", ")
    network.run()
    dave.assert_idle()
