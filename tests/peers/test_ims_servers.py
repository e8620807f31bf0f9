"""Calls between handsets of the shipped IMS core by way of application servers: one that serves, one that does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ports
from tests.peers.conftest import Bench
from tests.peers.kit import LOOPBACK, Kamailio, Server, wait_until
from tests.peers.kit.ims import DOMAIN, NUMBERS, Core, Handset, Shape
from tests.peers.test_kamailio_neighbour import lines

pytestmark = pytest.mark.peer("sipp")
CONFIG = Path(__file__).with_name("kamailio_as.cfg")
ELSEWHERE = "127.0.0.2"


CRITERION = """
[[profiles.default.criteria]]
priority = {0}
server = "sip:{1}"
default_handling = "{3}"
all = [{{ method = "INVITE" }}, {{ case = "{2}" }}]
"""


class Amended(Bench):
    """A bench whose servers have more criteria in their configuration."""

    def __init__(self, bench: Bench, ports: Ports, *criteria: tuple[int, str, str, str]) -> None:
        super().__init__(bench.directory, ports, bench.keep)
        self.tables = "".join(CRITERION.format(*each) for each in criteria)

    def serve(self, config: str = "ims.toml", **options: Any) -> Server:
        changes = {**options.pop("changes"), "[http]": f"{self.tables}[http]"}
        return super().serve(config, changes=changes, **options)


def core_with(bench: Amended, shape: Shape, **settings: object) -> tuple[Handset, Handset, Core]:
    """Start the core with criteria for everybody; returns the two handsets, registered, as well."""
    core = Core(bench, shape, **{"ims.answer_seconds": 3.0, **settings})
    caller, callee = Handset(core, 1), Handset(core, 2)
    caller.register()
    callee.register()
    return caller, callee, core


def server_of_theirs(bench: Bench) -> str:
    """Start an application server at an address of its own; returns it with its port."""
    port = bench.port()
    at = f"{ELSEWHERE}:{port}"
    listens = {
        f"listen={transport}:LISTEN": f"listen={transport}:{at}\nlisten={transport}:LISTEN"
        for transport in ("udp", "tcp")
    }
    theirs = Kamailio(CONFIG, bench.directory, port, {"DIVERT": "", **listens})
    bench.keep(theirs)
    theirs.wait_until_ready()
    return at


@pytest.mark.peer("kamailio")
@pytest.mark.rfc("TS24.229-5.4.3.2", "TS24.229-5.4.3.3", "TS24.229-5.4.3.4", "3325-5")
@pytest.mark.parametrize(("shape", "trusted"), [("hops", True), ("together", True), ("hops", False)])
def test_a_call_passes_servers_of_both_users_and_goes_on_without_one(
    bench: Bench, ports: Ports, shape: Shape, trusted: bool
) -> None:
    at = server_of_theirs(bench)
    amended = Amended(
        bench,
        ports,
        (21, f"{LOOPBACK}:{bench.port()}", "originating", "continued"),
        (22, at, "originating", "terminated"),
        (23, at, "terminating", "continued"),
    )
    caller, callee, core = core_with(amended, shape, **{"ims.trusted": [ELSEWHERE] * trusted})
    phone = callee.waits()
    call = caller.calls(NUMBERS[1])
    phone.succeed()
    invite = phone.heard("INVITE ")[0]
    asserted = [f"<sip:{NUMBERS[0]}@{DOMAIN}>", f"<tel:{NUMBERS[0]}>"]
    assert lines(invite, "P-Asserted-Identity") == (asserted if trusted else []), "by the callee's server"
    assert lines(invite, "P-Served-User") == lines(invite, "P-Charging-Vector") == []
    assert sum(via.partition(";")[0].endswith(at) for via in lines(invite, "Via")) == 2
    assert call.said("reached") == [f"<sip:{NUMBERS[1]}@{DOMAIN}>"]
    metrics = core.registrar.metrics()
    outcomes = {
        outcome: metrics[f"acd_ims_server_requests_total{{outcome={outcome}}}"]
        for outcome in ("returned", "answered", "continued", "terminated")
    }
    assert outcomes == {"returned": 2, "answered": 2, "continued": 1, "terminated": 0}


@pytest.mark.rfc("TS24.229-5.4.3.2")
@pytest.mark.parametrize("shape", ["hops", "together"])
def test_a_call_ends_with_a_server_that_the_user_must_not_do_without(bench: Bench, ports: Ports, shape: Shape) -> None:
    amended = Amended(bench, ports, (21, f"{LOOPBACK}:{bench.port()}", "originating", "terminated"))
    caller, _, core = core_with(amended, shape)
    caller.start("ims_refused", number=NUMBERS[1], changes={"STATUS": "408"}).succeed()
    wait_until(
        lambda: core.registrar.metrics()["acd_ims_server_requests_total{outcome=terminated}"] == 1, what="it is counted"
    )
