"""Requests of handsets and to handsets through a P-CSCF, and their responses (TS 24.229 section 5.2.6)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_core.flow import format_address
from ims_core.messages.message import Message, Request
from ims_core.roles.secagree import SecurityAgreement
from tests.kit.edge import HOME, IDENTITIES, NUMBER, PUBLIC, Edge, Handset

rfc = pytest.mark.rfc
BOB = f"sip:bob@{HOME}"
VECTOR = 'icid-value="of the network";orig-ioi="Type 1home.example"'
SECRET = "sip:secret@home.example"


def icid(message: Message) -> str:
    """What a charging vector says before the networks."""
    (vector,) = message.whole_values("P-Charging-Vector")
    return vector.partition(";")[0]


# Requests of handsets ---------------------------------------------------------------------------------------------


@rfc("TS24.229-5.2.6.3.3", "3325-5", "3325-9.1")
def test_a_request_is_from_the_identity_that_the_handset_has() -> None:
    edge = Edge()
    edge.handset().ask("INVITE", BOB, headers=[("P-Asserted-Identity", f"<{SECRET}>")])
    request = edge.at_core()
    assert request.values("P-Asserted-Identity") == [f"<{PUBLIC}>"]
    assert request.values("Record-Route")
    assert request.values("Route") == [edge.service_route]


@rfc("TS24.229-5.2.6.3.1", "3325-9.2")
@pytest.mark.parametrize(
    ("preferred", "asserted"),
    [
        (f"<tel:{NUMBER}>", f"<tel:{NUMBER}>"),
        (f'"Me" <sip:{NUMBER}@HOME.example;user=phone>', f"<{PUBLIC}>"),
        (f"<{SECRET}>", f"<{PUBLIC}>"),
        ("nonsense <", f"<{PUBLIC}>"),
        (f"<{SECRET}>, <tel:{NUMBER}>", f"<tel:{NUMBER}>"),
    ],
)
def test_a_handset_may_prefer_one_of_its_identities(preferred: str, asserted: str) -> None:
    edge = Edge()
    edge.handset().ask("MESSAGE", BOB, headers=[("P-Preferred-Identity", preferred)], from_=f"<{SECRET}>;tag=1")
    assert edge.at_core().values("P-Asserted-Identity") == [asserted]
    assert "P-Preferred-Identity" not in edge.at_core()


def test_of_several_at_one_address_from_says_who_it_is() -> None:
    edge = Edge()
    one = edge.handset()
    edge.register(one, identities=["<sip:two@home.example>"], contact=f"<sip:two@{format_address(one.address)}>")
    one.ask("MESSAGE", BOB, from_="<sip:two@home.example>;tag=1")
    assert edge.at_core().values("P-Asserted-Identity") == ["<sip:two@home.example>"]
    one.ask("MESSAGE", BOB)
    assert edge.at_core().values("P-Asserted-Identity") == [f"<{PUBLIC}>"]


@rfc("TS24.229-5.2.6.3.1")
def test_a_wildcarded_identity_is_any_that_it_stands_for() -> None:
    edge = Edge()
    pbx = edge.handset(identities=["<sip:pbx@home.example>", "<sip:+86138!.*!@home.example>"])
    pbx.ask("MESSAGE", BOB, headers=[("P-Preferred-Identity", "<sip:+86138007@home.example>")])
    assert edge.at_core().values("P-Asserted-Identity") == ["<sip:+86138007@home.example>"]
    pbx.ask("MESSAGE", BOB, headers=[("P-Preferred-Identity", "<sip:+86139007@home.example>")])
    assert edge.at_core().values("P-Asserted-Identity") == ["<sip:pbx@home.example>"]


def test_a_preference_takes_no_longer_whatever_expression_it_is_compared_with() -> None:
    edge = Edge()
    pbx = edge.handset(identities=["<sip:pbx@home.example>", "<sip:!(a+)+!@home.example>"])
    pbx.ask("MESSAGE", BOB, headers=[("P-Preferred-Identity", f"<sip:{'a' * 40}b@home.example>")])
    assert edge.at_core().values("P-Asserted-Identity") == ["<sip:pbx@home.example>"]


@rfc("TS24.229-5.2.6.3.2A")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE"])
def test_who_is_not_registered_is_refused(method: str) -> None:
    edge = Edge()
    handset = Handset(edge.network, "ue1")
    handset.ask(method, BOB)
    assert handset.last.status == 403
    assert not edge.core.requests


@rfc("TS24.229-5.2.6.3.3", "3608-6.1")
@pytest.mark.parametrize("way", ["", "<sip:evil.example;lr>", "ours", "both"])
def test_the_service_route_is_followed_whatever_is_preloaded(way: str) -> None:
    edge = Edge()
    handset = edge.handset()
    preloaded = {
        "ours": edge.service_route,
        "both": f"<sip:192.0.2.1;lr>, {edge.service_route}, <sip:evil.example;lr>",
    }.get(way, way)
    handset.ask("MESSAGE", BOB, headers=[("Route", preloaded)] if preloaded else ())
    assert edge.at_core().values("Route") == [edge.service_route]


@rfc("TS24.229-5.2.6.3.3")
def test_another_route_may_be_refused() -> None:
    edge = Edge(refuses_routes=True)
    handset = edge.handset()
    for preloaded in ("<sip:evil.example;lr>", f"{edge.service_route}, <sip:evil.example;lr>", ""):
        handset.ask("MESSAGE", BOB, headers=[("Route", preloaded)] if preloaded else ())
        assert handset.last.status == 400
    handset.ask("MESSAGE", BOB, headers=[("Route", f"<sip:192.0.2.1;lr>, {edge.service_route}")])
    assert edge.at_core().values("Route") == [edge.service_route]


@rfc("7315-4.4", "TS24.229-4.4.3")
def test_a_handset_tells_of_its_access_in_its_own_name_only() -> None:
    edge = Edge()
    own = "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=00101"
    edge.handset().ask("MESSAGE", BOB, headers=[("P-Access-Network-Info", f"{own}, 3GPP-NR;np, IEEE-802.11")])
    assert edge.at_core().values("P-Access-Network-Info") == [own, "IEEE-802.11"]


@rfc("TS24.229-5.2.1", "TS24.229-5.2.6.3.4", "7315-4.5")
def test_what_the_network_tells_itself_is_not_told_to_the_caller() -> None:
    edge = Edge()
    handset = edge.handset()
    handset.ask("INVITE", BOB)
    told = [
        ("P-Charging-Vector", VECTOR),
        ("P-Charging-Function-Addresses", "ccf=192.0.2.9"),
        ("P-Access-Network-Info", "IEEE-802.11"),
        ("P-Asserted-Identity", f"<{BOB}>"),
    ]
    for status in (180, 200):
        edge.answer(status, headers=told)
        assert handset.last.status == status
        assert handset.last.values("P-Asserted-Identity") == [f"<{BOB}>"]
        assert not {name for name, _ in told[:-1]} & {name for name, _ in told if name in handset.last}


@rfc("3325-7", "3323-4.2")
@pytest.mark.parametrize(
    ("privacy", "is_told"), [("id", False), ("ID;critical", False), ("user;id", False), ("none", True), ("user", True)]
)
def test_a_callee_who_wants_to_stay_unknown_does(privacy: str, is_told: bool) -> None:
    edge = Edge()
    handset = edge.handset()
    handset.ask("MESSAGE", BOB)
    edge.answer(200, headers=[("Privacy", privacy), ("P-Asserted-Identity", f"<{SECRET}>")])
    assert ("P-Asserted-Identity" in handset.last) == is_told


@rfc("3323-4.3", "3261-16.3")
def test_privacy_may_be_required_of_this_proxy_and_nothing_unknown() -> None:
    edge = Edge()
    handset = edge.handset()
    handset.ask("MESSAGE", BOB, headers=[("Proxy-Require", "privacy"), ("Privacy", "id")])
    assert "Proxy-Require" not in edge.at_core()
    assert edge.at_core().values("Privacy") == ["id"]
    for unknown in ("frobbing", "sec-agree"):
        handset.ask("MESSAGE", BOB, headers=[("Proxy-Require", f"privacy, {unknown}")])
        assert handset.last.status == 420
        assert handset.last.values("Unsupported") == [unknown]


# Requests to handsets ---------------------------------------------------------------------------------------------


@rfc("TS24.229-5.2.6.4.3", "5626-5.3", "3327-5.2")
def test_a_request_by_our_path_goes_to_the_flow_that_it_names() -> None:
    edge = Edge()
    handset = edge.handset(transport="TCP")
    headers = [
        ("P-Charging-Vector", VECTOR),
        ("P-Called-Party-ID", f"<{PUBLIC}>"),
        ("P-Served-User", f"<{PUBLIC}>"),
        ("P-Access-Network-Info", "IEEE-802.11"),
        ("P-Asserted-Identity", f"<{BOB}>"),
    ]
    request = edge.call(handset, headers=headers)
    assert handset.requests[-1].flow.transport == "TCP"
    assert "Route" not in request
    assert request.values("P-Asserted-Identity") == [f"<{BOB}>"]
    assert request.values("P-Called-Party-ID") == [f"<{PUBLIC}>"]
    for name in ("P-Charging-Vector", "P-Served-User", "P-Access-Network-Info"):
        assert name not in request


@rfc("5626-5.3")
def test_the_network_reaches_nobody_without_a_path_of_ours() -> None:
    edge = Edge()
    handset = edge.handset()
    for route in ("<sip:192.0.2.1;lr>", "<sip:AAAAAAAAAAAAAAAAAA@192.0.2.1;lr>"):
        edge.send("MESSAGE", handset.contact[1:-1], headers=[("Route", route)])
        assert edge.told_core().status == 403
    assert not handset.requests


@rfc("TS24.229-5.2.6.4.4", "7315-4.2", "7315-4.6")
def test_a_response_of_a_handset_is_from_who_was_called_and_charged_as_its_request() -> None:
    edge = Edge()
    handset = edge.handset()
    called = [("P-Called-Party-ID", f"<tel:{NUMBER}>"), ("P-Charging-Vector", VECTOR)]
    edge.call(handset, headers=called)
    lies = [("P-Asserted-Identity", f"<{SECRET}>"), ("P-Charging-Vector", "icid-value=lie")]
    for status in (180, 200):
        edge.answer(status, headers=lies, by=handset)
        response = edge.told_core()
        assert response.status == status
        assert response.values("P-Asserted-Identity") == [f"<tel:{NUMBER}>"]
        (vector,) = response.whole_values("P-Charging-Vector")
        assert vector == f'{VECTOR};term-ioi="Type 1visited.example"'


@rfc("TS24.229-5.2.6.4.4")
@pytest.mark.parametrize(("preferred", "told"), [(IDENTITIES[1], IDENTITIES[1]), (f"<{SECRET}>", IDENTITIES[0])])
def test_a_callee_may_prefer_one_of_his_identities(preferred: str, told: str) -> None:
    edge = Edge()
    handset = edge.handset()
    edge.call(handset, method="MESSAGE")
    edge.answer(200, headers=[("P-Preferred-Identity", preferred)], by=handset)
    assert edge.told_core().values("P-Asserted-Identity") == [told]
    assert "P-Preferred-Identity" not in edge.told_core()


@rfc("3325-7", "3323-5.3", "3323-4.1.1.3")
def test_a_caller_who_wants_to_stay_unknown_does_throughout_his_call() -> None:
    edge = Edge()
    handset = edge.handset()
    who = f'"Secret" <{SECRET}>;tag=bob'
    headers = [
        ("Privacy", "id;user"),
        ("P-Asserted-Identity", f"<{SECRET}>"),
        ("Organization", "Secret Inc."),
        ("Subject", "secret"),
    ]
    contact = f"<sip:x@{format_address(edge.core.address)}>"
    request = edge.call(handset, from_=who, headers=headers, contact=contact)
    assert b"ecret" not in request.encode()
    assert request.require("From") == '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=bob'
    assert request.values("Privacy") == ["id"], "RFC 3323 5: what has been done is taken off"
    edge.answer(200, by=handset)
    assert edge.told_core().require("From") == who
    route = request.values("Record-Route")[0]
    within = [("Route", route)]
    edge.send("INFO", handset.contact[1:-1], from_=who, to=f"<{PUBLIC}>;tag=of-ue1", cseq=2, headers=within)
    assert b"ecret" not in handset.requests[-1].request.encode()
    edge.answer(200, by=handset)
    assert edge.told_core().require("From") == who


@rfc("3323-5")
@pytest.mark.parametrize(("privacy", "status"), [("header;critical", 500), ("session;id;critical", 500)])
def test_privacy_that_cannot_be_given_is_refused_where_it_is_critical(privacy: str, status: int) -> None:
    edge = Edge()
    handset = edge.handset()
    edge.send("MESSAGE", handset.contact[1:-1], headers=[("Route", path_to(edge)), ("Privacy", privacy)])
    assert edge.told_core().status == status
    assert not handset.requests
    request = edge.call(handset, method="MESSAGE", headers=[("Privacy", privacy.replace(";critical", ""))])
    assert request.get("Privacy") == privacy.replace(";critical", ""), "left to who can"


# Within dialogs ---------------------------------------------------------------------------------------------------


@rfc("TS24.229-5.2.6.3.5", "TS24.229-5.2.6.3.9", "TS24.229-5.2.6.4.9", "TS24.229-7.2A.5")
def test_a_dialog_of_a_handset_has_one_charging_identifier() -> None:
    edge = Edge()
    handset = edge.handset()
    handset.ask("INVITE", BOB, call_id="one")
    invite = edge.at_core()
    contact = f"<sip:bob@{format_address(edge.core.address)}>"
    edge.answer(200, headers=[("Contact", contact), ("P-Charging-Vector", VECTOR)])
    route = [("Route", invite.values("Record-Route")[0])]
    to = f"<{BOB}>;tag=of-core"
    lies = [("P-Asserted-Identity", f"<{SECRET}>"), ("P-Charging-Vector", "icid-value=lie")]
    handset.ask("ACK", contact[1:-1], to=to, call_id="one", headers=[*route, *lies], cseq=invite.cseq.number)
    handset.ask("INFO", contact[1:-1], to=to, call_id="one", headers=[*route, *lies])
    assert icid(edge.at_core()) == icid(invite)
    assert "P-Asserted-Identity" not in edge.at_core()
    edge.answer(200, headers=[("P-Charging-Vector", VECTOR)])
    assert handset.last.status == 200
    assert "P-Charging-Vector" not in handset.last
    handset.ask("INVITE", BOB, call_id="two")
    assert icid(edge.at_core()) != icid(invite)


@rfc("TS24.229-5.2.6.3.5", "TS24.229-5.2.6.4.4", "TS24.229-7.2A.5")
def test_a_dialog_to_a_handset_keeps_the_identifier_that_it_came_with() -> None:
    edge = Edge()
    handset = edge.handset()
    invite = edge.call(handset, headers=[("P-Charging-Vector", VECTOR)])
    edge.answer(200, by=handset)
    route = [("Route", invite.values("Record-Route")[0])]
    contact = f"sip:bob@{format_address(edge.core.address)}"
    dialog = {"from_": f"{invite.require('To')};tag=of-ue1", "to": invite.require("From"), "call_id": invite.call_id}
    for method in ("INFO", "INVITE", "UPDATE"):
        handset.ask(method, contact, headers=route, **dialog)
        assert icid(edge.at_core()) == 'icid-value="of the network"'
        edge.answer(200, headers=[("P-Charging-Vector", VECTOR), ("Privacy", "id")])
    edge.send("BYE", handset.contact[1:-1], to=f"{invite.require('To')};tag=of-ue1", cseq=2, headers=route)
    assert handset.requests[-1].request.method == "BYE"
    edge.answer(200, by=handset)
    assert edge.told_core().cseq.method == "BYE"
    assert len(edge.first_hop.dialogs) == 0


@rfc("3325-7")
@pytest.mark.parametrize("is_caller", [True, False])
def test_who_is_private_when_a_dialog_begins_stays_so(is_caller: bool) -> None:
    edge = Edge()
    handset = edge.handset()
    private = [("Privacy", "id"), ("P-Asserted-Identity", f"<{SECRET}>")]
    contact = f"<sip:x@{format_address(edge.core.address)}>"
    if is_caller:
        invite = edge.call(handset, headers=private, contact=contact, call_id="one")
        edge.answer(200, by=handset)
        dialog = {"from_": invite.require("From"), "to": f"<{PUBLIC}>;tag=of-ue1"}
    else:
        handset.ask("INVITE", BOB, call_id="one")
        invite = edge.at_core()
        edge.answer(200, headers=[*private, ("Contact", contact)])
        assert "P-Asserted-Identity" not in handset.last
        dialog = {"from_": f"<{BOB}>;tag=of-core", "to": invite.require("From")}
    route = [("Route", invite.values("Record-Route")[0])]
    edge.send("INFO", handset.contact[1:-1], call_id="one", cseq=7, headers=[*route, private[1]], **dialog)
    assert handset.requests[-1].request.method == "INFO"
    assert "P-Asserted-Identity" not in handset.requests[-1].request
    edge.answer(200, by=handset)
    assert len(edge.first_hop.dialogs) == 1
    back = {"from_": dialog["to"], "to": dialog["from_"]}
    handset.ask("BYE", contact[1:-1], call_id="one", headers=route, **back)
    edge.answer(200)
    assert handset.last.cseq.method == "BYE"
    assert len(edge.first_hop.dialogs) == 0


@rfc("TS24.229-5.2.1", "TS24.229-5.2.6.4.9")
def test_from_handset_to_handset_nothing_goes_that_only_the_network_knows() -> None:
    edge = Edge()
    one, two = edge.handset(), edge.handset("ue2", identities=["<sip:two@home.example>"])
    route = f"<sip:{edge.node.proxy._record_route.token('call')}@192.0.2.1:5060;lr>"
    for method in ("INFO", "BYE"):
        one.ask(method, two.contact[1:-1], call_id="call", to=f"<{BOB}>;tag=x", headers=[("Route", route)])
        assert two.requests[-1].request.method == method
        assert "P-Charging-Vector" not in two.requests[-1].request
        edge.answer(200, headers=[("P-Charging-Vector", VECTOR), ("P-Asserted-Identity", f"<{SECRET}>")], by=two)
        assert one.last.status == 200
        assert "P-Charging-Vector" not in one.last
        assert "P-Asserted-Identity" not in one.last


def test_nothing_is_kept_of_a_call_that_was_refused() -> None:
    edge = Edge()
    handset = edge.handset()
    edge.call(handset, headers=[("P-Charging-Vector", VECTOR)])
    edge.answer(180, by=handset)
    assert len(edge.first_hop.dialogs) == 1
    edge.answer(486, by=handset)
    assert edge.told_core().status == 486
    assert len(edge.first_hop.dialogs) == 0


@rfc("TS24.229-5.2.6.3.9")
def test_a_call_that_rang_at_two_handsets_is_remembered_of_the_one_that_takes_it() -> None:
    edge = Edge()
    one, two = edge.handset(), edge.handset("ue2")
    headers = [("P-Charging-Vector", VECTOR)]
    invite = edge.call(one, headers=headers, call_id="forked")
    edge.call(two, headers=headers, call_id="forked")
    edge.answer(180, by=one)
    edge.answer(486, by=two)
    edge.answer(200, by=one)
    dialog = {"from_": f"{invite.require('To')};tag=of-ue1", "to": invite.require("From"), "call_id": "forked"}
    route = [("Route", invite.values("Record-Route")[0])]
    one.ask("BYE", f"sip:bob@{format_address(edge.core.address)}", headers=route, **dialog)
    assert icid(edge.at_core()) == 'icid-value="of the network"'


# Whatever happens -------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    ["P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "p-asserted-identity", "P-ASSERTED-IDENTITY"]
)
WRITTEN = st.sampled_from(
    [f"<{SECRET}>", SECRET, f'"x" <{SECRET}>, <tel:+1>', f"<{PUBLIC}>, <{SECRET}>", f"\r\n <{SECRET}>", "<", '"']
)
OTHER = st.tuples(st.sampled_from(["Subject", "Privacy", "X-Any"]), st.sampled_from(["id", "none", "user", ""]))


@rfc("TS24.229-4.4.2", "3325-5")
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(NAMES, WRITTEN) | OTHER, max_size=6),
    st.sampled_from(["INVITE", "MESSAGE", "OPTIONS", "INFO"]),
    st.booleans(),
)
def test_whatever_a_handset_says_it_is_known_by_its_own_identity(
    headers: list[tuple[str, str]], method: str, is_within: bool
) -> None:
    edge = Edge()
    handset = edge.handset()
    handset.ask(method, BOB, headers=headers, to=f"<{BOB}>;tag=x" if is_within else f"<{BOB}>")
    for event in edge.core.requests:
        assert set(event.request.values("P-Asserted-Identity")) <= set(IDENTITIES)
        assert "secret" not in str([line for line in event.request.lines if line[:2].lower() in {"p-", "re"}])


@rfc("TS24.229-4.4.2", "3325-7")
@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        ["id", "ID", "id;critical", "critical;id", "user;id", "header;id", " id ", "id,user", "history;id"]
    ),
    st.lists(st.tuples(st.sampled_from(["P-Asserted-Identity", "P-asserted-identity"]), WRITTEN), max_size=3),
    st.sampled_from(["INVITE", "MESSAGE"]),
)
def test_no_handset_learns_who_a_private_caller_is(privacy: str, headers: list[tuple[str, str]], method: str) -> None:
    edge = Edge()
    handset = edge.handset()
    request: Request = edge.call(handset, method=method, headers=[*headers, ("Privacy", privacy)])
    assert "P-Asserted-Identity" not in request
    assert b"secret" not in request.encode()


ODD = st.sampled_from(
    ["", "<", '"', ";", ",", "x", "\xff", "<sip:a@b>", "*", ";;=", "Digest", 'Digest x="', "tls;q", "0", "id;;"]
)
ANY = st.lists(
    st.tuples(
        st.sampled_from(
            "P-Asserted-Identity P-Preferred-Identity P-Charging-Vector P-Access-Network-Info P-Called-Party-ID "
            "Privacy P-Associated-URI Service-Route Path Contact Route Authorization WWW-Authenticate Security-Client "
            "Security-Verify Require Proxy-Require Expires Supported History-Info".split()
        ),
        ODD,
    ),
    max_size=5,
)


@settings(max_examples=150, deadline=None)
@given(ANY, ANY, st.sampled_from([200, 180, 401, 403, 503]), st.sampled_from(["REGISTER", "INVITE", "MESSAGE", "BYE"]))
def test_odd_messages_of_either_side_do_no_harm(
    asked: list[tuple[str, str]], answered: list[tuple[str, str]], status: int, method: str
) -> None:
    edge = Edge(agreement=SecurityAgreement())
    handset = edge.handset()
    path = path_to(edge)
    to = f"<{BOB}>;tag=x" if method == "BYE" else f"<{PUBLIC}>"
    handset.ask(method, f"sip:{HOME}" if method == "REGISTER" else BOB, headers=asked, to=to)
    if edge.core.requests:
        edge.answer(status, headers=answered)
    edge.send(method, handset.contact[1:-1], headers=[("Route", path), *asked], to=to)
    if handset.requests:
        edge.answer(status, headers=answered, by=handset)
    handset.ask("MESSAGE", BOB)
    is_known = len(edge.handsets) > 0
    assert edge.core.requests[-1].request.method == "MESSAGE" if is_known else handset.last.status == 403


def path_to(edge: Edge) -> str:
    """The Path of the first handset."""
    flow = next(iter(edge.location)).flow
    assert flow is not None
    return f"<sip:{edge.tokens.make(flow)}@192.0.2.1;lr>"
