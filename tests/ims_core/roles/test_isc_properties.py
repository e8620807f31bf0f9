"""Whatever application servers do: requests come to an end, and no server has two turns in one session case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ims_core.messages.message import Request
from ims_core.profiles.model import Criterion, DefaultHandling, SessionCase
from ims_core.transactions.endpoint import RequestReceived
from tests.kit.isc import (
    ALICE,
    BOB,
    BOB_TEL,
    CAROL,
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

Doing = Callable[[Server, RequestReceived], None]

BEHAVIOURS: dict[str, Doing] = {
    "returns": returns,
    "calls anew": calls_anew,
    "lets go": lets_go,
    "says nothing": says_nothing,
    **{f"answers {status}": answers(status) for status in (200, 302, 408, 480, 486, 500, 503, 603)},
    **{
        f"diverts to {uri}{' anew' * b2bua}": diverts(uri, b2bua=b2bua)
        for uri in (ALICE, BOB, BOB_TEL, CAROL, "sip:nobody@ims.example", "sip:x@elsewhere.example")
        for b2bua in (False, True)
    },
}
CASES = (
    None,
    SessionCase.ORIGINATING,
    SessionCase.TERMINATING_REGISTERED,
    SessionCase.TERMINATING_UNREGISTERED,
    SessionCase.ORIGINATING_CDIV,
)
PARAMETERS = {
    "sescase=orig;regstate=reg": SessionCase.ORIGINATING,
    "sescase=term;regstate=reg": SessionCase.TERMINATING_REGISTERED,
    "sescase=term;regstate=unreg": SessionCase.TERMINATING_UNREGISTERED,
    "orig-cdiv": SessionCase.ORIGINATING_CDIV,
}
SERVERS = 4
Wanted = list[tuple[int, SessionCase | None, DefaultHandling]]
criteria = st.lists(
    st.tuples(st.integers(0, SERVERS - 1), st.sampled_from(CASES), st.sampled_from(DefaultHandling)), max_size=5
)


class Setting(NamedTuple):
    """What each server does, and the criteria of users: number of the server, session case, default handling."""

    doing: list[str]
    alice: Wanted
    bob: Wanted
    carol: Wanted
    carol_is_there: bool = True
    method: str = "INVITE"


def made(core: Core, servers: list[Server], wanted: Wanted) -> tuple[Criterion, ...]:
    return tuple(
        criterion(priority, servers[number], case, handling=handling)
        for priority, (number, case, handling) in enumerate(wanted)
    )


def case_of(request: Request) -> SessionCase:
    return PARAMETERS[request.require("P-Served-User").partition(">;")[2]]


@pytest.mark.rfc("TS24.229-5.4.3.2", "TS24.229-5.4.3.3", "TS23.218-5.2")
@settings(max_examples=150)
@given(
    st.builds(
        Setting,
        st.lists(st.sampled_from(sorted(BEHAVIOURS)), min_size=SERVERS, max_size=SERVERS),
        criteria,
        criteria,
        criteria,
        st.booleans(),
        st.sampled_from(("INVITE", "MESSAGE")),
    )
)
@example(  # two who divert to each other, each with a new call
    Setting(
        [f"diverts to {CAROL} anew", f"diverts to {BOB} anew", "returns", "returns"],
        [],
        [(0, SessionCase.TERMINATING_REGISTERED, DefaultHandling.SESSION_CONTINUED)],
        [(1, SessionCase.TERMINATING_REGISTERED, DefaultHandling.SESSION_CONTINUED)],
    )
)
def test_every_request_comes_to_an_end(setting: Setting) -> None:
    core = Core(patience=1.0)
    servers = [core.server(BEHAVIOURS[each]) for each in setting.doing]
    for name in ("alice", "bob", "carol"):
        core.profiles[name] = made(core, servers, getattr(setting, name))
    if setting.carol_is_there:
        core.register(CAROL)
    core.call(BOB, method=setting.method)
    core.finish()
    assert len(core.final) == 1
    for server in servers:
        visits = Counter({request.via.branch: case_of(request) for request in server.seen}.values())
        for case, count in visits.items():
            assert count <= core.scscf.sessions[case], "once in each session case of each user"


@pytest.mark.rfc("TS24.229-5.4.3.2", "TS24.229-5.4.3.3", "TS23.218-5.2")
@settings(max_examples=60)
@given(
    alice=criteria,
    bob=criteria,
    doing=st.lists(st.sampled_from(["returns", "calls anew"]), min_size=SERVERS, max_size=SERVERS),
)
def test_servers_that_take_part_have_their_turns_in_order(alice: Wanted, bob: Wanted, doing: list[str]) -> None:
    core = Core()
    turns: list[tuple[SessionCase, int]] = []

    def noted(number: int, does: Doing) -> Doing:
        def do(server: Server, event: RequestReceived) -> None:
            turns.append((case_of(event.request), number))
            does(server, event)

        return do

    servers = [core.server(noted(number, BEHAVIOURS[each])) for number, each in enumerate(doing)]
    core.profiles["alice"], core.profiles["bob"] = made(core, servers, alice), made(core, servers, bob)
    core.call(BOB)
    expected: list[tuple[SessionCase, int]] = []
    for case, wanted in ((SessionCase.ORIGINATING, alice), (SessionCase.TERMINATING_REGISTERED, bob)):
        asked = [number for number, when, _ in wanted if when in {None, case}]
        expected += [(case, number) for number in dict.fromkeys(asked)]
    assert turns == expected
    assert core.final == [200]
    assert len(core.delivered) == 1
    core.finish()
