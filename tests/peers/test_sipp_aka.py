"""SIPp registers with a USIM of its own: Digest AKA by each way at once."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ims_core.registrar.identities import Identities
from ims_core.registrar.ims import ImsEnrolment
from ims_core.registrar.registrar import Registrar
from ims_core.registrar.registrations import Registrations
from ims_core.security.aka import AkaAuthenticator
from ims_core.subscribers.centre import AuthenticationCentre, aka
from ims_core.subscribers.database import SequenceLedger, SubscriberDatabase, open_database
from ims_core.subscribers.identities import public_identity
from ims_core.subscribers.sequence import SequenceNumbers
from ims_core.subscribers.subscriber import Aka, Subscriber
from tests.kit.milenage_sets import MILENAGE_SETS
from tests.peers.conftest import Bench
from tests.peers.kit import WAYS, Sipp
from tests.peers.kit.elements import Here, here, succeed

pytestmark = pytest.mark.peer("sipp")

EACH = len(WAYS)
DOMAIN = "ims.example"
FIRST = MILENAGE_SETS[0]


@asynccontextmanager
async def registrar(bench: Bench, path: Path) -> AsyncIterator[tuple[Here, AkaAuthenticator]]:
    """An element with the registrar of an S-CSCF, whose subscribers are named after the ways and lie in a file."""
    database = open_database(path)
    async with here(bench) as us:
        element = us.element
        centre = AuthenticationCentre(SequenceNumbers(lambda now: time.time(), SequenceLedger(database)), os.urandom)
        subscribers = SubscriberDatabase(database, centre)
        keys = aka(FIRST.k.hex(), op=FIRST.op.hex(), amf=FIRST.amf.hex())
        number = public_identity
        subscribers.put(
            Subscriber(
                f"{way.name}@{DOMAIN}",
                keys,
                ((number(f"sip:{way.name}@{DOMAIN}"), number(f"tel:+861380000{place:04}")),),
            )
            for place, way in enumerate(WAYS)
        )
        authenticator = AkaAuthenticator(DOMAIN, subscribers, os.urandom(16))
        registrations = Registrations(Identities(subscribers, element.location), element.node.endpoint.clock)
        enrolment = ImsEnrolment(element.domains, registrations, {Aka: authenticator})
        element.register = Registrar(element.domains, element.location, element.ids, enrolment=enrolment).handle
        yield us, authenticator
    database.close()


def come(us: Here) -> list[Sipp]:
    """Have SIPp register the user that each way is named after."""
    return [
        us.bench.sipp(
            "register_aka",
            remote=us.at(way),
            way=way,
            keys={"caller": way.name},
            options=["-au", f"{way.name}@{DOMAIN}", "-auth_uri", DOMAIN],
        )
        for way in WAYS
    ]


@pytest.mark.rfc("3310-3.2", "3310-3.3", "TS24.229-5.4.1.2.2", "TS33.203-6.1.1")
async def test_a_usim_registers_registers_again_and_leaves(bench: Bench, tmp_path: Path) -> None:
    async with registrar(bench, tmp_path / "subscribers.db") as (us, authenticator):
        phones = come(us)
        await succeed(phones)
        assert [phone.said("is") for phone in phones] == [
            [f"<sip:{way.name}@{DOMAIN}>, <tel:+861380000{place:04}>"] for place, way in enumerate(WAYS)
        ]
        assert authenticator.verdicts() == {"accepted": 3 * EACH, "missing": 3 * EACH, "stale": 0, "wrong": 0}
        assert not len(us.element.location)
