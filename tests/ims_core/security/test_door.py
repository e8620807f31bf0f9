"""A whole node and its door: what strangers learn, who is turned away under load, and that nothing is left of it."""

from __future__ import annotations

from math import inf

import pytest

from ims_core.errors import ServiceUnavailable
from ims_core.flow import Flow
from ims_core.messages.message import Response
from ims_core.messages.parser import parse_message
from ims_core.roles.ims import Ims
from ims_core.security.admission import Admission
from ims_core.security.door import Door
from ims_core.security.guard import Guard, Rules
from tests.kit import DOMAIN, NODE_ADDRESS, SERVICE_NUMBER, Network, Site, request_bytes

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
    door.admission.observe = lambda age, now: None  # type: ignore[method-assign]
    return door


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
    door = overloaded(site)
    door._emergency_numbers = frozenset(("112",))
    found = exchange(site, request_bytes("INVITE", uri, headers=headers))
    assert (503 not in [response.status for response in found]) is passes


def test_the_end_of_service_turns_calls_away_and_nothing_else() -> None:
    site = new_site()
    site.node.door.closing = ServiceUnavailable(headers=(("Retry-After", "12"),))
    (response,) = exchange(site, request_bytes("INVITE"))
    assert (response.status, response.get("Retry-After")) == (503, "12")
    (response,) = exchange(site, request_bytes("OPTIONS", branch="z9hG4bK2"))
    assert response.status == 407
    assert not site.node.door.rejected, "that is not load"


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


def test_garbage_bans_nobody() -> None:
    site = new_site()
    for number in range(2000):
        exchange(site, b"\x00garbage %d" % number)
        site.node.receive(request_bytes("INVITE", branch=f"z9hG4bK{number}", without=["Call-ID"]), STRANGER)
        site.node.data_to_send()
    assert site.node.door.guard is not None
    assert not site.node.door.guard.bans(site.network.now)
    assert sum(site.endpoint.transactions().values()) == 0
