"""A whole node and its door: what strangers learn, who is turned away under load, and that nothing is left of it."""

from __future__ import annotations

from ipaddress import ip_network
from math import inf
from typing import Any

import pytest

from ims_core.errors import ServiceUnavailable
from ims_core.flow import Flow
from ims_core.messages.message import Response
from ims_core.messages.parser import parse_message
from ims_core.roles.emergency import Emergency, Plan
from ims_core.roles.ims import Ims
from ims_core.security.admission import ADJUST_EVERY, Admission
from ims_core.security.digest import answer_challenge
from ims_core.security.door import Door
from ims_core.security.guard import Guard, Rules
from tests.kit import DOMAIN, NODE_ADDRESS, PASSWORD, SERVICE_NUMBER, Network, Site, request_bytes

STRANGER = Flow("UDP", NODE_ADDRESS, ("198.51.100.77", 5060))
METHODS = ("REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE", "PUBLISH", "REFER", "NOTIFY", "INFO", "UPDATE",
           "BYE", "PRACK", "CANCEL", "FROBNICATE")  # fmt: skip


def new_site(**rules: object) -> Site:
    """A node whose door has a guard and an admission."""
    site = Site(Network())
    door = site.node.door
    door.guard = Guard(Rules(**rules), is_registered=site.location.has_flow)  # type: ignore[arg-type]
    door.admission = Admission()
    router = site.node._router
    assert isinstance(router, Ims)
    router.registrar.on_verdict = router.pcscf.on_verdict = door.guard.judged
    return site


def overloaded(site: Site) -> Door:
    """Let no new request be admitted any more."""
    door = site.node.door
    assert door.admission is not None
    door.admission.rate = 1e-9
    return door


def know_112(site: Site) -> None:
    """Let 112 be dialled for an emergency service to which there is no way."""
    emergency = Emergency(
        plan=lambda: Plan(numbers=frozenset(("112",))),
        serves=site.domains.serves,
        ways=lambda _called, _flow: (),
        trusts=lambda _: False,
        own_uri=lambda _: "",
        on_step=lambda _: None,
    )
    site.node.door.is_emergency = emergency.concerns


def exchange(site: Site, data: bytes, flow: Flow = STRANGER) -> list[Response]:
    site.node.receive(data, flow)
    sent = [parse_message(each) for _, each in site.node.data_to_send()]
    return [message for message in sent if isinstance(message, Response)]


def shape(response: Response, user: str) -> tuple[object, ...]:
    """What a response tells, without what differs for every request."""
    lines = [line for line in response.lines if not line.lower().startswith(("via:", "date:"))]
    told = []
    for line in lines:
        name, _, value = line.partition(":")
        for parameter in ("nonce=", ";tag="):
            before, found, after = value.partition(parameter)
            if found:
                value = before + found + after[len(after.split(",")[0]) :]
        told.append((name, value.replace(user, "USER")))
    return response.status, response.reason, tuple(told)


@pytest.mark.parametrize("with_tag", [False, True], ids=["outside dialogs", "within"])
@pytest.mark.parametrize("method", METHODS)
def test_strangers_get_the_same_answer_for_known_present_and_unknown_users(method: str, with_tag: bool) -> None:
    answers = set()
    for user in ("alice", "carol", "nobody", SERVICE_NUMBER):
        site = new_site()
        site.phone("alice")
        to = f"<sip:{user}@{DOMAIN}>"
        uri = f"sip:{DOMAIN}" if method == "REGISTER" else f"sip:{user}@{DOMAIN}"
        data = request_bytes(method, uri, to=f"{to};tag=x" if with_tag else to, from_=f"{to};tag=a1")
        found = exchange(site, data)
        answers.add(tuple(shape(response, user) for response in found))
    assert len(answers) == 1, answers


