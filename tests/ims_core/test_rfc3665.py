"""The call flows of RFC 3665: our registrars, proxies and user agents, and who sends what to whom, in order."""

from __future__ import annotations

import pytest

from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message
from ims_core.security.digest import answer_challenge
from ims_core.transactions.endpoint import ResponseReceived
from ims_core.ua.session_events import Acknowledged, Answered, Rejected, Reoffered, SessionEvent
from tests.kit import PASSWORD, Party, request_bytes
from tests.kit.ladder import BOB, Lab

rfc = pytest.mark.rfc

# 2: Registration -----------------------------------------------------------------------------------------------------


class Registering:
    """Bob's side of a registration, written by hand: 2.1 to 2.5 are all of one server."""

    def __init__(self) -> None:
        self.lab = Lab()
        self.server = self.lab.server("SIP Server")
        self.party = Party(self.lab.network, "bob at work")
        self.lab.named("Bob", self.party.address)
        self._cseq = 0
        self._challenge = ""

    def register(self, *contacts: str, password: str = PASSWORD, expires: str = "") -> Response:
        self._cseq += 1
        headers = [("Contact", contact) for contact in contacts]
        if expires:
            headers.append(("Expires", expires))
        if self._challenge:
            uri = "sip:biloxi.example"
            answer = answer_challenge(self._challenge, "REGISTER", uri, "bob", password, cnonce="c0ffee", nc=self._cseq)
            headers.append(("Authorization", answer))
        data = request_bytes(
            "REGISTER", "sip:biloxi.example", from_=f"<{BOB}>;tag=1", to=f"<{BOB}>", contact=None, cseq=self._cseq,
            headers=headers,
        )  # fmt: skip
        request = parse_message(data)
        assert isinstance(request, Request)
        request.remove("Via")
        self.party.endpoint.request(request, self.party.flow(self.server.address), None)
        self.lab.network.run(1)
        event = self.party.events[-1]
        assert isinstance(event, ResponseReceived)
        self._challenge = event.response.get("WWW-Authenticate") or self._challenge
        return event.response

    @property
    def bound(self) -> list[str]:
        return [binding.contact for binding in self.server.location.bindings(BOB)]


FIRST, SECOND = "<sip:bob@198.51.100.50>", "<sip:bob@198.51.100.51>"
CHALLENGED = ("REGISTER: Bob > SIP Server", "401: SIP Server > Bob")
ASKED_AGAIN = ("REGISTER: Bob > SIP Server", "200: SIP Server > Bob")
REGISTERED = (*CHALLENGED, *ASKED_AGAIN)


@rfc("3665-2.1")
def test_successful_new_registration() -> None:
    bob = Registering()
    assert bob.register(FIRST).status == 401
    assert bob.register(FIRST).status == 200
    assert bob.bound == ["sip:bob@198.51.100.50"]
    bob.lab.assert_figure(*REGISTERED)


@rfc("3665-2.2")
def test_update_of_contact_list() -> None:
    bob = Registering()
    bob.register(FIRST)
    bob.register(FIRST)
    response = bob.register(SECOND)
    assert response.status == 200
    assert len(response.values("Contact")) == len(bob.bound) == 2
    bob.lab.assert_figure(*REGISTERED, *ASKED_AGAIN)


@rfc("3665-2.3")
def test_request_for_current_contact_list() -> None:
    bob = Registering()
    bob.register(FIRST)
    bob.register(FIRST)
    response = bob.register()
    assert [value.partition(";")[0] for value in response.values("Contact")] == [FIRST]
    bob.lab.assert_figure(*REGISTERED, *ASKED_AGAIN)


@rfc("3665-2.4")
def test_cancellation_of_registration() -> None:
    bob = Registering()
    bob.register(FIRST)
    bob.register(FIRST)
    response = bob.register("*", expires="0")
    assert (response.status, response.get("Contact"), bob.bound) == (200, None, [])
    bob.lab.assert_figure(*REGISTERED, *ASKED_AGAIN)


@rfc("3665-2.5")
def test_unsuccessful_registration() -> None:
    bob = Registering()
    assert bob.register(FIRST).status == 401
    assert bob.register(FIRST, password="wrong").status == 401
    assert bob.bound == []
    bob.lab.assert_figure(*CHALLENGED, *CHALLENGED)


# 3: Session establishment --------------------------------------------------------------------------------------------


