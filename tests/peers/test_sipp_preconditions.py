"""SIPp as VoLTE handsets that reserve a bearer before they talk: to each other through our proxies, and to the hotline.

Handsets come by each way, UDP and TCP over IPv4 and IPv6, and all at once.
"""

from __future__ import annotations

import pytest

from ims_core.proxy.forking import Target
from ims_core.roles.routing import Forward
from tests.peers.conftest import Bench
from tests.peers.kit import WAYS, Server, Sipp
from tests.peers.kit.elements import Here, succeed
from tests.peers.kit.ims import NUMBERS, Core, Handset, Shape
from tests.peers.test_sipp_proxies import hub

pytestmark = pytest.mark.peer("sipp")

EACH = len(WAYS)
OPEN = {"sip.authentication": "off"}
CALLER = {"caller": "alice", "there": "none", "names": "Require"}
ECHO = "10002"


def bodies(phone: Sipp, *starts: str, sent: bool) -> list[str]:
    """The session descriptions of the messages that begin so."""
    traced = phone.sent if sent else phone.heard
    texts = [message.replace("\r", "") for start in starts for message in traced(start)]
    return [text.partition("\n\n")[2].strip() for text in texts if "\n\nv=0" in text]


def assert_heard_alike(caller: Sipp, callee: Sipp) -> None:
    """Each heard what the other described, to the letter."""
    for starts in (("INVITE ", "UPDATE "), ("SIP/2.0 183", "SIP/2.0 200")):
        teller, listener = (caller, callee) if starts[0] == "INVITE " else (callee, caller)
        told = bodies(teller, *starts, sent=True)
        assert len(told) >= 2
        assert bodies(listener, *starts, sent=False) == told


@pytest.mark.rfc("3312-13.2", "3312-6", "3261-16.6")
async def test_two_handsets_reserve_first_through_our_proxy(bench: Bench) -> None:
    async with hub(bench) as us:
        callees = await us.registered("agent_preconditions", options=["-trace_msg"], pause=0.05)
        callers = us.call("call_preconditions", keys=CALLER, options=["-trace_msg"], pause=0.05)
        await succeed(callers, callees)
        for caller, callee in zip(callers, callees, strict=True):
            assert_heard_alike(caller, callee)
            assert [line for line in caller.messages if "\tR\t" in line and " 180 " in line]


@pytest.mark.rfc("3312-13.2", "3261-16.6")
async def test_two_handsets_reserve_first_through_two_proxies(bench: Bench) -> None:
    async with hub(bench) as home:
        front = Here(bench)
        onwards = f"<sip:127.0.0.1:{home.port};lr>"
        front.element.route = lambda request, flow, now: Forward((Target(request.uri, route=(onwards,)),))
        async with front.element:
            callees = await home.registered("agent_preconditions", options=["-trace_msg"], pause=0.05)
            callers = [
                bench.sipp(
                    "call_preconditions", remote=front.at(way), way=way, number=way.name, keys=CALLER, pause=0.05,
                    options=["-trace_msg"],
                )
                for way in WAYS
            ]  # fmt: skip
            await succeed(callers, callees)
            for caller, callee in zip(callers, callees, strict=True):
                assert_heard_alike(caller, callee)


@pytest.mark.rfc("3312-13.2", "3261-16.6")
def test_subscribers_reserve_first_through_the_server(bench: Bench) -> None:
    server = bench.serve()
    callee = bench.sipp(
        "agent_preconditions",
        port=bench.register(server, "caller2"),
        keys={"caller": "agent"},
        options=["-trace_msg"],
        pause=0.1,
    )
    caller = bench.sipp(
        "call_preconditions", remote=server.sip, port=bench.register(server, "caller1"), number="caller2",
        keys={**CALLER, "caller": "caller1"}, options=["-trace_msg"], pause=0.1,
    )  # fmt: skip
    caller.succeed()
    callee.succeed()
    assert_heard_alike(caller, callee)
    server.wait_until_idle()


def dial(bench: Bench, server: Server, scenario: str = "call_preconditions", **options: object) -> list[Sipp]:
    """Have a handset of each way call; as TS 24.229 has it, it names the option in Supported."""
    keys = {"there": "sendrecv", "caller": "handset", "names": "Supported"}
    return bench.each_way(scenario, server, **{"keys": keys, **options})