@pytest.mark.rfc("3261-22.4")
@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE", "MESSAGE"])
def test_wrong_passwords_of_known_and_unknown_users_get_the_same_answer(method: str) -> None:
    answers = set()
    for user in ("alice", "nobody"):
        site = new_site()
        name = "Authorization" if method == "REGISTER" else "Proxy-Authorization"
        uri = f"sip:{DOMAIN}"
        credentials = f'Digest username="{user}", realm="{DOMAIN}", nonce="1", uri="{uri}", response="{"0" * 32}"'
        to = f"<sip:{user}@{DOMAIN}>"
        target = uri if method == "REGISTER" else f"sip:{user}@{DOMAIN}"
        (response,) = exchange(
            site, request_bytes(method, target, to=to, from_=f"{to};tag=a1", headers=[(name, credentials)])
        )
        answers.add(shape(response, user))
    assert len(answers) == 1, answers


def test_what_is_dropped_at_the_door_leaves_no_state() -> None:
    site = new_site(requests_per_second=0.001, burst=1)
    found = [
        exchange(site, request_bytes("OPTIONS", f"sip:{DOMAIN}", branch=f"z9hG4bK{number}", call_id=f"{number}"))
        for number in range(50)
    ]
    assert [len(responses) for responses in found] == [1] + 49 * [0]
    assert sum(site.endpoint.transactions().values()) == 1
    assert site.node.door.guard is not None
    assert site.node.door.guard.dropped == {"rate": 49}


def test_a_banned_source_is_not_even_parsed() -> None:
    site = new_site()
    guard = site.node.door.guard
    assert guard is not None
    guard.ban("198.51.100.77", site.network.now)
    assert exchange(site, b"garbage") == []
    assert not site.endpoint.dropped
    assert guard.dropped == {"banned": 1}


@pytest.mark.rfc("3261-21.5.4", "3261-8.2.7")
def test_what_load_turns_away_gets_503_without_a_transaction_and_its_ack_ends_here() -> None:
    site = new_site()
    door = overloaded(site)
    door.retry_after = lambda request: 90.0
    data = request_bytes("INVITE", f"sip:{SERVICE_NUMBER}@{DOMAIN}")
    (first,) = exchange(site, data)
    (again,) = exchange(site, data)
    assert (first.status, first.get("Retry-After")) == (503, "99"), "the expected wait, and a tenth of it more"
    assert first.to.tag == again.to.tag, "the same request, the same tag"
    assert site.endpoint.transactions() == {"client": 0, "server": 0}
    assert door.rejected == {"INVITE": 2}
    ack = request_bytes("ACK", f"sip:{SERVICE_NUMBER}@{DOMAIN}", to=f"<sip:bob@ims.example>;tag={first.to.tag}")
    assert exchange(site, ack) == []
    assert not site.endpoint.dropped
    assert site.endpoint.next_deadline() is None


def test_when_nobody_knows_the_wait_it_is_a_few_seconds() -> None:
    site = new_site()
    overloaded(site)
    (response,) = exchange(site, request_bytes("INVITE"))
    assert 1 <= int(response.get("Retry-After") or "0") <= 10


def test_what_must_pass_passes_under_any_load() -> None:
    site = new_site()
    alice = site.phone("alice")
    leg = alice.call(f"sip:{SERVICE_NUMBER}@{DOMAIN}", sdp=b"offer")
    site.network.run(1)
    door = overloaded(site)
    leg.hang_up()
    site.network.run(1)
    assert alice.statuses[-1] == 200, "what belongs to a call under way"
    alice.register()
    site.network.run(1)
    assert alice.statuses[-1] == 200, "a registration that is renewed"
    assert not door.rejected
    alice.call(f"sip:{SERVICE_NUMBER}@{DOMAIN}", sdp=b"offer")
    site.network.run(1)
    assert door.rejected["INVITE"]