@rfc("3665-3.1")
def test_session_establishment_between_two_user_agents() -> None:
    lab = Lab()
    lab.call(target=lab.bob.uri)
    lab.answer()
    lab.bob_hangs_up()
    lab.assert_figure(
        "INVITE: Alice > Bob",
        "180: Bob > Alice",
        "200: Bob > Alice",
        "ACK: Alice > Bob",
        "BYE: Bob > Alice",
        "200: Alice > Bob",
    )


TALK_THROUGH_TWO = (
    "200: Bob > P2 > P1 > Alice",
    "ACK: Alice > P1 > P2 > Bob",
    "BYE: Bob > P2 > P1 > Alice",
    "200: Alice > P1 > P2 > Bob",
)
REACH_THROUGH_TWO = ("INVITE: Alice > P1 > P2", "100: P1 > Alice", "INVITE: P2 > Bob", "100: P2 > P1")
CHALLENGED_BY_P1 = ("INVITE: Alice > P1", "407: P1 > Alice", "ACK: Alice > P1")


@rfc("3665-3.2")
def test_session_establishment_through_two_proxies() -> None:
    lab = Lab()
    lab.two_proxies(first_asks=True)
    lab.call()
    lab.answer()
    lab.bob_hangs_up()
    lab.assert_figure(*CHALLENGED_BY_P1, *REACH_THROUGH_TWO, "180: Bob > P2 > P1 > Alice", *TALK_THROUGH_TWO)


@rfc("3665-3.3")
def test_session_with_multiple_proxy_authentication() -> None:
    lab = Lab()
    lab.two_proxies(first_asks=True, second_asks=True)
    lab.bob.on_call = lambda call: call.answer(b"answer")
    lab.call()
    assert len(lab.bob.requests[0].request.whole_values("Proxy-Authorization")) == 2
    lab.bob_hangs_up()
    lab.assert_figure(
        *CHALLENGED_BY_P1,
        "INVITE: Alice > P1 > P2",
        "100: P1 > Alice",
        "407: P2 > P1",
        "ACK: P1 > P2",
        "407: P1 > Alice",
        "ACK: Alice > P1",
        *REACH_THROUGH_TWO,
        *TALK_THROUGH_TWO,
    )


@rfc("3665-3.4")
def test_successful_session_with_proxy_failure() -> None:
    lab = Lab()
    second = lab.server("P2", asks=True)
    second.knows(lab.bob)
    gone = lab.alice.flow(lab.named("P1", lab.network.new_address()))
    lab.alice.proxy = gone
    lab.call()
    lab.network.run(33)
    assert lab.heard == [Rejected(408, "No answer")]
    lab.call(by=second)
    lab.answer()
    lab.bob_hangs_up()
    lab.assert_figure(
        *["INVITE: Alice > P1"] * 7,
        "INVITE: Alice > P2",
        "407: P2 > Alice",
        "ACK: Alice > P2",
        "INVITE: Alice > P2 > Bob",
        "100: P2 > Alice",
        "180: Bob > P2 > Alice",
        "200: Bob > P2 > Alice",
        "ACK: Alice > P2 > Bob",
        "BYE: Bob > P2 > Alice",
        "200: Alice > P2 > Bob",
    )


@rfc("3665-3.5")
def test_session_through_a_gateway_that_a_preloaded_route_names() -> None:
    """What the gateway of the text does to media is no matter of SIP elements."""
    lab = Lab()
    second = lab.server("P2")
    second.knows(lab.bob)
    gateway = lab.server("ALG", "atlanta.example", next_hop=second.uri)
    lab.call(route=f"<{gateway.uri};lr>", by=gateway)
    assert lab.bob.requests[0].request.get("Route") is None
    lab.answer()
    lab.bob_hangs_up()
    lab.assert_figure(
        "INVITE: Alice > ALG > P2",
        "100: ALG > Alice",
        "INVITE: P2 > Bob",
        "100: P2 > ALG",
        "180: Bob > P2 > ALG > Alice",
        "200: Bob > P2 > ALG > Alice",
        "ACK: Alice > ALG > P2 > Bob",
        "BYE: Bob > P2 > ALG > Alice",
        "200: Alice > ALG > P2 > Bob",
    )


