"""Emergency calls over real sockets: SIPp is who calls for help, known to nobody, and the service that helps."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from ims_core.flow import Flow
from ims_core.locate.courier import Several
from ims_core.messages.message import Request
from ims_core.proxy.forking import Target
from ims_core.roles.emergency import Emergency, Plan, Way
from ims_core.roles.routing import HERE, Decision, ToService
from ims_core.security.admission import Admission
from tests.peers.conftest import Bench
from tests.peers.kit import WAYS, Server, Sipp, wait_until
from tests.peers.kit.elements import here, succeed

pytestmark = pytest.mark.peer("sipp")

EACH = len(WAYS)
SOS = "urn:service:sos"
CALLS = 20


def serve(bench: Bench, *psaps: int, **settings: object) -> Server:
    """The server with a trunk for emergencies to each of these ports."""
    trunks: dict[str, object] = {}
    for number, port in enumerate(psaps):
        trunks[f"trunks.psap{number}.servers"] = [f"sip:127.0.0.1:{port}"]
        trunks[f"trunks.psap{number}.ping_seconds"] = 0
    names = [f"psap{number}" for number in range(len(psaps))]
    return bench.serve(settings={**trunks, "emergency.trunks": names, **settings})


def psap(bench: Bench, port: int, calls: int | None, **options: Any) -> Sipp:
    return bench.sipp(
        "agent", port=port, calls=calls, options=["-trace_msg", "-aa"], **{"keys": {"caller": "psap"}, **options}
    )


def steps(server: Server) -> dict[str, float]:
    start = "acd_emergency_requests_total{step="
    return {name[len(start) : -1]: count for name, count in server.metrics().items() if name[: len(start)] == start}


@pytest.mark.rfc("TS24.229-5.2.10.2", "3261-16.5", "3261-16.12")
def test_a_stranger_reaches_the_service_with_his_location_and_hangs_up(bench: Bench) -> None:
    port = bench.port()
    server = serve(bench, port)
    service = psap(bench, port, EACH + 1)
    callers = bench.each_way("sos", server, keys={"caller": "nobody", "uri": f"{SOS}.fire"}, pause=0.3)
    callers.append(bench.sipp("sos", remote=server.sip, keys={"caller": "nobody", "uri": "tel:110"}))
    for sipp in (*callers, service):
        sipp.succeed()
    heard = service.heard("INVITE")
    uris = {invite.split()[1] for invite in heard}
    assert uris == {f"{SOS}.fire", f"sip:110@127.0.0.1:{port};user=phone"}
    for invite in heard:
        assert "Geolocation: <cid:target1@ue.invalid>" in invite
        assert "Content-Type: multipart/mixed;boundary=boundary1" in invite
        assert "Content-ID: <target1@ue.invalid>" in invite
        assert "P-Access-Network-Info: 3GPP-E-UTRAN-FDD" in invite
        assert "P-Asserted-Identity" not in invite, "nobody asserts himself"
    counted = steps(server)
    assert (counted["called"], counted["answered"], counted["diverted"]) == (EACH + 1, EACH + 1, 0)
    assert {line["service"] for line in server.logged("emergency.answered")} == {f"{SOS}.fire", "110"}
    server.wait_until_idle()


@pytest.mark.rfc("3263-4.3")
@pytest.mark.parametrize("how", ["503", "dead"])
def test_the_next_trunk_takes_the_emergency_call(bench: Bench, how: str) -> None:
    ports = bench.port(), bench.port()
    server = serve(bench, *ports)
    if how == "503":
        bench.sipp("agent_overloaded", port=ports[0], calls=None)
    service = psap(bench, ports[1], 1)
    bench.sipp("sos", remote=server.sip, keys={"caller": "nobody", "uri": SOS}).succeed()
    service.succeed()
    assert server.logged("emergency.failed_over")[0]["status"] == (503 if how == "503" else 408)


@pytest.mark.rfc("TS24.229-5.2.10.5", "TS24.229-7.6.2")
@pytest.mark.parametrize("trunk", [False, True], ids=["no trunk", "a dead trunk"])
def test_where_nobody_helps_the_handset_is_told_to_call_another_network(bench: Bench, trunk: bool) -> None:
    server = serve(bench, *([bench.port()] if trunk else []))
    uris = f"{SOS}.ambulance", "sip:120@ims.example"
    callers = [
        sipp for uri in uris for sipp in bench.each_way("sos_diverted", server, keys={"caller": "nobody", "uri": uri})
    ]
    for sipp in callers:
        sipp.succeed()
    said = [line.split()[0] for sipp in callers for line in sipp.said("diverted")]
    assert said == [f"{SOS}.ambulance"] * EACH + [SOS] * EACH
    assert steps(server)["diverted"] == 2 * EACH


@pytest.mark.rfc("TS24.229-5.2.1")
def test_a_full_server_that_drains_takes_emergency_calls(bench: Bench) -> None:
    port = bench.port()
    server = serve(bench, port, **{"limits.calls": 1, "server.drain_seconds": 20})
    service = psap(bench, port, None)
    talking = bench.visit(server, "caller1", number="10002", pause=4.0)
    server.wait_for_call("echo")
    bench.visit(server, "caller2", scenario="call_drained", number="10002").succeed()
    bench.sipp("sos", remote=server.sip, keys={"caller": "nobody", "uri": SOS}).succeed()
    server.signal(signal.SIGTERM)
    wait_until(lambda: server.logged("server.draining"), 5, "the drain")
    bench.sipp("call_drained", remote=server.sip).succeed()
    for sipp in bench.each_way("sos", server, keys={"caller": "nobody", "uri": SOS}):
        sipp.succeed()
    talking.succeed()
    assert server.wait(20) == 0, server.report()
    assert len(service.heard("INVITE")) == 1 + EACH


@pytest.mark.rfc("TS24.229-5.2.1", "3261-21.5.4")
async def test_under_overload_emergency_calls_come_first(bench: Bench) -> None:
    """No datagram is as young as this element wants it, so that it finds itself overloaded by the first of them."""
    async with here(bench) as us:
        services = await us.waiting("agent", calls=CALLS)
        ports = {(way.host, way.tcp): sipp.port for way, sipp in zip(WAYS, services, strict=True)}

        def ways(called: str, flow: Flow) -> list[Way]:
            way = next(way for way in WAYS if (way.host, way.tcp) == (flow.local[0], flow.reliable))
            return [Way("psap", Target(called, Several((way.uri("psap", ports[way.host, way.tcp]),), or_else=True)))]

        role = Emergency(
            plan=Plan,
            serves=us.element.domains.serves,
            ways=ways,
            trusts=lambda _: False,
            own_uri=lambda _: "",
            on_step=lambda _: None,
        )

        def route(request: Request, flow: Flow, now: float) -> Decision:
            return role.decide(request, flow) or ToService(HERE)

        us.element.route = route
        door = us.element.node.door
        door.is_emergency = role.concerns
        door.admission = Admission(target=1e-9)
        usual = us.come(
            "asks_under_load", calls=3 * CALLS, rate=60.0, keys={"caller": "alice", "more": "Priority: normal"}
        )
        urgent = us.come("sos", calls=CALLS, rate=20.0, keys={"caller": "nobody", "uri": SOS})
        await succeed(urgent, services, usual)
        assert door.admission.is_limiting
        assert door.rejected["OPTIONS"] > 0
        assert door.rejected["INVITE"] == 0
