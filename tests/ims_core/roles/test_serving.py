"""Whose services a request passes, and where it goes (TS 24.229 sections 5.3.2.1 and 5.4.3)."""

from __future__ import annotations

import pytest

from ims_core.flow import Flow, format_address
from ims_core.messages.message import Request, response_to
from ims_core.profiles.model import ProfilePart, SessionCase
from ims_core.proxy.forking import Target
from ims_core.roles.routing import HERE as HERE_ITSELF
from ims_core.roles.routing import Decision, Forward, ToService
from ims_core.transactions.machines import ServerTransaction
from tests.kit.isc import (
    ALICE,
    ALICE_TEL,
    BARRED,
    BOB,
    BOB_TEL,
    BOBBY,
    CAROL,
    HERE,
    HOTLINE,
    ORIG,
    SCSCF,
    SERVER_ORIG,
    VECTOR,
    Core,
    answers,
    criterion,
    returns,
)

rfc = pytest.mark.rfc
ASSERTED = "P-Asserted-Identity"
BY_ALICE = (ASSERTED, f"<{ALICE}>")


# Who may send (5.4.3.1, 5.4.3.2) ------------------------------------------------------------------------------


@rfc("TS24.229-5.4.3.1", "TS24.229-5.4.3.2")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([BY_ALICE], 200),
        ([(ASSERTED, f"<{ALICE_TEL}>")], 200),
        ([("P-Served-User", f"<{ALICE}>")], 200),
        ([("P-Served-User", f"<{ALICE}>"), (ASSERTED, "<sip:nobody@ims.example>")], 200),
        ([("P-Served-User", "<sip:nobody@ims.example>"), BY_ALICE], 403),
        ([(ASSERTED, '"?" <urn:x:y>, <sip:+86-138-0000-0001@ims.example;user=phone>')], 200),
        ([(ASSERTED, f"<{BARRED}>")], 403),
        ([(ASSERTED, f"<{CAROL}>")], 403),
        ([(ASSERTED, "<sip:nobody@ims.example>")], 403),
        ([(ASSERTED, "nonsense")], 403),
        ([], 403),
    ],
)
def test_only_registered_users_of_ours_send_requests(headers: list[tuple[str, str]], status: int) -> None:
    core = Core()
    core.send(BOB, ORIG, *headers)
    assert core.final == [status]
    core.finish()


@rfc("TS24.229-5.4.3.1", "TS24.229-5.4.3.2")
@pytest.mark.parametrize("route", [ORIG, SERVER_ORIG])
def test_nobody_outside_the_trust_domain_sends_for_our_users(route: tuple[str, str]) -> None:
    core = Core()
    core.send(BOB, route, BY_ALICE, by=core.outside)
    assert core.outside.statuses == [403]
    core.finish()


@rfc("TS24.229-5.4.3.1")
def test_the_first_of_our_routes_need_not_be_the_one_that_tells() -> None:
    core = Core()
    core.send(BOB, ("Route", f"<sip:{HERE};lr>, <sip:orig@ims.example;lr>"), BY_ALICE)
    core.send(BOB, ("Route", f"<sip:{HERE};lr>"), ("Route", f"<sip:{HERE};lr;orig>"), BY_ALICE)
    assert core.scscf.sessions[SessionCase.ORIGINATING] == 2
    core.send(BOB, ("Route", f"<sip:{HERE};lr>"), BY_ALICE)
    assert core.scscf.sessions[SessionCase.ORIGINATING] == 2, "for him, whoever it is from"
    core.send(BOB, ("Route", "nonsense"))
    assert core.final == [200, 400]
    core.finish()


@rfc("TS24.229-5.4.3.2")
@pytest.mark.parametrize(
    ("asserted", "values"),
    [
        (f'"Alice" <{ALICE}>', [f'"Alice" <{ALICE}>', f"<{ALICE_TEL}>"]),
        (f"<{ALICE_TEL}>", [f"<{ALICE_TEL}>", f"<{ALICE}>"]),
        (f"<{ALICE}>, <{ALICE_TEL}>", [f"<{ALICE}>", f"<{ALICE_TEL}>"]),
    ],
)
def test_both_forms_of_a_number_are_asserted(asserted: str, values: list[str]) -> None:
    core = Core()
    core.send(BOB, ORIG, (ASSERTED, asserted))
    assert core.delivered[0].values(ASSERTED) == values
    core.finish()