@pytest.mark.rfc("3312-6", "3312-7", "3312-11", "TS24.229-6.1.3")
def test_a_handset_calls_the_queue_and_the_agent_rings_when_it_can_talk(bench: Bench) -> None:
    server, agents = bench.serve_each_way()
    phones = bench.each_way("agent", port=agents, keys={"caller": "agent"}, options=["-trace_msg"])
    callers = dial(bench, server, pause=0.5)
    for sipp in (*callers, *phones):
        sipp.succeed()
    for phone in phones:
        (invite,) = phone.heard("INVITE ")
        assert "precondition" not in invite
        assert "qos" not in invite
    cdrs = server.wait_for_cdrs(EACH)
    assert {cdr["outcome"] for cdr in cdrs} == {"answered"}
    for cdr in cdrs:
        steps = [step["event"] for step in cdr["timeline"]]
        assert steps[:4] == ["call.arrived", "caller.reserved", "call.answered", "call.queued"]
    waits = server.logged("resources.awaited")
    assert [wait["outcome"] for wait in waits] == ["met"] * EACH
    assert all(wait["seconds"] >= 0.5 for wait in waits)
    assert server.metrics()["acd_resources_wait_seconds_count{outcome=met}"] == EACH
    server.wait_until_idle()


@pytest.mark.rfc("3312-6", "3311-5.2")
@pytest.mark.parametrize("number", ["10000", ECHO])
def test_a_handset_calls_the_hotline(bench: Bench, number: str) -> None:
    server = bench.serve(settings=OPEN)
    for caller in dial(bench, server, number=number, pause=0.2):
        caller.succeed()
    server.wait_until_idle()


@pytest.mark.rfc("3312-6", "3262-3", "3262-5")
def test_a_handset_may_confirm_in_its_prack(bench: Bench) -> None:
    server = bench.serve(settings=OPEN)
    for caller in dial(bench, server, "call_preconditions_prack", number=ECHO):
        caller.succeed()
        assert [len(caller.said(what)) for what in ("reserved", "answered")] == [1, 1]
    server.wait_until_idle()


@pytest.mark.rfc("3312-8", "3312-9")
@pytest.mark.parametrize(
    ("scenario", "waited"),
    [
        ("call_preconditions_failed", "failed"),
        ("call_preconditions_silent", "unconfirmed"),
        ("call_preconditions_unknown", ""),
    ],
)
def test_a_handset_without_a_bearer_gets_580_and_no_agent_rings(bench: Bench, scenario: str, waited: str) -> None:
    server, agents = bench.serve_each_way(settings={"sip.reservation_seconds": 1})
    phones = bench.each_way("agent", port=agents, keys={"caller": "agent"})
    for caller in dial(bench, server, scenario):
        caller.succeed()
        assert len(caller.said("refused")) == 1
    cdrs = server.wait_for_cdrs(EACH)
    assert {(cdr["outcome"], cdr["reason"]) for cdr in cdrs} == {("rejected", "580 Precondition Failure")}
    assert {wait["outcome"] for wait in server.logged("resources.awaited")} == ({waited} if waited else set())
    assert [phone.received("INVITE") for phone in phones] == [0] * EACH
    server.wait_until_idle()


@pytest.mark.rfc("3312-6", "3261-9.2")
def test_a_handset_gives_up_before_it_has_a_bearer(bench: Bench) -> None:
    server = bench.serve(settings=OPEN)
    for caller in dial(bench, server, "call_preconditions_left", number=ECHO, pause=0.1):
        caller.succeed()
    assert {cdr["outcome"] for cdr in server.wait_for_cdrs(EACH)} == {"cancelled"}
    assert {wait["outcome"] for wait in server.logged("resources.awaited")} == {"left"}
    server.wait_until_idle()


by_shape = pytest.mark.parametrize("shape", ["hops", "together"])


@pytest.mark.rfc("3312-13.2", "TS24.229-5.2.6.3", "TS24.229-5.4.3.2")
@by_shape
def test_two_handsets_reserve_first_through_the_core(bench: Bench, shape: Shape) -> None:
    core = Core(bench, shape)
    caller, callee = Handset(core, 1), Handset(core, 2)
    caller.register()
    callee.register()
    phone = callee.start("agent_preconditions", at_core=False, pause=0.05)
    keys = {"there": "none", "names": "Supported"}
    call = caller.start("call_preconditions", number=NUMBERS[1], keys=keys, pause=0.05)
    call.succeed()
    phone.succeed()
    assert_heard_alike(call, phone)


@pytest.mark.rfc("3312-6", "TS24.229-5.7.1", "TS24.229-6.1.3")
@by_shape
def test_a_handset_of_the_core_calls_the_hotline(bench: Bench, shape: Shape) -> None:
    core = Core(bench, shape)
    handset = Handset(core, 1)
    handset.register()
    keys = {"there": "sendrecv", "names": "Supported"}
    handset.start("call_preconditions", number="10000", keys=keys, pause=0.1).succeed()
    handset.start("call_preconditions_failed", number=ECHO, keys=keys).succeed()
    assert [wait["outcome"] for wait in core.engine.logged("resources.awaited")] == ["met", "failed"]
    core.engine.wait_until_idle()