@rfc("3665-3.6")
def test_session_via_redirect_and_proxy_servers_with_sdp_in_ack() -> None:
    lab = Lab()
    proxy = lab.server("P3", "chicago.example")
    proxy.knows(lab.bob)
    redirect = lab.server("RS", moved_to="sip:bob@chicago.example")
    lab.call(sdp=b"", by=redirect)
    assert [event.status for event in lab.heard if isinstance(event, Rejected)] == [302]
    moved = next(event.response for event in lab.alice.events if isinstance(event, ResponseReceived))
    contact = moved.require("Contact").strip("<>")
    call = lab.call(sdp=b"", target=contact, by=proxy)
    lab.called.answer(b"offer of bob")
    lab.network.run(0.1)
    assert lab.heard[-1] == Answered(b"offer of bob")
    call.acknowledge(b"answer of alice")
    lab.network.run(1)
    assert lab.bob.told_by(lab.called) == [Acknowledged(b"answer of alice")]
    lab.bob_hangs_up()
    lab.assert_figure(
        "INVITE: Alice > RS",
        "302: RS > Alice",
        "ACK: Alice > RS",
        "INVITE: Alice > P3 > Bob",
        "100: P3 > Alice",
        "180: Bob > P3 > Alice",
        "200: Bob > P3 > Alice",
        "ACK: Alice > P3 > Bob",
        "BYE: Bob > P3 > Alice",
        "200: Alice > P3 > Bob",
    )


@rfc("3665-3.7")
def test_session_with_a_reinvite_from_a_new_address() -> None:
    """The proxy does not stay in the path, so that the two go on without it."""
    lab = Lab()
    proxy = lab.server("P2")
    proxy.records = False
    proxy.knows(lab.bob)
    call = lab.call(by=proxy)
    lab.answer()
    note = call.on_event

    def answer_at_once(event: SessionEvent) -> None:  # else there would be a 100
        note(event)
        call.accept_offer(b"answer of alice")

    call.on_event = answer_at_once
    lab.called.reinvite(b"another address")
    lab.network.run(1)
    assert lab.heard[-1] == Reoffered(b"another address")
    call.hang_up()
    lab.network.run(1)
    lab.assert_figure(
        "INVITE: Alice > P2 > Bob",
        "100: P2 > Alice",
        "180: Bob > P2 > Alice",
        "200: Bob > P2 > Alice",
        "ACK: Alice > Bob",
        "INVITE: Bob > Alice",
        "200: Alice > Bob",
        "ACK: Bob > Alice",
        "BYE: Alice > Bob",
        "200: Bob > Alice",
    )


@rfc("3665-3.8")
def test_unsuccessful_no_answer() -> None:
    lab = Lab()
    lab.two_proxies()
    lab.call().hang_up()
    lab.network.run(1)
    lab.assert_figure(
        *REACH_THROUGH_TWO,
        "180: Bob > P2 > P1 > Alice",
        "CANCEL: Alice > P1",
        "200: P1 > Alice",
        "CANCEL: P1 > P2",
        "200: P2 > P1",
        "CANCEL: P2 > Bob",
        "200: Bob > P2",
        "487: Bob > P2",
        "ACK: P2 > Bob",
        "487: P2 > P1",
        "ACK: P1 > P2",
        "487: P1 > Alice",
        "ACK: Alice > P1",
    )


def refused(status: int) -> tuple[str, ...]:
    """A final response comes back from Bob, acknowledged by each on the way."""
    return (
        f"{status}: Bob > P2", "ACK: P2 > Bob", f"{status}: P2 > P1", "ACK: P1 > P2", f"{status}: P1 > Alice",
        "ACK: Alice > P1",
    )  # fmt: skip


@rfc("3665-3.9")
def test_unsuccessful_busy() -> None:
    lab = Lab()
    lab.two_proxies()
    lab.bob.on_call = lambda call: call.reject(486)
    lab.call()
    assert [event.status for event in lab.heard if isinstance(event, Rejected)] == [486]
    lab.assert_figure(*REACH_THROUGH_TWO, *refused(486))


@rfc("3665-3.10")
def test_unsuccessful_no_response_from_user_agent() -> None:
    """The proxy gives up after six repetitions: with 408 (RFC 3261 section 16.8), where the figure has 480."""
    lab = Lab()
    lab.two_proxies()
    lab.network.detach(lab.bob)
    lab.call()
    lab.network.run(33)
    assert lab.heard == [Rejected(408, "Request Timeout")]
    lab.assert_figure(*REACH_THROUGH_TWO, *["INVITE: P2 > Bob"] * 6, *refused(408)[2:])


@rfc("3665-3.11")
def test_unsuccessful_temporarily_unavailable() -> None:
    lab = Lab()
    lab.two_proxies()
    lab.call()
    lab.called.reject(480)
    lab.network.run(1)
    lab.assert_figure(*REACH_THROUGH_TWO, "180: Bob > P2 > P1 > Alice", *refused(480))