@pytest.mark.rfc("4412-3.1", "5031-4.2")
@pytest.mark.parametrize(
    ("uri", "headers", "passes"),
    [
        ("sip:bob@ims.example", [], False),
        ("urn:service:sos", [], True),
        ("URN:service:sos.fire", [], True),
        ("urn:service:sosimilar", [], False),
        ("sip:112@ims.example", [], True),
        ("sip:113@ims.example", [], False),
        ("sip:bob@ims.example", [("Resource-Priority", "ets.0")], True),
        ("sip:bob@ims.example", [("Resource-Priority", "ets.4")], False),
        ("sip:bob@ims.example", [("Resource-Priority", "dsn.routine, WPS.2")], True),
        ("sip:bob@ims.example", [("Resource-Priority", "dsn.routine")], False),
        ("sip:bob@ims.example", [("Resource-Priority", "invented.0")], False),
    ],
)
def test_emergencies_and_priority_pass(uri: str, headers: list[tuple[str, str]], passes: bool) -> None:
    site = new_site()
    overloaded(site)
    know_112(site)
    found = exchange(site, request_bytes("INVITE", uri, headers=headers))
    assert (503 not in [response.status for response in found]) is passes


@pytest.mark.rfc("4412-3.1")
@pytest.mark.parametrize(("priority", "passes"), [("ets.0", True), ("ets.4", False)])
def test_what_has_priority_passes_even_if_overload_begins_with_it(priority: str, passes: bool) -> None:
    site = new_site()
    admission = site.node.door.admission
    assert admission is not None
    admission.observe(1.0, site.network.now)
    for _ in range(ADJUST_EVERY - 1):
        admission.admit(site.network.now)
    site.network.run(1)
    assert admission.rate == inf
    found = exchange(site, request_bytes(headers=[("Resource-Priority", priority)]))
    assert admission.is_limiting
    assert (503 not in [response.status for response in found]) is passes


@pytest.mark.rfc("5031-4.2")
@pytest.mark.parametrize("flow", [STRANGER, STRANGER._replace(transport="TCP", connection=7)], ids=["UDP", "TCP"])
@pytest.mark.parametrize("uri", ["urn:service:sos", "URN:Service:SOS.ambulance", "sip:112@ims.example"])
def test_emergencies_are_never_beyond_what_a_source_may_send(uri: str, flow: Flow) -> None:
    site = new_site(requests_per_second=1e-9, burst=1, unanswered_challenges=10)
    know_112(site)
    guard = site.node.door.guard
    assert guard is not None
    exchange(site, request_bytes("OPTIONS", branch="z9hG4bKlast"), flow)
    headers = [("User-Agent", "friendly-scanner")]
    for number in range(9):
        data = request_bytes("INVITE", uri, branch=f"z9hG4bK{number}", call_id=f"{number}", headers=headers)
        (response,) = exchange(site, data, flow)
        assert response.status == (416 if uri[:3].lower() == "urn" else 407)
    assert not guard.dropped
    assert exchange(site, request_bytes("OPTIONS", branch="z9hG4bKbeyond"), flow) == []


@pytest.mark.rfc("5031-4.2", "3261-16.3")
def test_nobody_is_asked_for_credentials_or_banned_for_an_emergency() -> None:
    site = new_site(unanswered_challenges=10)
    guard, flow = site.node.door.guard, STRANGER._replace(transport="TCP", connection=7)
    assert guard is not None
    for number in range(100):
        data = request_bytes("INVITE", "urn:service:sos", branch=f"z9hG4bK{number}", call_id=f"{number}")
        assert [response.status for response in exchange(site, data, flow)] == [416]
    assert not guard.bans(site.network.now)
    assert site.endpoint.transactions() == {"client": 0, "server": 0}


def test_the_end_of_service_turns_calls_away_and_nothing_else() -> None:
    site = new_site()
    site.node.door.closing = ServiceUnavailable(headers=(("Retry-After", "12"),))
    (response,) = exchange(site, request_bytes("INVITE"))
    assert (response.status, response.get("Retry-After")) == (503, "12")
    (response,) = exchange(site, request_bytes("OPTIONS", branch="z9hG4bK2"))
    assert response.status == 407
    assert not site.node.door.rejected, "that is not load"
    (response,) = exchange(site, request_bytes("INVITE", "urn:service:sos", branch="z9hG4bK3", call_id="3"))
    assert response.status == 416, "an emergency comes in; that there is no way to help here is another matter"


