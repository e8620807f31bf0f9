"""Calls within the IMS core that an application server of the callee's diverts outside: he pays for them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Ports
from tests.peers.conftest import Bench
from tests.peers.kit import LOOPBACK, Server
from tests.peers.kit.ims import DOMAIN, Core, Handset, Shape
from tests.peers.test_examples import run
from tests.peers.test_ims_servers import Amended

pytestmark = pytest.mark.peer("sipp")
OUTSIDE = "13900139000"
TRUNK = """
[trunks.voice]
servers = ["sip:{0}:{1}"]
ping_seconds = 0

[[outbound]]
match = ["1[3-9]xxxxxxxxx"]
trunks = ["voice"]

"""


class WithTrunk(Amended):
    """A bench whose servers have a trunk to ``port``, which accounts ``may`` use or not, and a server at ``at``."""

    def __init__(self, bench: Bench, ports: Ports, at: str, port: int, *, may: bool) -> None:
        super().__init__(bench, ports, (21, at, "terminating_unregistered", "terminated"))
        self.tables += TRUNK.format(LOOPBACK, port)
        self.may = may

    def serve(self, config: str = "ims.toml", **options: Any) -> Server:
        rights = {'roles = ["agent"]': f'roles = ["agent"]\nmay_call_outside = {str(self.may).lower()}'}
        return super().serve(config, **{**options, "changes": {**options["changes"], **rights}})


@pytest.mark.rfc("8498-4", "TS24.229-5.4.3.3")
@pytest.mark.parametrize(("may", "shape"), [(True, "processes"), (False, "processes"), (True, "together")])
def test_whose_calls_are_diverted_outside_pays_for_them_if_he_may(
    bench: Bench, ports: Ports, may: bool, shape: Shape
) -> None:
    trunk = bench.sipp("agent")
    _, (host, port) = run(bench, "call_forwarding", "1001", f"sip:{OUTSIDE}@{DOMAIN}")
    core = Core(WithTrunk(bench, ports, f"{host}:{port}", trunk.port, may=may), shape)
    caller = Handset(core, 1)
    caller.register()
    if may:
        caller.calls("1001")
        trunk.succeed()
        (record,) = core.engine.wait_for_cdrs()
        assert (record["caller"], record["trunk_out"]) == ("1001", "voice"), "not the caller, who may not call outside"
    else:
        caller.start("ims_refused", number="1001", changes={"STATUS": "404"}).succeed()
        assert trunk.running
