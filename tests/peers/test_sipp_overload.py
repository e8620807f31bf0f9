"""Overload, as SIPp sees it by each way at once: 503 with Retry-After for what is new, and what must pass passes."""

from __future__ import annotations

import pytest

from ims_core.security.admission import Admission
from tests.peers.conftest import Bench
from tests.peers.kit import WAYS
from tests.peers.kit.elements import here, succeed

pytestmark = pytest.mark.peer("sipp")

ASKED, RATE = 60, 60.0


@pytest.mark.rfc("3261-21.5.4", "4412-3.1")
async def test_what_is_new_is_put_off_and_what_has_priority_is_not(bench: Bench) -> None:
    """No datagram is as young as this element wants it, so that it finds itself overloaded by the first of them."""
    async with here(bench) as us:
        door = us.element.node.door
        door.admission = Admission(target=1e-9)
        usual, urgent = (
            us.come("asks_under_load", calls=ASKED, rate=RATE, keys={"caller": "alice", "more": more})
            for more in ("Priority: normal", "Resource-Priority: ets.0")
        )
        await succeed(usual, urgent)
        refused = [len(sipp.said("refused")) for sipp in usual]
        assert min(refused) > 0
        assert [sipp.said("refused") for sipp in urgent] == [[]] * len(WAYS)
        assert {sipp.counts().successful for sipp in (*usual, *urgent)} == {ASKED}
        assert door.rejected.keys() == {"OPTIONS"}