def test_how_long_messages_wait_and_what_servers_behind_say_is_heard() -> None:
    site = new_site()
    door, admission = site.node.door, site.node.door.admission
    assert admission is not None
    door.waited(0.8)
    assert admission.latency == pytest.approx(0.1)
    door.complained(STRANGER)
    assert admission._complaints == 1
    alice = site.phone("alice")
    door.complained(Flow("UDP", NODE_ADDRESS, alice.address))
    assert admission._complaints == 1, "a phone that cannot take calls is no overload"
    assert admission.rate == inf


# Connections -------------------------------------------------------------------------------------------------------


def by_tcp(port: int = 5060, number: int = 7) -> Flow:
    return Flow("TCP", NODE_ADDRESS, ("198.51.100.77", port), number)


def signed(site: Site, method: str, uri: str, flow: Flow, **fields: str) -> bytes:
    """A request with the right credentials of alice, once a challenge has been fetched."""
    (challenged,) = exchange(site, request_bytes(method, uri, branch="z9hG4bKfirst", **fields), flow)  # type: ignore[arg-type]
    name, asked = (
        ("Authorization", "WWW-Authenticate") if method == "REGISTER" else ("Proxy-Authorization", "Proxy-Authenticate")
    )
    answer = answer_challenge(challenged.require(asked), method, uri, "alice", PASSWORD, cnonce="c0ffee")
    return request_bytes(method, uri, branch="z9hG4bKsecond", cseq=2, headers=[(name, answer)], **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        request_bytes("OPTIONS", f"sip:{DOMAIN}"),
        request_bytes("OPTIONS", f"sip:{SERVICE_NUMBER}@{DOMAIN}").replace(b"ards: 70", b"ards: 0"),
        request_bytes("REGISTER", f"sip:{DOMAIN}", to=f"<sip:alice@{DOMAIN}>"),
        request_bytes("INVITE"),
        request_bytes("BYE", to=f"<sip:bob@{DOMAIN}>;tag=1"),
        request_bytes("CANCEL"),
        request_bytes("ACK"),
        b"SIP/2.0 200 OK\r\n\r\n",
    ],
)
def test_whatever_strangers_say_they_remain_strangers(data: bytes) -> None:
    site = new_site()
    exchange(site, data, by_tcp())
    assert not site.node.door.knows(by_tcp())


def test_who_registers_by_a_connection_is_known_and_needed_until_it_is_gone() -> None:
    site = new_site()
    door, flow = site.node.door, by_tcp()
    contact, to = "<sip:alice@198.51.100.77:5060;transport=tcp>", f"<sip:alice@{DOMAIN}>"
    (answer,) = exchange(site, signed(site, "REGISTER", f"sip:{DOMAIN}", flow, to=to, contact=contact), flow)
    assert answer.status == 200
    assert (door.knows(flow), door.needs(flow)) == (True, True)
    assert not door.knows(by_tcp(5062, 8))
    site.node.connection_failed(flow)
    assert (door.knows(flow), door.needs(flow)) == (False, False)


def test_who_calls_by_a_connection_is_known_and_busy_as_long_as_the_call_lasts() -> None:
    site = new_site()
    door, flow, desk = site.node.door, by_tcp(), f"sip:{SERVICE_NUMBER}@{DOMAIN}"
    (_, answer) = exchange(site, signed(site, "INVITE", desk, flow), flow)
    assert answer.status == 200
    assert (door.knows(flow), door.needs(flow), door.busy()) == (True, False, {7})
    bye = request_bytes("BYE", desk, to=answer.require("To"), cseq=3, branch="z9hG4bKbye")
    assert [response.status for response in exchange(site, bye, flow)] == [200]
    assert (door.knows(flow), door.busy()) == (True, set())


def test_a_call_that_is_passed_on_keeps_its_connection_busy() -> None:
    site = new_site()
    site.phone("bob")
    exchange(site, signed(site, "INVITE", f"sip:bob@{DOMAIN}", by_tcp()), by_tcp())
    assert site.node.door.busy() == {7}


def test_trusted_hosts_are_no_strangers() -> None:
    site = new_site(allow=(ip_network("198.51.100.0/28"),))
    allowed = by_tcp()._replace(remote=("198.51.100.9", 40_000))
    assert site.node.door.needs(allowed)
    assert not site.node.door.knows(by_tcp())


