"""Whom the S-CSCF takes off the network, the P-CSCF of ``configs/ims.toml`` refuses itself from then on."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Server, wait_until
from tests.peers.kit.ims import DOMAIN, NUMBERS, Core, Handset

pytestmark = [pytest.mark.peer("sipp"), pytest.mark.rfc("TS24.229-5.2.3", "TS24.229-5.4.1.5")]


def shows(server: Server, name: str, value: float) -> None:
    """Wait for a metric."""
    wait_until(lambda: server.metrics()[name] == value, 10.0, f"{name} {value}")


@pytest.mark.parametrize("shape", ["hops", "processes"])
def test_a_handset_that_an_operator_takes_off_is_refused_at_the_first_hop(
    bench: Bench, shape: Literal["hops", "processes"]
) -> None:
    core = Core(bench, shape)
    first_hop = core.servers[0]
    handset, other = Handset(core, 1), Handset(core, 2)
    handset.register()
    other.register()
    shows(first_hop, "acd_ims_watches", 2)
    status, _ = core.registrar.change("DELETE", f"registrations/tel:{NUMBERS[0]}?reason=rejected")
    assert status == 200
    shows(first_hop, "acd_ims_handsets", 1)
    handset.start("ims_refused", number=NUMBERS[1], changes={"STATUS": "403"}).succeed()
    sessions = core.registrar.metrics()
    assert sessions["acd_ims_sessions_total{case=originating}"] == 0, "the S-CSCF has not heard of the call"
    assert first_hop.metrics()["acd_ims_watch_news_total{news=taken_off}"] == 1
    (line,) = first_hop.logged("handset.taken_off")
    assert (line["identity"], line["reason"]) == (f"sip:{NUMBERS[0]}@{DOMAIN}", "rejected")
    handset.register()
    shows(first_hop, "acd_ims_watches", 2)
    handset.register(0)
    other.register(0)
    shows(first_hop, "acd_ims_watches", 0)
    shows(core.registrar, "acd_ims_watchers", 0)


def test_a_p_cscf_that_is_not_to_watch_does_not(bench: Bench) -> None:
    core = Core(bench, "hops", **{"ims.pcscf.watches": False})
    Handset(core, 1).register()
    assert "acd_ims_watches" not in core.engine.metrics()
    assert core.engine.metrics()["acd_ims_watchers"] == 0
