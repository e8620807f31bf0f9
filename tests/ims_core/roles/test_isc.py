"""Application servers, one after the other (TS 24.229 sections 5.4.3.2 to 5.4.3.4)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ims_core.messages.headers import parse_name_addr
from ims_core.messages.message import Request
from ims_core.profiles.model import DefaultHandling, ProfilePart, SessionCase
from ims_core.roles.charging import charging_vector
from ims_core.transactions.endpoint import RequestReceived
from tests.kit.isc import (
    ALICE,
    ALICE_TEL,
    AT_WORK,
    BOB,
    BOB_TEL,
    BOBBY,
    CAROL,
    HERE,
    HOTLINE,
    SERVER_ORIG,
    VECTOR,
    Core,
    Server,
    answers,
    calls_anew,
    criterion,
    diverts,
    lets_go,
    returns,
    says_nothing,
)

rfc = pytest.mark.rfc
ORIGINATING, TERMINATING = SessionCase.ORIGINATING, SessionCase.TERMINATING_REGISTERED
UNREGISTERED, CDIV = SessionCase.TERMINATING_UNREGISTERED, SessionCase.ORIGINATING_CDIV
TERMINATED = DefaultHandling.SESSION_TERMINATED
Doing = Callable[[Server, RequestReceived], None]


def routes(request: Request) -> list[str]:
    return [parse_name_addr(value).uri_text for value in request.values("Route")]


@rfc("TS24.229-5.4.3.2", "TS24.229-5.4.3.4")
def test_a_server_gets_the_request_with_the_way_back() -> None:
    core = Core()
    first = core.server(returns)
    core.profiles["alice"] = (criterion(1, first, ORIGINATING),)
    core.call(BOB, VECTOR)
    (seen,) = first.seen
    to_server, back = routes(seen)
    assert to_server == f"{first.uri};lr"
    assert back.startswith("sip:odi.")
    assert back.endswith(f"@{HERE};lr")
    assert "13800000001" not in back, "sealed"
    assert seen.uri == BOB
    assert core.final == [200]
    assert [request.uri for request in core.delivered] == [
        f"sip:+8613800000002@{core.edge.advertised['UDP', core.edge.address]}"
    ]
    assert core.services.outcomes == {
        "handed": 0, "returned": 1, "answered": 1, "refused": 0, "continued": 0, "terminated": 0,
    }  # fmt: skip
    core.finish()


@rfc("TS24.229-5.4.3.2", "TS24.229-5.4.3.3")
@pytest.mark.parametrize("does", [returns, calls_anew], ids=["proxy", "b2bua"])
def test_each_server_has_its_turn_in_the_order_of_priorities(does: Doing) -> None:
    core = Core()
    order: list[Server] = []

    def note(server: Server, event: RequestReceived) -> None:
        order.append(server)
        does(server, event)

    one, two, three, four = (core.server(note) for _ in range(4))
    core.profiles["alice"] = (criterion(1, one, ORIGINATING), criterion(7, two, ORIGINATING))
    core.profiles["bob"] = (criterion(-3, three, TERMINATING), criterion(2, four, TERMINATING))
    core.call(BOB)
    assert order == [one, two, three, four]
    assert core.final == [200]
    assert core.scscf.sessions[ORIGINATING] == core.scscf.sessions[TERMINATING] == 1
    core.finish()


@rfc("5502-6", "TS24.229-5.4.3.2", "TS24.229-5.4.3.3")
def test_a_trusted_server_is_told_for_whom_it_is_asked() -> None:
    core = Core()
    at_caller, at_callee = core.server(returns), core.server(returns)
    core.profiles["alice"] = (criterion(1, at_caller, ORIGINATING),)
    core.profiles["bob"] = (criterion(1, at_callee, TERMINATING),)
    core.call(BOB_TEL)
    assert at_caller.seen[0].values("P-Served-User") == [f"<{ALICE}>;sescase=orig;regstate=reg"]
    assert at_callee.seen[0].values("P-Served-User") == [f"<{BOB}>;sescase=term;regstate=reg"]
    assert "P-Served-User" not in core.delivered[0]
    core.finish()


@rfc("5502-6", "3325-7", "TS24.229-5.4.3.2")
def test_a_stranger_learns_nothing_that_is_not_for_him() -> None:
    core = Core()
    stranger = core.server(returns, trusted=False)
    core.profiles["alice"] = (criterion(1, stranger, ORIGINATING),)
    told = (
        ("P-Access-Network-Info", "3GPP-E-UTRAN-FDD; utran-cell-id-3gpp=1"),
        ("P-Charging-Vector", "icid-value=1;pdp-info=x"),
    )
    core.call(BOB, *told, ("Privacy", "id"))
    (seen,) = stranger.seen
    for name in ("P-Served-User", "P-Access-Network-Info", "P-Asserted-Identity"):
        assert name not in seen
    assert seen.values("P-Charging-Vector") == ['icid-value=1;orig-ioi="Type 3home.example"']
    (delivered,) = core.delivered
    assert delivered.values("P-Asserted-Identity") == [f"<{ALICE}>", f"<{ALICE_TEL}>"], "as is known, not as is said"
    core.call(BOB)
    assert len(stranger.seen[1].values("P-Asserted-Identity")) == 2, "who wants no privacy is named"
    core.finish()


@rfc("3325-5", "TS24.229-5.4.3.2")
def test_a_stranger_who_sends_it_back_cannot_say_who_it_is_from() -> None:
    core = Core()

    def lies(server: Server, event: RequestReceived) -> None:
        event.request.set("P-Asserted-Identity", "<sip:police@ims.example>")
        event.request.set("P-Served-User", f"<{CAROL}>")
        server.send_back(event)

    core.profiles["alice"] = (criterion(1, core.server(lies, trusted=False), ORIGINATING),)
    core.call(BOB)
    assert core.delivered[0].values("P-Asserted-Identity") == [f"<{ALICE}>", f"<{ALICE_TEL}>"]
    core.profiles["alice"] = ()
    core.profiles["bob"] = (criterion(1, core.server(lies, trusted=False), TERMINATING),)
    core.call(BOB)
    assert "P-Asserted-Identity" not in core.delivered[1]
    core.finish()


@rfc("3325-5")
def test_a_stranger_who_diverts_to_a_service_calls_as_none_of_our_users() -> None:
    core = Core()

    def lies(server: Server, event: RequestReceived) -> None:
        event.request.set("From", "<sip:1001@ims.example>;tag=lies")
        server.send_back(event, uri=f"sip:{HOTLINE}@ims.example", b2bua=True)

    core.profiles["bob"] = (criterion(1, core.server(lies, trusted=False), TERMINATING),)
    core.call(BOB, method="INVITE")
    assert [call.identity for call in core.calls] == [""]


@rfc("TS24.229-5.4.3.2")
def test_an_originating_server_may_change_who_is_called_and_the_next_one_sees_that() -> None:
    core = Core()
    first, second = core.server(diverts(BOB)), core.server(returns)
    core.profiles["alice"] = (criterion(1, first, ORIGINATING), criterion(2, second, ORIGINATING))
    core.call(CAROL)
    assert second.seen[0].uri == BOB
    assert core.delivered[0].get("P-Called-Party-ID") == f"<{BOB}>"
    core.finish()


@rfc("TS24.229-5.4.3.3")
@pytest.mark.parametrize("b2bua", [False, True], ids=["proxy", "b2bua"])
def test_a_terminating_server_that_diverts_is_the_last_one(b2bua: bool) -> None:
    core = Core()
    diverting, never, at_carol = core.server(diverts(CAROL, b2bua=b2bua)), core.server(returns), core.server(returns)
    core.profiles["bob"] = (criterion(1, diverting, TERMINATING), criterion(2, never, TERMINATING))
    core.profiles["carol"] = (criterion(1, at_carol, TERMINATING),)
    core.register(CAROL)
    core.call(BOB)
    assert len(diverting.seen) == 1
    assert not never.seen
    assert [request.uri for request in at_carol.seen] == [CAROL]
    assert core.delivered[0].get("P-Called-Party-ID") == f"<{CAROL}>"
    assert core.final == [200]
    core.finish()


@rfc("TS24.229-5.4.3.3", "8498-4")
def test_a_user_may_have_services_for_what_is_diverted_for_him() -> None:
    core = Core()
    diverting, allowing = core.server(diverts(CAROL)), core.server(returns)
    core.profiles["bob"] = (criterion(1, diverting, TERMINATING), criterion(2, allowing, CDIV))
    core.register(CAROL)
    core.call(BOB)
    assert allowing.seen[0].values("P-Served-User") == [f"<{BOB}>;orig-cdiv"]
    assert allowing.seen[0].uri == CAROL
    assert core.final == [200]
    assert core.scscf.sessions[CDIV] == 1
    core.finish()


@rfc("TS24.229-5.4.3.3")
@pytest.mark.parametrize("alias", [BOB_TEL, BOBBY, f"sip:+8613800000002@{HERE};user=phone"])
def test_another_name_of_the_same_user_diverts_nothing(alias: str) -> None:
    core = Core()
    first, second = core.server(diverts(alias)), core.server(returns)
    core.profiles["bob"] = (criterion(1, first, TERMINATING), criterion(2, second, TERMINATING))
    core.call(BOB)
    assert [request.uri for request in second.seen] == [alias]
    assert core.delivered[0].get("P-Called-Party-ID") == f"<{alias}>"
    core.finish()


@rfc("TS24.229-5.4.3.3")
def test_the_same_user_with_other_services_is_another() -> None:
    core = Core()
    diverting, never, at_work = core.server(diverts(AT_WORK)), core.server(returns), core.server(returns)
    core.profiles["bob"] = (criterion(1, diverting, TERMINATING), criterion(2, never, TERMINATING))
    core.profiles["work"] = (criterion(1, at_work, TERMINATING),)
    core.call(BOB)
    assert not never.seen
    assert at_work.seen[0].values("P-Served-User") == [f"<{AT_WORK}>;sescase=term;regstate=reg"]
    assert core.delivered[0].get("P-Called-Party-ID") == f"<{AT_WORK}>"
    core.finish()


@rfc("TS24.229-5.4.3.2", "TS24.229-5.4.3.3")
@pytest.mark.parametrize("status", [408, 500, 503, 504])
@pytest.mark.parametrize("case", [ORIGINATING, TERMINATING])
def test_a_call_is_continued_without_a_server_that_does_not_serve(status: int, case: SessionCase) -> None:
    core = Core()
    failing, next_one = core.server(answers(status)), core.server(returns)
    core.profiles["alice"] = core.profiles["bob"] = (criterion(1, failing, case), criterion(2, next_one, case))
    core.call(BOB, method="INVITE")
    assert len(failing.seen) == len(next_one.seen) == 1
    assert core.final == [200]
    assert core.services.outcomes["continued"] == 1
    core.finish()


@rfc("TS24.229-5.4.3.2", "TS24.229-5.4.3.3")
@pytest.mark.parametrize(("status", "told"), [(408, 408), (500, 500), (503, 500), (504, 504)])
@pytest.mark.parametrize("case", [ORIGINATING, TERMINATING])
def test_a_call_is_ended_by_a_server_that_does_not_serve(status: int, told: int, case: SessionCase) -> None:
    core = Core()
    failing, never = core.server(answers(status)), core.server(returns)
    core.profiles["alice"] = core.profiles["bob"] = (
        criterion(1, failing, case, handling=TERMINATED),
        criterion(2, never, case),
    )
    core.call(BOB, method="INVITE")
    assert not never.seen
    assert core.final == [told], "a 503 says nothing of this hop (RFC 3261 16.7)"
    assert core.services.outcomes["terminated"] == 1
    core.finish()


@rfc("TS24.229-5.4.3.2", "4320-4.1")
@pytest.mark.parametrize(("method", "seconds"), [("INVITE", 2.0), ("MESSAGE", 4.0)])
def test_silence_is_no_service_after_the_configured_time(method: str, seconds: float) -> None:
    core = Core(patience=2.0)
    silent, next_one = core.server(says_nothing), core.server(returns)
    core.profiles["alice"] = (criterion(1, silent, ORIGINATING), criterion(2, next_one, ORIGINATING))
    core.call(BOB, method=method)
    core.network.run(seconds - 0.6)
    assert not next_one.seen, "to a MESSAGE a server may not say before that it is there"
    core.network.run(0.3)
    assert len(next_one.seen) == 1
    assert core.final == [200]
    core.finish()


@rfc("TS24.229-5.4.3.2")
def test_a_server_that_is_at_work_has_time() -> None:
    core = Core(patience=1.0)
    core.edge.answers = (180,)
    core.profiles["alice"] = (criterion(1, core.server(calls_anew), ORIGINATING),)
    core.call(BOB, method="INVITE")
    core.network.run(60.0)
    assert len(core.delivered) == 1
    core.edge.endpoint.reply(core.edge.requests[-1].transaction, 200)
    core.network.run(1.0)
    assert core.final == [200]
    core.finish()


@rfc("TS24.229-5.4.3.2", "4320-4.2")
@pytest.mark.parametrize(("method", "told"), [("INVITE", 408), ("MESSAGE", 504)])
def test_a_server_that_is_not_there_ends_the_call_if_the_user_must_not_do_without(method: str, told: int) -> None:
    core = Core(patience=2.0)
    core.profiles["alice"] = (criterion(1, "sip:198.51.100.99:5060", ORIGINATING, handling=TERMINATED),)
    core.call(BOB, method=method)
    core.network.run(4.0)
    assert core.final == [told]
    assert not core.delivered
    assert core.services.outcomes["terminated"] == 1
    core.finish()


@rfc("TS24.229-5.4.3.2", "TS24.229-5.4.3.3")
@pytest.mark.parametrize("does", [returns, calls_anew], ids=["proxy", "b2bua"])
def test_a_server_that_sent_it_back_did_serve_whatever_comes_of_it(does: Doing) -> None:
    core = Core()
    first, second, never = core.server(does), core.server(answers(503)), core.server(returns)
    core.profiles["alice"] = (
        criterion(1, first, ORIGINATING),
        criterion(2, second, ORIGINATING, handling=TERMINATED),
        criterion(3, never, ORIGINATING),
    )
    core.call(BOB, method="INVITE")
    assert (len(first.seen), len(second.seen), len(never.seen)) == (1, 1, 0)
    assert core.final == [500]
    core.profiles["alice"] = core.profiles["alice"][:1]
    core.edge.answers = (500,)
    core.call(BOB, method="INVITE")
    assert len(core.delivered) == 1, "nor is a callee who fails called again"
    core.finish()


@rfc("TS24.229-5.4.3.2")
@pytest.mark.parametrize("status", [302, 404, 486, 603])
def test_any_other_final_response_is_the_servers_word(status: int) -> None:
    core = Core()
    refusing, never = core.server(answers(status)), core.server(returns)
    core.profiles["alice"] = (criterion(1, refusing, ORIGINATING), criterion(2, never, ORIGINATING))
    core.call(BOB, method="INVITE")
    assert core.final == [status]
    assert not never.seen
    assert core.services.outcomes["refused"] == 1
    core.finish()


@rfc("TS24.229-5.4.3.2")
def test_once_the_caller_heard_it_ring_a_failure_is_a_failure() -> None:
    core = Core()

    def rings_and_fails(server: Server, event: RequestReceived) -> None:
        for status in (180, 500):
            server.endpoint.reply(event.transaction, status)

    failing, never = core.server(rings_and_fails), core.server(returns)
    core.profiles["alice"] = (criterion(1, failing, ORIGINATING), criterion(2, never, ORIGINATING))
    core.call(BOB, method="INVITE")
    assert core.final == [500]
    assert not never.seen
    assert core.services.outcomes["refused"] == 1
    core.finish()


@rfc("3261-16.10", "TS24.229-5.4.3.2")
@pytest.mark.parametrize("is_at_work", [True, False])
def test_who_gives_up_gets_no_other_server(is_at_work: bool) -> None:
    core = Core(patience=2.0)

    def tries(server: Server, event: RequestReceived) -> None:
        if is_at_work:
            server.endpoint.reply(event.transaction, 100)

    silent, never = core.server(tries), core.server(returns)
    core.profiles["alice"] = (criterion(1, silent, ORIGINATING), criterion(2, never, ORIGINATING))
    core.call(BOB, method="INVITE")
    core.edge.endpoint.cancel(core.last)
    core.network.run(1.0)
    if is_at_work:
        silent.endpoint.reply(silent.requests[-1].transaction, 487)
    core.finish()
    assert not never.seen
    assert core.final == [487 if is_at_work else 408]
    assert not core.delivered


@rfc("TS24.229-5.4.3.3")
def test_without_the_last_server_of_who_is_not_registered_he_is_not_there() -> None:
    core = Core()
    core.deregister(BOB)
    core.profiles["bob"] = (criterion(1, core.server(answers(500)), part=ProfilePart.UNREGISTERED),)
    core.call(BOB, method="INVITE")
    assert core.final == [480]
    core.finish()


@rfc("TS23.218-5.2")
def test_a_server_in_this_process_is_handed_the_request() -> None:
    core = Core()
    first = core.server(returns)
    core.profiles["alice"] = (criterion(1, first, ORIGINATING), criterion(2, "sip:us@ims.example", ORIGINATING))
    core.call(BOB, method="INVITE")
    (call,) = core.calls
    assert call.identity == "+8613800000001"
    assert call.request.values("P-Served-User") == [f"<{ALICE}>;sescase=orig;regstate=reg"]
    assert not core.delivered
    assert core.services.outcomes["handed"] == 1


@rfc("TS24.229-5.4.3.2")
def test_a_server_in_this_process_takes_over_from_one_that_does_not_serve() -> None:
    core = Core()
    core.profiles["alice"] = (
        criterion(1, core.server(answers(503)), ORIGINATING),
        criterion(2, "sip:us@ims.example", ORIGINATING),
    )
    core.call(BOB, method="INVITE")
    assert len(core.calls) == 1
    assert core.final == [200]


@rfc("TS24.229-5.4.3.4")
@pytest.mark.parametrize("trusted", [True, False])
def test_what_is_no_identifier_of_ours_leads_nowhere(trusted: bool) -> None:
    core = Core()
    server = core.server(returns, trusted=trusted)
    core.profiles["alice"] = (criterion(1, server, ORIGINATING),)
    core.call(BOB)
    token = parse_name_addr(server.seen[0].values("Route")[1]).uri.user
    forged = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    for user in (forged, "odi.", "odi.x", token[:40], f"{token}A"):
        core.send(BOB, ("Route", f"<sip:{user}@{HERE};lr>"), by=server)
        assert server.statuses[-1] == (481 if trusted else 403), user
    core.send(BOB, ("Route", f"<sip:{token}@{HERE};lr>"), by=server)
    assert server.statuses[-1] == 200
    core.network.run(3700.0)
    core.send(BOB, ("Route", f"<sip:{token}@{HERE};lr>"), by=server)
    assert server.statuses[-1] == (481 if trusted else 403), "too old"
    core.finish()


@rfc("TS24.229-5.4.3.4")
def test_it_survives_a_restart_but_not_another_secret() -> None:
    core = Core()
    waiting: list[RequestReceived] = []
    first = core.server(lambda _, event: waiting.append(event))
    second = core.server(returns)
    core.profiles["alice"] = (criterion(1, first, ORIGINATING), criterion(2, second, ORIGINATING))
    core.call(BOB)
    core.network.detach(core.node)
    core.start()
    first.send_back(waiting[0], b2bua=True)
    core.network.run(1.0)
    assert (len(first.seen), len(second.seen), len(core.delivered)) == (1, 1, 1)
    core.network.detach(core.node)
    core.start(b"another one")
    first.send_back(waiting[0], b2bua=True)
    core.network.run(1.0)
    assert len(core.delivered) == 1
    assert first.statuses[-1] == 481


@rfc("5393-4.2", "3261-16.3")
def test_a_server_that_sends_it_round_in_circles_is_stopped_at_once() -> None:
    core = Core()
    looping = core.server(lets_go)
    core.profiles["bob"] = (criterion(1, looping, TERMINATING, handling=TERMINATED),)
    core.call(BOB)
    assert len(looping.seen) == 1
    assert core.final == [482]
    core.finish()


@rfc("TS24.229-5.4.3.2", "TS24.229-4.5.4", "7315-4.6")
def test_each_hop_is_told_by_which_network_the_request_was_sent() -> None:
    core = Core()
    charged = ("P-Charging-Vector", 'icid-value=charged-1;orig-ioi="Type 3as.example"')

    def answers_for_itself(server: Server, event: RequestReceived) -> None:
        event.request.set(*charged)
        server.send_back(event)

    at_caller, at_callee = core.server(answers_for_itself), core.server(answers_for_itself)
    core.profiles["alice"] = (criterion(1, at_caller, ORIGINATING),)
    core.profiles["bob"] = (criterion(1, at_callee, TERMINATING),)
    core.call(BOB, VECTOR)
    for server in (at_caller, at_callee):
        assert server.seen[0].values("P-Charging-Vector") == ['icid-value=charged-1;orig-ioi="Type 3home.example"']
    assert core.delivered[0].values("P-Charging-Vector") == ['icid-value=charged-1;orig-ioi="Type 1home.example"']
    to_caller = core.responses()[-1]
    assert to_caller.values("P-Charging-Vector") == [f'{VECTOR[1]};term-ioi="Type 1home.example"']
    to_server = at_caller.events[-1].response  # type: ignore[union-attr]
    vector = charging_vector(to_server)
    assert vector is not None
    assert vector.params["term-ioi"] == "Type 3home.example"
    core.finish()


@rfc("TS24.229-5.7.3", "TS24.229-5.4.3.1")
def test_a_server_may_call_for_a_user_who_is_not_registered() -> None:
    core = Core()
    core.deregister(ALICE)
    server, served = core.server(returns), core.server(returns)
    core.profiles["alice"] = (criterion(1, served, SessionCase.ORIGINATING_UNREGISTERED),)
    core.send(BOB, SERVER_ORIG, ("P-Served-User", f"<{ALICE}>;sescase=orig;regstate=unreg"), by=server)
    assert server.statuses == [200]
    assert served.seen[0].values("P-Served-User") == [f"<{ALICE}>;sescase=orig;regstate=unreg"]
    core.finish()


@rfc("TS24.229-5.4.3.2")
def test_what_a_service_number_is_answered_by_may_be_a_server_elsewhere() -> None:
    core = Core()
    server = core.server(answers(200))
    core.network.detach(core.node)
    core.start(service=server.uri)
    core.call(f"sip:{HOTLINE}@ims.example", VECTOR, method="INVITE")
    (seen,) = server.seen
    assert routes(seen) == [f"{server.uri};lr"]
    assert seen.values("P-Charging-Vector") == ['icid-value=charged-1;orig-ioi="Type 3home.example"']
    assert core.final == [200]
    core.network.detach(server)
    core.call(f"tel:{HOTLINE};phone-context=ims.example", method="INVITE")
    core.network.run(4.0)
    assert core.final == [200, 408]