@rfc("TS24.229-5.4.3.2")
def test_only_the_served_users_number_is_known() -> None:
    core = Core()
    core.register(CAROL)
    core.send(BOB, ORIG, (ASSERTED, f"<{CAROL}>"))
    assert core.delivered[0].values(ASSERTED) == [f"<{CAROL}>"]
    core.send(BOB, SERVER_ORIG, ("P-Served-User", f"<{ALICE}>"), (ASSERTED, "<sip:x@elsewhere.example>"))
    assert core.delivered[1].values(ASSERTED) == ["<sip:x@elsewhere.example>"]
    core.finish()


# Where it goes (5.4.3.2) --------------------------------------------------------------------------------------


@rfc("TS24.229-5.3.2.1", "TS24.229-5.4.3.3")
@pytest.mark.parametrize(
    ("uri", "status"),
    [
        (BOB, 200),
        (BOB_TEL, 200),
        ("tel:+86-138-0000-0002", 200),
        (BOBBY, 200),
        (f"sip:+8613800000002@{HERE}", 200),
        ("sip:+86-138-0000-0002@ims.example;user=phone", 200),
        (BARRED, 404),
        (CAROL, 480),
        ("sip:desk-7@ims.example", 480),
        ("sip:nobody@ims.example", 404),
        ("tel:+8613800000099", 404),
        ("sip:bob@elsewhere.example", 403),
        ("urn:service:fire", 416),
    ],
)
def test_whom_a_request_may_be_for(uri: str, status: int) -> None:
    core = Core()
    core.call(uri)
    core.send(uri)
    assert core.final == [status], "by a user of ours, and by another network"
    core.finish()


@rfc("TS24.229-5.3.2.1", "TS24.229-5.4.3.2", "7315-4.2")
def test_a_number_is_called_as_the_user_that_has_it() -> None:
    core = Core()
    server = core.server(returns)
    core.profiles["bob"] = (criterion(1, server),)
    core.call(BOB_TEL)
    assert server.seen[0].uri == BOB
    assert core.delivered[0].get("P-Called-Party-ID") == f"<{BOB}>"
    core.finish()


@rfc("TS24.229-5.4.3.3", "7315-4.2")
@pytest.mark.parametrize("uri", [BOB, BOBBY, f"{BOB};user=phone"])
def test_a_user_learns_by_which_identity_he_was_called(uri: str) -> None:
    core = Core()
    core.call(uri, ("P-Called-Party-ID", "<sip:forged@ims.example>"))
    (delivered,) = core.delivered
    assert delivered.values("P-Called-Party-ID") == [f"<{uri}>"]
    assert delivered.uri == f"sip:+8613800000002@{format_address(core.edge.address)}"
    assert delivered.values("Route") == [f"<sip:token@{format_address(core.edge.address)};lr>"]
    core.finish()


@rfc("TS23.003-13.5", "TS24.229-5.4.3.3")
def test_a_wildcarded_identity_is_many_users_of_one_registration() -> None:
    core = Core()
    core.register("sip:office@ims.example")
    server = core.server(returns)
    core.profiles["desks"] = (criterion(1, server),)
    core.call("sip:desk-7@ims.example")
    assert server.seen[0].values("P-Served-User") == ["<sip:desk-7@ims.example>;sescase=term;regstate=reg"]
    assert core.delivered[0].get("P-Called-Party-ID") == "<sip:desk-7@ims.example>"
    core.send(BOB, ORIG, (ASSERTED, "<sip:desk-8@ims.example>"))
    assert server.seen[1].values("P-Served-User") == ["<sip:desk-8@ims.example>;sescase=orig;regstate=reg"]
    assert core.final == [200]
    core.finish()


@rfc("TS24.229-5.4.3.3", "3261-16.6")
def test_the_contacts_of_a_user_are_tried_by_preference() -> None:
    core = Core()
    core.deregister(BOB)
    for name, q in (("low", 0.1), ("high", 0.9), ("same", 0.9)):
        core.register(BOB, q=q, contact=f"sip:{name}@{format_address(core.edge.address)}")
    core.edge.answers = (486,)
    core.call(BOB, method="INVITE")
    tried = [request.uri.partition("@")[0] for request in core.delivered if request.method == "INVITE"]
    assert tried == ["sip:high", "sip:same", "sip:low"]
    assert core.final == [486]
    core.finish()


@rfc("5630-5.3")
def test_a_sips_uri_rings_at_secured_contacts_only() -> None:
    core = Core()
    core.call(BOB.replace("sip:", "sips:"))
    assert core.final == [480]
    assert core.responses()[-1].get("Warning") == '380 ims.example "SIPS Not Allowed"'
    core.finish()


