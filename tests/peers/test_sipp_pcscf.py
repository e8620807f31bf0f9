"""Our P-CSCF between SIPp's handsets, by each way, and SIPp's home network; either lies or tells too much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ims_core.roles.first_hop import FirstHop
from ims_core.roles.flow_token import FlowTokens
from ims_core.roles.handsets import Handsets
from ims_core.roles.icid import Icids
from ims_core.roles.neighbours import Neighbours
from ims_core.roles.pcscf_hop import PcscfHop
from ims_core.roles.secagree import SecurityAgreement
from tests.peers.conftest import Bench
from tests.peers.kit import WAYS
from tests.peers.kit.elements import Here, succeed, until

pytestmark = pytest.mark.peer("sipp")


class Edge(Here):
    """A P-CSCF whose home network is at ``home``, a port of this host."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.home = bench.port()

    def serve(self) -> None:
        element = self.element
        self.handsets = Handsets(element.location)
        first_hop = FirstHop(
            self.handsets,
            icids=Icids(b"secret", host="127.0.0.1", network="visited.example", number=element.ids.call_id),
            trusts=Neighbours([("127.0.0.1", self.home)]).knows,
            agreement=SecurityAgreement(),
        )
        hop = PcscfHop(
            first_hop,
            self.handsets,
            tokens=FlowTokens(b"another secret", element.addresses),
            domains=element.domains,
            uri=f"sip:127.0.0.1:{self.port}",
            home=f"sip:127.0.0.1:{self.home}",
            network="visited.example",
        )
        element.register = element.route = hop.route
        element.node.within = first_hop.within
        element.node.on_location = self.handsets.changed
        self.dialogs = first_hop.dialogs


@asynccontextmanager
async def edge(bench: Bench) -> AsyncIterator[Edge]:
    us = Edge(bench)
    async with asyncio.timeout(30.0), us.element:
        us.serve()
        yield us
        await until(lambda: not us.element.node.proxy.active, "nothing is forwarded any more")


@pytest.mark.rfc(
    "TS24.229-5.2.2.1",
    "TS24.229-5.2.6.3.3",
    "TS24.229-5.2.6.3.9",
    "TS24.229-5.2.6.4.3",
    "TS24.229-5.2.6.4.4",
    "TS24.229-5.2.6.4.9",
)
@pytest.mark.rfc("3325-5", "3325-7", "3323-5.3", "3327-5.1", "3608-6.1", "6223-4.3", "7315-4.2", "7315-4.6")
async def test_handsets_register_call_and_are_called(bench: Bench) -> None:
    async with edge(bench) as us:
        home = bench.sipp("home", port=us.home, calls=len(WAYS), keys={"caller": "ue"})
        handsets = us.come("handset", keys={"caller": "ue"})
        await succeed(handsets, [home])
        assert [handset.said("answered") for handset in handsets] == [["<sip:bob@home.example>"]] * len(WAYS)
        assert home.said("protected") == ['integrity-protected="ip-assoc-pending"'] * len(WAYS)
        charged = home.said("charged")
        assert len(set(charged)) == len(WAYS)
        assert all(charged.count(identifier) == 2 for identifier in charged), "one for each dialog"
        assert len(us.handsets) == len(us.dialogs) == 0
