"""An S-CSCF of ours in the process of the test, with subscribers on every way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ims_core.profiles.model import Criterion, ServiceProfile
from ims_core.registrar.identities import Identities
from ims_core.registrar.location import Binding
from ims_core.roles.isc import ServiceControl
from ims_core.roles.original_dialog import OriginalDialogs
from ims_core.roles.serving import ServingCscf
from ims_core.subscribers.centre import AuthenticationCentre
from ims_core.subscribers.directory import Directory
from ims_core.subscribers.identities import public_identity
from ims_core.subscribers.sequence import SequenceNumbers
from ims_core.subscribers.subscriber import Password, Subscriber
from tests.peers.kit.elements import Here, here
from tests.peers.kit.sipp import Sipp
from tests.peers.kit.ways import WAYS, Way

if TYPE_CHECKING:
    from tests.peers.conftest import Bench

DOMAIN = "ims.example"


def callee(way: Way) -> str:
    return f"to-{way.name}"


def subscriber(name: str) -> Subscriber:
    identity = public_identity(f"sip:{name}@{DOMAIN}", profile=name)
    return Subscriber(f"{name}@{DOMAIN}", Password("demo"), ((identity,),))


class Core:
    """An S-CSCF; on each way a user of that name calls "to-" him, who has a phone there."""

    def __init__(self, us: Here, patience: float) -> None:
        self.us = us
        element = us.element
        self.profiles: dict[str, ServiceProfile] = {}
        names = [name for way in WAYS for name in (way.name, callee(way))]
        directory = Directory(map(subscriber, names), AuthenticationCentre(SequenceNumbers(lambda now: now), bytes))
        self.services = ServiceControl(
            self.profiles.get,
            OriginalDialogs(f"sip:127.0.0.1:{us.port}", b"secret"),
            network="home.example",
            in_process={},
            trusts=lambda uri: True,
            patience=patience,
        )
        self.scscf = ServingCscf(
            element.domains,
            Identities(directory, element.location),
            self.services,
            network="home.example",
            is_trusted=lambda request, flow: True,
            is_service=lambda number: False,
            service="",
        )
        element.route = self.scscf.route
        for way in WAYS:
            self._bind(way.name, way.uri(way.name, 9))

    def serve(self, name: str, *criteria: Criterion) -> None:
        """Give a user a service profile."""
        self.profiles[name] = ServiceProfile(name, criteria)

    async def phones(self, *, calls: int = 1) -> list[Sipp]:
        """Have a phone of each callee wait for so many calls."""
        phones = await self.us.waiting("agent", options=["-trace_msg"], calls=calls)
        for way, phone in zip(WAYS, phones, strict=True):
            self._bind(callee(way), way.uri(way.name, phone.port))
        return phones

    def call(self) -> list[Sipp]:
        """Have each user call."""
        return [
            self.us.bench.sipp(
                "call_served", remote=self.us.at(way), way=way, number=callee(way), keys={"caller": way.name}
            )
            for way in WAYS
        ]

    def _bind(self, name: str, contact: str) -> None:
        self.us.element.location.add(Binding(f"sip:{name}@{DOMAIN}", contact))
        while self.us.element.location.next_event() is not None:
            pass


@asynccontextmanager
async def core(bench: Bench, *, patience: float = 20.0) -> AsyncIterator[Core]:
    """Run an S-CSCF that waits so many seconds for a server to say anything."""
    async with here(bench) as us:
        yield Core(us, patience)