@rfc("TS24.229-5.4.3.3")
def test_who_is_not_registered_may_have_services_for_that() -> None:
    core = Core()
    voicemail, never = core.server(answers(200)), core.server(answers(200))
    core.profiles["carol"] = (
        criterion(1, never, part=ProfilePart.REGISTERED),
        criterion(2, voicemail, SessionCase.TERMINATING_UNREGISTERED, part=ProfilePart.UNREGISTERED),
    )
    core.call(CAROL)
    assert core.final == [200]
    assert not never.seen
    assert voicemail.seen[0].values("P-Served-User") == [f"<{CAROL}>;sescase=term;regstate=unreg"]
    core.profiles["carol"] = (criterion(2, core.server(returns), part=ProfilePart.UNREGISTERED),)
    core.call(CAROL)
    assert core.final == [200, 480], "after all services he is still not there"
    core.finish()


@rfc("TS24.229-5.4.3.3")
@pytest.mark.parametrize("path", [True, False])
def test_a_handset_without_p_cscf_is_not_told_what_is_for_networks(path: bool) -> None:
    core = Core()
    core.deregister(BOB)
    core.register(BOB, path=path)
    access = ("P-Access-Network-Info", "3GPP-E-UTRAN-FDD")
    core.call(BOB, VECTOR, access, ("Privacy", "id"))
    (delivered,) = core.delivered
    for name in ("P-Charging-Vector", "P-Access-Network-Info", ASSERTED):
        assert (name in delivered) is path
    core.finish()


def test_a_p_cscf_in_the_same_process_sees_to_what_handsets_are_told() -> None:
    def towards_user(request: Request, forward: Forward) -> Forward:
        copy = request.copy()
        copy.remove("P-Charging-Vector")
        return forward._replace(request=copy)

    core = Core(towards_user=towards_user)
    core.call(BOB, VECTOR)
    assert "P-Charging-Vector" not in core.delivered[0]
    assert core.responses()[-1].values("P-Charging-Vector") == [f'{VECTOR[1]};term-ioi="Type 1home.example"']
    core.finish()


@rfc("TS24.229-5.4.3.3")
def test_who_answers_is_asserted_in_both_forms() -> None:
    core = Core()
    core.edge.answers = ()
    core.call(BOB)
    request = core.edge.requests[-1]
    core.edge.endpoint.reply(request.transaction, 200, headers=((ASSERTED, f"<{BOB}>"),))
    core.network.run(0.1)
    assert core.responses()[-1].values(ASSERTED) == [f"<{BOB}>", f"<{BOB_TEL}>"]
    core.finish()


# Elsewhere ----------------------------------------------------------------------------------------------------


@rfc("TS24.229-5.4.3.2", "TS24.229-4.4", "7315-4.6")
def test_what_leaves_does_not_tell_what_is_for_this_network() -> None:
    core = Core()
    core.network.detach(core.node)
    asked: list[str] = []

    def leaving(request: Request, user: str) -> Decision | None:
        asked.append(user)
        hop = f"<sip:{format_address(core.outside.address)};lr>"
        return Forward((Target(request.uri, route=(hop,)),)) if request.target.host == "elsewhere.example" else None

    core.start(leaving=leaving)
    first = core.server(returns)
    core.profiles["alice"] = (criterion(1, first),)
    told = ("P-Charging-Function-Addresses", "ccf=192.0.2.9"), ("P-Visited-Network-ID", '"x"')
    core.call("sip:x@elsewhere.example", VECTOR, ("P-Access-Network-Info", "3GPP-E-UTRAN-FDD"), *told)
    (request,) = (event.request for event in core.outside.requests)
    assert request.values("P-Charging-Vector") == ["icid-value=charged-1;orig-ioi=home.example"]
    for name in ("P-Access-Network-Info", "P-Charging-Function-Addresses", "P-Visited-Network-ID", "P-Served-User"):
        assert name not in request
    assert request.values(ASSERTED) == [f'"Alice" <{ALICE}>', f"<{ALICE_TEL}>"]
    assert len(first.seen) == 1, "after the services of the caller"
    core.call("sip:x@another.example")
    core.call(BOB)
    assert core.final == [200, 403, 200]
    assert asked == [ALICE, ALICE], "not for users of our own"
    core.send("sip:x@elsewhere.example", by=core.outside)
    assert core.outside.statuses == [403], "no transit"
    core.finish()


