"""A registration of ours with a registrar: digest, refreshes, 423, failures and the end (RFC 3261 section 10.2)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from ims_core.flow import format_address
from ims_core.messages.message import Request, Response
from ims_core.security.credentials import Challenged, Credentials
from ims_core.security.digest import DigestAuthenticator, Outcome
from ims_core.transactions.endpoint import Event, RequestReceived
from ims_core.trunks.registration import Account, Registration, State
from tests.kit import DOMAIN, NODE_ADDRESS, PASSWORD, Network, Party, Phone, Site

CONTACT = "tsecret"


class Line:
    """A user agent that registers, and what it says of that."""

    def __init__(
        self, network: Network, *servers: str, password: str = PASSWORD, expires: int = 3600, chance: float = 0.0
    ) -> None:
        self.phone = Phone(network, "us")
        self.told: list[tuple[State, str]] = []
        account = Account(f"sip:alice@{DOMAIN}", DOMAIN, servers, Credentials("alice", password), CONTACT, expires)
        self.registration = Registration(
            self.phone.ua, account, lambda it: self.told.append((it.state, it.reason)), chance=lambda: chance
        )


def uri(address: tuple[str, int], tail: str = "") -> str:
    return f"sip:{format_address(address)}{tail}"


def registrar(network: Network, answer: Callable[[Request], tuple[int, tuple[tuple[str, str], ...]]]) -> Party:
    """A registrar that answers as it is told."""
    party = Party(network, "registrar")

    def react(event: Event) -> None:
        if isinstance(event, RequestReceived):
            status, headers = answer(event.request)
            party.endpoint.reply(event.transaction, status, headers=headers)

    party.react = react
    return party


def asked(network: Network) -> list[Request]:
    """The REGISTER requests that were sent, retransmissions left out."""
    found: dict[str, Request] = {}
    for packet in network.packets("REGISTER"):
        message = packet.message
        assert isinstance(message, Request)
        found.setdefault(message.via.branch, message)
    return list(found.values())


@pytest.mark.rfc("3261-10.2", "3261-22.2", "3261-10.2.2")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_it_registers_with_digest_refreshes_and_takes_it_back(transport: str) -> None:
    network = Network()
    site = Site(network)
    line = Line(network, uri(NODE_ADDRESS, "" if transport == "UDP" else ";transport=tcp"))
    line.registration.start()
    network.run(1.0)
    assert line.registration.state is State.REGISTERED
    (binding,) = site.location.bindings(f"sip:alice@{DOMAIN}")
    assert binding.contact.startswith(f"sip:{CONTACT}@")
    assert ("transport=tcp" in binding.contact) is (transport == "TCP")
    first, second = asked(network)
    assert "Authorization" not in first
    assert "Authorization" in second
    assert first.call_id == second.call_id
    assert [request.cseq.number for request in (first, second)] == [1, 2]
    network.run(3010.0)  # refreshed 600 seconds before the end, with the nonce that is known, which is stale by then
    assert line.registration.state is State.REGISTERED
    assert line.registration.expires_in > 3500
    assert [request.cseq.number for request in asked(network)] == [1, 2, 3, 4]
    assert all(request.call_id == first.call_id for request in asked(network))
    line.registration.stop()
    network.run(1.0)
    assert site.location.bindings(f"sip:alice@{DOMAIN}") == ()
    assert asked(network)[-1].get("Expires") == "0"
    assert line.registration.is_settled
    assert line.told == [(State.TRYING, ""), (State.REGISTERED, ""), (State.UNREGISTERED, "")]
    network.run(40.0)
    assert line.phone.endpoint.transactions() == {"client": 0, "server": 0}


@pytest.mark.rfc("TS24.229-5.1.1.4.1")
@pytest.mark.parametrize(("granted", "after"), [(3600, 3000), (1201, 601), (1200, 600), (60, 30)])
def test_when_it_is_refreshed(granted: int, after: int) -> None:
    network = Network()
    party = registrar(network, lambda request: (200, (("Expires", str(granted)),)))
    line = Line(network, uri(party.address))
    line.registration.start()
    network.run(after - 1.0)
    assert len(asked(network)) == 1
    network.run(2.0)
    assert len(asked(network)) == 2


@pytest.mark.rfc("3261-10.2.4")
def test_what_our_contact_says_counts_more_than_expires() -> None:
    network = Network()

    def grant(request: Request) -> tuple[int, tuple[tuple[str, str], ...]]:
        other = ("Contact", "<sip:other@192.0.2.9>;expires=9999")
        return 200, (other, ("Contact", f"{request.require('Contact')};expires=120"), ("Expires", "3600"))

    line = Line(network, uri(registrar(network, grant).address))
    line.registration.start()
    network.run(1.0)
    assert 118 < line.registration.expires_in <= 120


@pytest.mark.rfc("3261-21.4.17", "3261-10.2.8")
def test_it_asks_for_as_long_as_the_registrar_wants() -> None:
    network = Network()

    def brief(request: Request) -> tuple[int, tuple[tuple[str, str], ...]]:
        if int(request.require("Expires")) < 300:
            return 423, (("Min-Expires", "300"),)
        return 200, (("Expires", request.require("Expires")),)

    line = Line(network, uri(registrar(network, brief).address), expires=60)
    line.registration.start()
    network.run(1.0)
    assert [request.get("Expires") for request in asked(network)] == ["60", "300"]
    assert line.registration.state is State.REGISTERED


@pytest.mark.parametrize("wanted", ["", "10", "99999999", "x"])
def test_a_423_that_makes_no_sense_is_a_failure(wanted: str) -> None:
    network = Network()
    line = Line(network, uri(registrar(network, lambda _: (423, (("Min-Expires", wanted),))).address), expires=60)
    line.registration.start()
    network.run(1.0)
    assert len(asked(network)) == 1
    assert line.told[-1] == (State.TRYING, "423 Interval Too Brief")


@pytest.mark.rfc("3261-22.2")
def test_a_wrong_password_is_tried_again_only_after_a_long_time() -> None:
    network = Network()
    Site(network)
    line = Line(network, uri(NODE_ADDRESS), password="wrong")
    line.registration.start()
    network.run(1790.0)
    assert len(asked(network)) == 2
    assert line.told == [(State.TRYING, ""), (State.REFUSED, "401 Unauthorized")]
    network.run(20.0)
    assert len(asked(network)) == 4  # signed with what was known, and once more with the fresh nonce
    assert len(line.told) == 2, "told once"


@pytest.mark.rfc("5626-4.5")
def test_pauses_grow_up_to_half_an_hour() -> None:
    network = Network()
    line = Line(network, uri(registrar(network, lambda _: (500, ())).address), chance=1.0)
    line.registration.start()
    network.run(9000.0)
    times = [round(packet.at) for packet in network.packets("REGISTER")]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == [30, 60, 120, 240, 480, 960, 1800, 1800, 1800]


@pytest.mark.rfc("5626-4.5")
def test_pauses_are_spread_over_the_upper_half() -> None:
    network = Network()
    line = Line(network, uri(registrar(network, lambda _: (500, ())).address), chance=0.0)
    line.registration.start()
    network.run(50.0)
    assert [round(packet.at) for packet in network.packets("REGISTER")] == [0, 15, 45]


def test_a_registrar_that_asks_for_rest_gets_it() -> None:
    network = Network()
    line = Line(network, uri(registrar(network, lambda _: (503, (("Retry-After", "400 (maintenance)"),))).address))
    line.registration.start()
    network.run(399.0)
    assert len(asked(network)) == 1
    network.run(2.0)
    assert len(asked(network)) == 2


@pytest.mark.rfc("3263-4.3")
def test_the_next_server_is_tried_at_once() -> None:
    network = Network()
    refusing, serving = registrar(network, lambda _: (500, ())), registrar(network, lambda _: (200, ()))
    silent = network.new_address()
    line = Line(network, uri(refusing.address), uri(silent), uri(serving.address))
    line.registration.start()
    network.run(40.0)
    assert line.registration.state is State.REGISTERED
    assert line.registration.flow is not None
    assert line.registration.flow.remote == serving.address


def test_it_counts_until_it_expires_while_a_refresh_fails() -> None:
    network = Network()
    answers = [(200, (("Expires", "100"),))]
    party = registrar(network, lambda _: answers.pop() if answers else (500, ()))
    line = Line(network, uri(party.address))
    line.registration.start()
    network.run(60.0)
    assert line.told[-1] == (State.REGISTERED, "500 Server Internal Error")
    network.run(45.0)
    assert line.registration.state is State.TRYING
    answers.append((200, (("Expires", "100"),)))
    network.run(600.0)
    assert (State.REGISTERED, "") in line.told[2:]


@pytest.mark.rfc("3608-5", "3327-5.1")
def test_a_service_route_is_kept() -> None:
    network = Network()
    party = registrar(network, lambda _: (200, (("Service-Route", "<sip:orig@p1.example;lr>, <sip:p2.example;lr>"),)))
    line = Line(network, uri(party.address))
    line.registration.start()
    network.run(1.0)
    assert line.registration.service_route == ("<sip:orig@p1.example;lr>", "<sip:p2.example;lr>")
    assert asked(network)[0].get("Supported") == "path"


class Realm:
    """A realm that challenges, and a response with its challenge."""

    def __init__(self, name: str, *, proxy: bool = False, algorithms: tuple[str, ...] = ("MD5",)) -> None:
        self.authenticator = DigestAuthenticator(name, {"us": "sesame"}.get, b"0123456789abcdef", algorithms=algorithms)
        self.header = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
        self.status = 407 if proxy else 401
        self.answer = "Proxy-Authorization" if proxy else "Authorization"

    def challenge(self, *, stale: bool = False) -> Response:
        response = Response(self.status, "Who are you")
        for value in self.authenticator.challenges(0.0, stale=stale):
            response.add(self.header, value)
        return response

    def verdict(self, request: Request) -> Outcome:
        return self.authenticator.verify(
            request.method, request.uri, request.whole_values(self.answer), 0.0, body=request.body
        ).outcome


def challenged(password: str = "sesame") -> Challenged:
    return Challenged(Credentials("us", password), lambda: "fresh")


@pytest.mark.rfc("3261-22.2", "3261-22.3", "8760-2.4")
def test_each_realm_is_answered_for_itself() -> None:
    server, proxy = Realm("server"), Realm("proxy", proxy=True, algorithms=("SHA-256", "MD5"))
    request, us = Request("INVITE", "sip:+8610@carrier.example"), challenged()
    assert us.answer(request, proxy.challenge())
    assert proxy.verdict(request) is Outcome.ACCEPTED
    assert us.answer(request, server.challenge())
    assert len(request.whole_values("Proxy-Authorization")) == len(request.whole_values("Authorization")) == 1
    assert (proxy.verdict(request), server.verdict(request)) == (Outcome.ACCEPTED, Outcome.ACCEPTED)
    assert "SHA-256" in (request.get("Proxy-Authorization") or "")
    us.begin()
    later = Request("BYE", "sip:x@carrier.example")
    us.sign(later)  # with the next count of the same nonces
    assert (proxy.verdict(later), server.verdict(later)) == (Outcome.ACCEPTED, Outcome.ACCEPTED)


@pytest.mark.rfc("3261-22.2", "7616-3.3")
def test_only_a_stale_nonce_is_worth_another_try() -> None:
    realm, us = Realm("server"), challenged()
    request = Request("INVITE", "sip:+8610@carrier.example")
    assert us.answer(request, realm.challenge())
    assert not us.answer(request, realm.challenge())
    us.begin()
    assert us.answer(request, realm.challenge())
    assert us.answer(request, realm.challenge(stale=True))
    assert realm.verdict(request) is Outcome.ACCEPTED
    for _ in range(9):
        more = us.answer(request, realm.challenge(stale=True))
    assert not more, "it comes to an end"


@pytest.mark.parametrize(
    "challenge", ["", "Basic realm=x", "Digest realm=x", 'Digest realm="x", nonce="1", algorithm=Y']
)
def test_what_cannot_be_answered_is_not(challenge: str) -> None:
    response = Response(401, "Who are you")
    if challenge:
        response.add("WWW-Authenticate", challenge)
    assert not challenged().answer(Request("INVITE", "sip:carrier.example"), response)