# What strangers leave behind ---------------------------------------------------------------------------------------


STALE = f'Digest username="alice", realm="{DOMAIN}", nonce="{"0" * 49}", uri="sip:{DOMAIN}", response="{"0" * 32}"'


@pytest.mark.rfc("3261-8.2.7", "3261-22.1")
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 407),
        ({"headers": [("Proxy-Authorization", STALE)]}, 407),
        ({"to": f"<sip:bob@{DOMAIN}>;tag=none"}, 481),
        ({"to": f"<sip:bob@{DOMAIN}>;tag=none", "headers": [("Route", "<sip:192.0.2.1;lr>")]}, 403),
        ({"uri": "fax:+1"}, 416),
        ({"uri": "sip:bob@"}, 400),
        ({"headers": [("Proxy-Require", "telepathy")]}, 420),
        ({}, 483),
    ],
)
def test_an_invite_of_a_stranger_is_refused_once_with_nothing_kept(fields: dict[str, Any], status: int) -> None:
    site = new_site()
    data = request_bytes("INVITE", **fields).replace(b"ards: 70", b"ards: 0" if status == 483 else b"ards: 70")
    first, again = exchange(site, data)[-1], exchange(site, data)[-1]
    assert (first.status, again.status) == (status, status)
    assert first.to.tag == again.to.tag, "the same request, the same tag"
    assert site.endpoint.transactions() == {"client": 0, "server": 0}
    assert site.endpoint.next_deadline() is None, "nobody is sent it again, whoever the request said to be"
    assert not site.endpoint._heard
    dropped = site.endpoint.dropped.total()
    ack = request_bytes("ACK", fields.get("uri", "sip:bob@192.0.2.1"), to=first.require("To"))
    assert exchange(site, ack) == []
    assert site.endpoint.dropped.total() <= dropped + (";tag=none" in fields.get("to", ""))
    assert site.endpoint.next_deadline() is None


@pytest.mark.rfc("3261-8.2.7", "3261-22.2")
@pytest.mark.parametrize("header", [[], [("Authorization", STALE)]], ids=["no credentials", "outdated ones"])
def test_a_register_is_challenged_with_nothing_kept(header: list[tuple[str, str]]) -> None:
    site = new_site()
    data = request_bytes("REGISTER", f"sip:{DOMAIN}", to=f"<sip:alice@{DOMAIN}>", headers=header)
    (first,), (again,) = exchange(site, data), exchange(site, data)
    assert (first.status, again.status, first.to.tag) == (401, 401, again.to.tag)
    assert site.endpoint.transactions() == {"client": 0, "server": 0}
    assert site.endpoint.next_deadline() is None


@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_a_wrong_password_sent_twice_by_the_network_is_one_attempt(method: str) -> None:
    site = new_site(wrong_credentials=2)
    guard = site.node.door.guard
    assert guard is not None
    to, uri = f"<sip:alice@{DOMAIN}>", f"sip:{DOMAIN}"
    asked = "WWW-Authenticate" if method == "REGISTER" else "Proxy-Authenticate"
    (challenged,) = exchange(site, request_bytes(method, uri, to=to))
    answer = answer_challenge(challenged.require(asked), method, uri, "alice", "wrong", cnonce="c0ffee")
    name = "Authorization" if method == "REGISTER" else "Proxy-Authorization"
    wrong = request_bytes(method, uri, to=to, cseq=2, branch="z9hG4bKsecond", headers=[(name, answer)])
    for _ in range(5):
        (response,) = exchange(site, wrong)
        assert response.get(asked)
    assert not guard.bans(0.0)


def test_garbage_bans_nobody() -> None:
    site = new_site()
    for number in range(2000):
        exchange(site, b"\x00garbage %d" % number)
        site.node.receive(request_bytes("INVITE", branch=f"z9hG4bK{number}", without=["Call-ID"]), STRANGER)
        site.node.data_to_send()
    assert site.node.door.guard is not None
    assert not site.node.door.guard.bans(site.network.now)
    assert sum(site.endpoint.transactions().values()) == 0
