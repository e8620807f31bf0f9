"""Emergency calls and falling back through the IMS core in each of its shapes, with SIPp as handset and as service."""

from __future__ import annotations

from typing import Any

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import LOOPBACK, Server, Sipp, wait_until
from tests.peers.kit.ims import DOMAIN, NUMBERS, SHAPES, Core, Handset, Phone, Shape
from tests.peers.test_kamailio_neighbour import lines

pytestmark = pytest.mark.peer("sipp")
by_each_shape = pytest.mark.parametrize("shape", SHAPES)


def serve(bench: Bench, shape: Shape, *psaps: int) -> Core:
    """The core with a trunk for emergencies to each of these ports."""
    names = [f"psap{number}" for number in range(len(psaps))]
    servers = {f"trunks.{name}.servers": [f"sip:{LOOPBACK}:{port}"] for name, port in zip(names, psaps, strict=True)}
    pings = {f"trunks.{name}.ping_seconds": 0 for name in names}
    return Core(bench, shape, **{"emergency.trunks": names, **servers, **pings})


def steps(server: Server) -> dict[str, float]:
    metrics = server.metrics()
    return {
        step: metrics[f"acd_emergency_requests_total{{step={step}}}"] for step in ("called", "answered", "diverted")
    }


def call_for_help(bench: Bench, core: Core, uri: str, *, port: int = 0, caller: str = "nobody") -> None:
    bench.sipp("sos", remote=core.address, port=port, keys={"caller": caller, "uri": uri}).succeed()


@pytest.mark.rfc("TS24.229-5.2.10.2", "TS24.229-5.2.10.3", "5031-4.2")
@by_each_shape
def test_anybody_reaches_the_service_past_the_core(bench: Bench, shape: Shape) -> None:
    port = bench.port()
    core = serve(bench, shape, port)
    service: Sipp = bench.sipp("agent", port=port, calls=3, keys={"caller": "psap"}, options=["-trace_msg"])
    handset = Handset(core, 1)
    call_for_help(bench, core, "urn:service:sos.police")
    call_for_help(bench, core, f"sip:110@{DOMAIN}")
    handset.register()
    call_for_help(bench, core, "urn:service:sos", port=handset.port, caller=handset.user)
    service.succeed()
    heard = service.heard("INVITE ")
    assert {invite.split()[1] for invite in heard} == {
        "urn:service:sos.police", f"sip:110@{LOOPBACK}:{port};user=phone", "urn:service:sos"
    }  # fmt: skip
    known = [invite for invite in heard if invite.startswith("INVITE urn:service:sos SIP")]
    assert [lines(invite, "P-Asserted-Identity") for invite in known] == [[f"<sip:{NUMBERS[0]}@{DOMAIN}>"]]
    assert all("Content-ID: <target1@ue.invalid>" in invite for invite in heard)
    assert sum(lines(invite, "P-Asserted-Identity") == [] for invite in heard) == 2
    assert steps(core.servers[0]) == {"called": 3, "answered": 3, "diverted": 0}
    assert [line["trunk"] for line in core.servers[0].logged("emergency.answered")] == ["psap0"] * 3


@pytest.mark.rfc("TS24.229-5.2.10.5")
@by_each_shape
def test_without_a_service_the_handset_is_told_by_its_p_cscf(bench: Bench, shape: Shape) -> None:
    core = serve(bench, shape, bench.port())
    handset = Handset(core, 1)
    handset.register()
    told = bench.sipp(
        "sos_diverted", remote=core.address, port=handset.port, keys={"caller": handset.user, "uri": "urn:service:sos"}
    )
    told.succeed()
    (by,) = [line.partition(" by ")[2] for line in told.said("diverted")]
    host = f"{core.address[0]}:{core.address[1]}"
    assert f"@{host};lr" in by or by == f"sip:{host}"
    assert steps(core.servers[0]) == {"called": 1, "answered": 0, "diverted": 1}


@by_each_shape
def test_a_call_outside_without_a_trunk_is_refused_through_all_hops(
    bench: Bench, shape: Shape, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve, trunk = bench.serve, f"sip:{LOOPBACK}:{bench.port()}"
    tables = f'''[trunks.voice]
servers = ["{trunk}"]
ping_seconds = 0
[[outbound]]
match = ["1[3-9]xxxxxxxxx"]
trunks = ["voice"]

[http]'''
    changes = {'roles = ["agent"]': 'roles = ["agent"]\nmay_call_outside = true', "[http]": tables}

    def with_trunk(config: str, **options: Any) -> Server:
        return serve(config, **{**options, "changes": {**options["changes"], **changes}})

    monkeypatch.setattr(bench, "serve", with_trunk)
    core = Core(bench, shape)
    phone = Phone(core, "1001")
    phone.register()
    refused = phone.start("ims_refused", number="13900139000", changes={"STATUS": "503"})
    refused.succeed()
    (answer,) = refused.heard("SIP/2.0 503")
    assert lines(answer, "Retry-After") == []
    assert core.engine.logged("call.fell_back")[0]["reason"] == "408 No answer"


def test_a_handset_whose_core_is_gone_is_told_to_fall_back(bench: Bench) -> None:
    core = Core(bench, "processes")
    handset = Handset(core, 1)
    handset.register()
    core.registrar.end()
    refused = handset.start("ims_refused", number=NUMBERS[1], changes={"STATUS": "503"})
    refused.succeed()
    (answer,) = refused.heard("SIP/2.0 503")
    assert lines(answer, "Retry-After") == []
    assert "3gpp-ims" not in answer
    edge = core.servers[0]
    wait_until(lambda: edge.logged("call.fell_back"), what="the line of it")
    assert edge.metrics()["acd_fallbacks_total"] == 1
