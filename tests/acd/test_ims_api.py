"""The HTTP routes of an S-CSCF: who is registered, and off the network with him."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import httpx
import pytest

from acd.http import create_app
from acd.ims.api import registration_routes
from acd.metrics import Metrics, Readings
from ims_core.registrar.location import Binding
from ims_core.subscribers.directory import Directory
from tests.acd.test_http import FakeFloor
from tests.ims_core.registrar.test_lost_subscribers import Unreadable
from tests.kit import Network
from tests.kit.home import ALICE, ALICE_TEL, OFFICE, Handset, Home

if TYPE_CHECKING:
    from acd.ims.serving import Serving


@pytest.fixture
def home() -> Home:
    return Home(Network())


@pytest.fixture
async def client(home: Home) -> AsyncIterator[httpx.AsyncClient]:
    clock = home.endpoint.clock
    routes = registration_routes(cast("Serving", home), home.node.settle, clock, lambda: 1_800_000_000.0)
    app = create_app(FakeFloor(), Metrics({}, Readings), None, routes)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(cast("Any", app)), base_url="http://acd") as client:
        yield client


def at(identity: str) -> str:
    return f"/api/v1/registrations/{quote(identity, safe='')}"


async def test_contacts_of_subscribers_are_shown_and_no_others(home: Home, client: httpx.AsyncClient) -> None:
    alice = Handset(home)
    alice.enrol(ALICE)
    home.location.add(Binding("sip:agent@ims.example", "sip:agent@192.0.2.7"))
    response = await client.get("/api/v1/registrations")
    (shown,) = response.json()["items"]
    assert (shown["identity"], shown["private"], shown["contact"]) == (ALICE, "alice@ims.example", alice.uri)
    assert shown["expires"].startswith("2027-01-15T08:")


@pytest.mark.rfc("TS24.229-5.4.1.5")
@pytest.mark.parametrize("identity", [ALICE, ALICE_TEL, "tel:+86-138-0000-0001", "sips:+8613800000001@IMS.example"])
async def test_an_identity_in_any_form_takes_the_whole_set_off(
    home: Home, client: httpx.AsyncClient, identity: str
) -> None:
    Handset(home).enrol(ALICE)
    response = await client.delete(at(identity), params={"reason": "rejected"})
    assert (response.status_code, response.json()) == (200, {"contacts": 1})
    assert home.contacts(ALICE) == []


async def test_who_is_no_subscriber_any_more_can_be_taken_off(home: Home, client: httpx.AsyncClient) -> None:
    Handset(home).enrol(ALICE)
    home.identities.subscribers = Directory((), None)  # type: ignore[arg-type]
    assert (await client.delete(at(ALICE))).json() == {"contacts": 1}
    response = await client.delete(at(ALICE))
    assert (response.status_code, response.json()["detail"]) == (404, f"{ALICE!r} is nobody's identity")


async def test_a_database_that_does_not_answer_is_no_defect_of_ours(home: Home, client: httpx.AsyncClient) -> None:
    Handset(home).enrol(ALICE)
    home.identities.subscribers = Unreadable()
    response = await client.delete(at(OFFICE))
    assert (response.status_code, response.json()["detail"]) == (503, "the database of subscribers does not answer")
    assert (await client.delete(at(ALICE))).json() == {"contacts": 1}, "whoever is registered can be taken off"
