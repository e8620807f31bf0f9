"""The P-CSCF of ``configs/ims.toml`` between SIPp's handsets and its other hops."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit.ims import NUMBERS, Core, Handset

pytestmark = pytest.mark.peer("sipp")


@pytest.mark.rfc("TS24.229-5.2.2.1", "TS24.229-5.2.6.3.3")
def test_handsets_need_not_register_again_when_their_first_hop_starts_anew(bench: Bench) -> None:
    core = Core(bench, "processes")
    caller, callee = Handset(core, 1), Handset(core, 2)
    caller.register()
    callee.register()
    core.servers[0].stop()
    core.start(0)
    phone = callee.waits()
    caller.calls(NUMBERS[1])
    phone.succeed()
