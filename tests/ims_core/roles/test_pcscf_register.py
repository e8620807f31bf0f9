"""REGISTER through a P-CSCF: what it adds and takes off, and what it notes of the answer (TS 24.229 section 5.2.2)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ims_core.flow import Flow
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.uri import parse_uri
from ims_core.registrar.bindings_store import BindingsStore
from ims_core.registrar.location import BindingAdded
from ims_core.roles.handsets import Handsets
from ims_core.security.digest import Outcome
from tests.kit.edge import HOME, IDENTITIES, NUMBER, PCSCF, PUBLIC, Edge, Handset

rfc = pytest.mark.rfc
AUTHORIZATION = (
    f'Digest username="001010000000001@{HOME}", realm="{HOME}", nonce="{{}}", uri="sip:{HOME}", response="{{}}"{{}}'
)


@rfc("TS24.229-5.2.2.1", "3327-5.1", "7315-4.3")
def test_a_register_goes_on_with_path_visited_network_and_charging_vector() -> None:
    edge = Edge()
    handset = Handset(edge.network, "ue1")
    headers = [("P-Visited-Network-ID", "mine"), ("P-Charging-Vector", "icid-value=mine"), ("Supported", "path")]
    edge.register(handset, headers=headers)
    request = edge.at_core()
    assert request.uri == f"sip:{HOME}"
    assert request.values("Path") == [f"<sip:{edge.tokens.make(handset_flow(edge, handset))}@192.0.2.1:5060;lr>"]
    assert request.values("Require") == ["path"]
    assert request.whole_values("P-Visited-Network-ID") == ['"visited.example"']
    (vector,) = request.whole_values("P-Charging-Vector")
    found = re.fullmatch(r'icid-value="?([0-9a-f]{16})@192\.0\.2\.1"?;icid-generated-at=192\.0\.2\.1;(.*)', vector)
    assert found is not None
    assert found[2] == 'orig-ioi="Type 1visited.example"'
    assert handset.last.status == 200
    assert handset.last.values("P-Associated-URI") == list(IDENTITIES)
    edge.register(handset)
    assert edge.at_core().whole_values("P-Charging-Vector") != [vector], "each REGISTER has its own"


def handset_flow(edge: Edge, handset: Handset) -> Flow:
    return next(binding.flow for binding in edge.location if binding.flow and binding.uri.user == handset.name)


@rfc("5626-5.1", "5626-5.2")
def test_who_registers_for_a_flow_is_told_that_this_is_his_edge() -> None:
    edge = Edge()
    handset = Handset(edge.network, "ue1", "TCP")
    contact = f'{handset.contact};+sip.instance="<urn:uuid:1>";reg-id=1;expires=600'
    edge.register(handset, contact=contact)
    (path,) = edge.at_core().values("Path")
    assert parse_name_addr(path).uri.params.keys() == {"lr", "ob"}
    flow = edge.tokens.read(parse_name_addr(path).uri.user)
    assert flow is not None
    assert (flow.transport, flow.remote, flow.connection) == ("TCP", handset.address, 1)


@rfc("5626-5.4")
@pytest.mark.parametrize(("told", "timer"), [([], "120"), ([("Flow-Timer", "30")], "30")])
def test_the_edge_says_how_soon_it_wants_to_hear_from_who_keeps_its_flow(
    told: list[tuple[str, str]], timer: str
) -> None:
    edge = Edge()
    handset = Handset(edge.network, "ue1", "TCP")
    contact = f'{handset.contact};+sip.instance="<urn:uuid:1>";reg-id=1'
    handset.ask("REGISTER", f"sip:{HOME}", to=f"<{PUBLIC}>", contact=contact)
    edge.answer(200, headers=[("Contact", f"{contact};expires=60"), ("Require", "outbound"), *told])
    assert handset.last.values("Flow-Timer") == [timer]


@rfc("5626-5.2")
def test_a_token_of_somebody_else_names_no_flow() -> None:
    edge = Edge()
    edge.handset()
    token = edge.tokens.make(handset_flow(edge, Handset(edge.network, "ue1")))
    for wrong in (token[:-1], "A" + token[1:], "", "alice", "ü", "AAAA"):
        assert edge.tokens.read(wrong) is None


@rfc("TS24.229-5.2.2.1")
def test_what_the_200_tells_is_noted() -> None:
    edge = Edge()
    handset = edge.handset()
    (binding,) = edge.location
    assert binding.aor == PUBLIC
    known = edge.handsets.sender(handset_flow(edge, handset), [parse_uri(f"tel:{NUMBER}")])
    assert known is not None
    assert known.identities.values == IDENTITIES
    assert known.service_route == (edge.service_route,)


@rfc("TS24.229-5.2.2.1", "TS24.229-5.2.5.1")
@pytest.mark.parametrize("contact", ["", "*"])
def test_a_deregistration_is_noted(contact: str) -> None:
    edge = Edge()
    handset = edge.handset()
    edge.register(handset, expires=0, contact=contact, headers=[("Expires", "0")] if contact else ())
    assert len(edge.location) == len(edge.handsets) == 0
    assert not edge.handsets._aors


@pytest.mark.parametrize("expires", [3600, 0])
def test_nobody_takes_the_contact_of_who_shares_an_identity_for_his(expires: int) -> None:
    edge, shared = Edge(), f"<sip:office@{HOME}>"
    carol, dave = (Handset(edge.network, name) for name in ("carol", "dave"))
    contact = "<sip:office@192.168.1.10>"  # as phones behind two routers have it
    edge.register(carol, identities=[shared], contact=f"{contact};expires=3600", headers=(as_user("carol"),))
    edge.register(dave, identities=[shared], contact=f"{contact};expires={expires}", headers=(as_user("dave"),))
    (theirs,) = (binding for binding in edge.location if binding.private == f"carol@{HOME}")
    assert (theirs.flow is not None and theirs.flow.remote) == carol.address
    assert len(edge.location) == (2 if expires else 1)


@rfc("TS24.229-5.4.1.4")
def test_who_leaves_takes_nobody_along_with_whom_he_shares_an_identity() -> None:
    edge, shared = Edge(), f"<sip:office@{HOME}>"
    handsets = [Handset(edge.network, name) for name in ("carol", "dave")]
    for handset in handsets:
        edge.register(handset, identities=[shared], headers=(as_user(handset.name),))
    carol, dave = handsets
    edge.register(carol, identities=[shared], contact="*", expires=0, headers=(as_user("carol"), ("Expires", "0")))
    assert [binding.private for binding in edge.location] == [f"dave@{HOME}"]
    dave.ask("MESSAGE", f"sip:alice@{HOME}")
    assert edge.at_core().values("P-Asserted-Identity") == [shared]
    carol.ask("MESSAGE", f"sip:alice@{HOME}")
    assert carol.last.status == 403


def as_user(name: str) -> tuple[str, str]:
    return (
        "Authorization",
        f'Digest username="{name}@{HOME}", realm="{HOME}", nonce="n", uri="sip:{HOME}", response="r"',
    )


def test_a_registration_ends_with_its_time_and_some_grace() -> None:
    edge = Edge()
    edge.handset()
    edge.register(Handset(edge.network, "ue2"), expires=60)
    edge.network.run(85)
    assert len(edge.handsets) == 2
    edge.network.run(10)
    assert [binding.uri.user for binding in edge.location] == ["ue1"]
    assert len(edge.handsets) == 1


def test_a_refused_register_is_not_noted() -> None:
    edge = Edge()
    handset = Handset(edge.network, "ue1")
    handset.ask("REGISTER", f"sip:{HOME}", to=f"<{PUBLIC}>")
    edge.answer(403)
    assert handset.last.status == 403
    assert len(edge.handsets) == 0


@rfc("5626-6", "TS24.229-5.2.2.1")
def test_a_handset_that_moved_is_known_where_it_is_now_only() -> None:
    edge = Edge()
    before, now = Handset(edge.network, "before", "TCP"), Handset(edge.network, "now", "TCP")
    for handset in (before, now):
        edge.register(handset, contact=f'{handset.contact};+sip.instance="<urn:uuid:1>";reg-id=1;expires=600')
    assert len(edge.location) == len(edge.handsets) == 1
    before.ask("MESSAGE", "sip:bob@home.example")
    assert before.last.status == 403
    now.ask("MESSAGE", "sip:bob@home.example")
    assert edge.at_core().method == "MESSAGE"


def test_identities_that_the_network_takes_away_are_gone() -> None:
    edge = Edge()
    handset = edge.handset()
    edge.register(handset, identities=IDENTITIES[:1])
    handset.ask("MESSAGE", "sip:bob@home.example", headers=[("P-Preferred-Identity", IDENTITIES[1])])
    assert edge.at_core().values("P-Asserted-Identity") == [IDENTITIES[0]]
    contact = f"{handset.contact};expires=600"
    handset.ask("REGISTER", f"sip:{HOME}", to=IDENTITIES[0], contact=contact)
    told = f"<sip:new@home.example>, {IDENTITIES[0]}"
    edge.answer(200, headers=[("Contact", contact), ("P-Associated-URI", told)])
    handset.ask("MESSAGE", "sip:bob@home.example")
    assert edge.at_core().values("P-Asserted-Identity") == ["<sip:new@home.example>"]
    assert len(edge.location) == len(edge.handsets) == 1
    assert set(edge.handsets._aors) == {"sip:new@home.example", PUBLIC}


@rfc("5626-5.3")
def test_a_lost_connection_is_forgotten() -> None:
    edge = Edge()
    handset = edge.handset("ue1", "TCP")
    flow = handset_flow(edge, handset)
    edge.node.connection_failed(flow)
    edge.send("MESSAGE", "sip:ue1@198.51.100.2", headers=[("Route", f"<sip:{edge.tokens.make(flow)}@192.0.2.1;lr>")])
    assert edge.told_core().status == 430
    handset.ask("MESSAGE", "sip:bob@home.example")
    assert handset.last.status == 403


def test_there_is_room_for_so_many_contacts_and_those_who_are_there_may_refresh() -> None:
    edge = Edge(most=1)
    handset = edge.handset()
    other = Handset(edge.network, "ue2")
    other.ask("REGISTER", f"sip:{HOME}", to=f"<{PUBLIC}>")
    assert other.last.status == 503
    assert other.last.get("Retry-After") == "60"
    edge.register(handset)
    assert handset.last.status == 200


@rfc("TS24.229-5.2.2.1")
def test_no_register_comes_from_the_network() -> None:
    edge = Edge()
    edge.send("REGISTER", f"sip:{HOME}", to=f"<{PUBLIC}>")
    assert edge.told_core().status == 403


@rfc("TS24.229-5.2.2.2")
def test_the_keys_of_a_challenge_stay_here() -> None:
    edge = Edge()
    handset = Handset(edge.network, "ue1")
    handset.ask("REGISTER", f"sip:{HOME}", to=f"<{PUBLIC}>")
    challenge = f'Digest realm="{HOME}", nonce="abc", algorithm=AKAv1-MD5, qop="auth"'
    edge.answer(401, headers=[("WWW-Authenticate", f'{challenge}, ck="00112233", ik="44556677"')])
    assert handset.last.whole_values("WWW-Authenticate") == [challenge]


@rfc("TS24.229-5.2.2.5", "TS24.229-5.2.2.2")
@pytest.mark.parametrize(
    ("algorithm", "response", "first", "again"),
    [
        ("", "", None, "ip-assoc-yes"),
        ("", "0123", "ip-assoc-pending", "ip-assoc-yes"),
        (", algorithm=AKAv1-MD5", "", "no", "no"),
        (", algorithm=AKAv2-SHA-256", "0123", "ip-assoc-pending", "ip-assoc-pending"),
    ],
)
def test_the_registrar_is_told_how_a_register_came(
    algorithm: str, response: str, first: str | None, again: str
) -> None:
    edge = Edge()
    handset = Handset(edge.network, "ue1")
    said = AUTHORIZATION.format("n", response, algorithm)
    headers = [("Authorization", f'{said}, integrity-protected="yes"')]
    for word in (first, again):
        edge.register(handset, headers=headers)
        told = "" if word is None else f', integrity-protected="{word}"'
        assert edge.at_core().whole_values("Authorization") == [said + told]


@rfc("6223-4.3")
def test_who_offers_to_keep_its_flow_alive_is_told_how_often() -> None:
    edge = Edge()
    handset = Handset(edge.network, "ue1")
    via = "SIP/2.0/UDP 198.51.100.2:5060;branch=z9hG4bKkeep;keep;rport"
    register = f"REGISTER sip:{HOME} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: <{PUBLIC}>;tag=1\r\n"
    register += f"To: <{PUBLIC}>\r\nCall-ID: k\r\nCSeq: 1 REGISTER\r\nContact: {handset.contact}\r\n\r\n"
    edge.node.receive(register.encode(), handset.flow(PCSCF)._replace(local=PCSCF, remote=handset.address))
    edge.network.run(0.1)
    edge.answer(200, headers=[("Contact", f"{handset.contact};expires=600")])
    sent = edge.network.packets("200 REGISTER", by=PCSCF)[-1].message
    assert ";keep=120;" in sent.top_via_text


def test_what_is_known_of_handsets_outlives_a_restart(tmp_path: Path) -> None:
    before, after = Edge(), Edge()
    handset = before.handset()
    with_tcp = before.handset("ue2", "TCP")
    listeners = [("UDP", PCSCF), ("TCP", PCSCF)]
    path, clock = tmp_path / "handsets.sqlite", before.network.clock
    store = BindingsStore(path, clock=clock, unix_time=clock, beside=before.handsets)
    for binding in before.location:
        store.note(BindingAdded(binding.aor, binding, first=True))
    store.start()
    store.close()
    again = BindingsStore(path, clock=clock, unix_time=clock, beside=after.handsets)
    assert again.restore(after.location, listeners) == 1
    flow = handset_flow(before, handset)
    known = after.handsets.sender(flow, [parse_uri(PUBLIC)])
    assert known is not None
    assert (known.identities.values, known.service_route) == (IDENTITIES, (before.service_route,))
    assert after.handsets.sender(handset_flow(before, with_tcp), [parse_uri(PUBLIC)]) is None, "its connection is gone"


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "[1, 2, 3]", "{}", "null"])
def test_what_nobody_has_written_is_nothing(text: str) -> None:
    edge = Edge()
    edge.handset()
    (binding,) = edge.location
    fresh = Handsets(edge.location)
    fresh.restored(binding, text)
    assert len(fresh) == 0


@pytest.mark.parametrize(
    ("transport", "said", "status", "challenge", "outcome"),
    [
        ("UDP", "", 401, "", Outcome.MISSING),
        ("TCP", "", 401, "", Outcome.MISSING),
        ("TCP", "0f", 401, "", Outcome.WRONG),
        ("TCP", "0f", 401, ", stale=TRUE", Outcome.STALE),
        ("TCP", '0f", auts="AAAA', 401, "", Outcome.MISSING),
        ("UDP", "0f", 401, "", Outcome.STALE),
        ("UDP", "0f", 200, "", Outcome.ACCEPTED),
        ("UDP", "", 200, "", None),
        ("TCP", "0f", 403, "", None),
    ],
)
def test_who_fails_to_prove_himself_at_home_is_known_here(
    transport: str, said: str, status: int, challenge: str, outcome: Outcome | None
) -> None:
    edge = Edge()
    verdicts: list[Outcome] = []
    edge.hop.on_verdict = lambda flow, verdict, now: verdicts.append(verdict.outcome)
    handset = Handset(edge.network, "ue1", transport)
    headers = [("Authorization", AUTHORIZATION.format("n", said, ""))]
    handset.ask("REGISTER", f"sip:{HOME}", to=f"<{PUBLIC}>", headers=headers)
    edge.answer(status, headers=[("WWW-Authenticate", f'Digest realm="home", nonce="n2"{challenge}')])
    assert handset.last.status == status
    assert verdicts == ([] if outcome is None else [outcome])
