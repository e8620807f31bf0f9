"""The hops of ``configs/ims.toml`` as processes, of which one is gone: what happens to calls, and what callers get."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import wait_until
from tests.peers.kit.ims import NUMBERS, Core, Handset

pytestmark = pytest.mark.peer("sipp")


@pytest.mark.rfc("3261-16.11", "3261-16.12")
@pytest.mark.parametrize("place", [0, 1], ids=["P-CSCF", "S-CSCF"])
def test_a_call_ends_through_a_hop_that_was_killed_meanwhile(bench: Bench, place: int) -> None:
    core = Core(bench, "processes")
    caller, callee = Handset(core, 1), Handset(core, 2)
    caller.register()
    callee.register()
    phone = callee.waits()
    call = caller.start("ims_call", number=NUMBERS[1], pause=8.0)
    wait_until(lambda: phone.received("ACK ") == 1, what="they talk")
    core.kill(place)
    core.start(place)
    call.succeed()
    phone.succeed()
    for handset in (caller, callee):  # whoever registered a moment before may be forgotten
        handset.register()
    phone = callee.waits()
    caller.calls(NUMBERS[1])
    phone.succeed()


@pytest.mark.rfc("TS24.229-5.4.3.3", "TS24.229-5.7.1")
def test_callers_of_a_number_are_told_that_its_server_is_gone_until_it_is_back(bench: Bench) -> None:
    core = Core(bench, "processes", **{"ims.answer_seconds": 2.0})
    handset = Handset(core, 1)
    handset.register()
    core.kill(2)
    handset.start("ims_refused", number="10000", changes={"STATUS": "408"}).succeed()
    core.start(2)
    handset.calls("10002")
    core.engine.wait_until_idle()
    # the first INVITE may come to the server again before it is given up, and is cancelled then
    (ended,) = [line for line in core.engine.logged("call.ended") if line["dialled"] == "10002"]
    assert ended["caller"] == NUMBERS[0]