def test_what_leaves_may_be_for_a_service_of_this_process_which_knows_who_calls() -> None:
    core = Core(leaving=lambda request, user: ToService("desk", user))
    core.call("tel:+12025550100", ("Privacy", "id"), method="INVITE")
    (call,) = core.calls
    assert call.identity == ALICE
    assert len(call.request.values(ASSERTED)) == 2


def test_what_leaves_may_go_by_way_of_a_server_of_ours_which_knows_who_calls() -> None:
    core = Core()
    server = core.server(answers(200))
    core.network.detach(core.node)
    core.start(leaving=lambda request, user: core.services.hand(server.uri, request))
    core.call("tel:+12025550100", VECTOR, ("Privacy", "id"), method="INVITE")
    assert len(server.seen[0].values(ASSERTED)) == 2
    assert server.seen[0].values("P-Charging-Vector") == ['icid-value=charged-1;orig-ioi="Type 3home.example"']
    assert core.final == [200]


@rfc("TS24.229-5.4.3.2")
def test_what_leaves_may_be_answered() -> None:
    core = Core(leaving=lambda request, user: response_to(request, 604, "Nowhere", to_tag="1"))
    core.call("tel:+12025550100")
    assert core.final == [604]
    core.finish()


@rfc("TS24.229-5.4.3.2")
def test_the_rest_of_a_route_that_the_network_made_is_followed() -> None:
    core = Core()
    beyond = f"<sip:{format_address(core.outside.address)};lr>"
    core.send("sip:x@elsewhere.example", ("Route", f"{ORIG[1]}, {beyond}"), BY_ALICE)
    assert core.outside.requests[0].request.values("Route") == [beyond]
    core.finish()


@rfc("TS24.229-5.4.3.3")
@pytest.mark.parametrize("uri", [BOB, f"sip:{HOTLINE}@ims.example", f"tel:{HOTLINE}", "sip:nobody@ims.example"])
def test_nobody_outside_the_trust_domain_reaches_anybody(uri: str) -> None:
    core = Core()
    core.send(uri, BY_ALICE, by=core.outside)
    assert core.outside.statuses == [403]
    core.finish()


# Service numbers and this element itself ----------------------------------------------------------------------


@rfc("TS24.229-5.4.3.2")
@pytest.mark.parametrize(
    "uri", [f"sip:{HOTLINE}@ims.example", f"sip:{HOTLINE}@{HERE}", f"tel:{HOTLINE};phone-context=x"]
)
def test_a_service_number_is_its_servers(uri: str) -> None:
    core = Core()
    server = core.server(returns)
    core.profiles["alice"] = (criterion(1, server),)
    core.call(uri, VECTOR, method="INVITE")
    (call,) = core.calls
    assert call.identity == "+8613800000001"
    assert call.request.values("P-Charging-Vector") == ['icid-value=charged-1;orig-ioi="Type 3home.example"']
    assert len(server.seen) == 1


@rfc("3261-11.2")
def test_what_is_for_nobody_is_for_this_element() -> None:
    core = Core()
    core.send(f"sip:{HERE}", method="OPTIONS", by=core.outside)
    assert core.outside.statuses == [200]
    ping = Request("OPTIONS", f"sip:{HERE}")
    decision = core.scscf.route(ping, Flow("UDP", SCSCF, core.outside.address), 0.0)
    assert decision == ToService(HERE_ITSELF), "which does not let a stranger in (``Node``)"
    core.call("sip:ims.example", method="OPTIONS")
    assert core.final == [200]
    core.finish()


@rfc("TS24.229-5.4.2.1.1")
def test_a_watcher_of_registrations_is_who_is_asserted() -> None:
    core = Core(watched="desk")
    asked: list[tuple[str, str]] = []

    def admit(transaction: ServerTransaction, request: Request, flow: Flow, identity: str) -> None:
        asked.append((identity, request.uri))
        core.node.endpoint.reply(transaction, 489)

    core.node.ua.serve_outside("SUBSCRIBE", admit)
    core.call(ALICE, ("Event", "reg;id=1"), method="SUBSCRIBE")
    assert asked == [(ALICE, ALICE)]
    core.call(BOB, ("Event", "presence"), method="SUBSCRIBE")
    assert len(asked) == 1
    assert core.delivered[0].method == "SUBSCRIBE"
    core.finish()


@rfc("TS24.229-5.3.1.2", "TS24.229-5.3.1.3")
def test_a_registration_is_the_registrars() -> None:
    core = Core()
    core.send("sip:ims.example", method="REGISTER", to="<sip:x@ims.example>", contact="<sip:x@192.0.2.77>")
    assert core.final == [404]
    core.finish()
