"""What the door lets in under overload of what begins: registrations that are held, and what ends a call."""

from __future__ import annotations

import pytest

from ims_core.flow import Flow
from ims_core.messages.message import Response
from ims_core.messages.parser import parse_message
from ims_core.security.admission import Admission
from ims_core.security.door import Door
from tests.kit import DOMAIN, NODE_ADDRESS, SERVICE_NUMBER, Network, Site, request_bytes

STRANGER = Flow("UDP", NODE_ADDRESS, ("198.51.100.77", 5060))


@pytest.fixture
def site() -> Site:
    return Site(Network())


def overloaded(site: Site) -> Door:
    """Let no new request be admitted any more."""
    door = site.node.door
    door.admission = Admission()
    door.admission.rate = 1e-9
    return door


def exchange(site: Site, data: bytes, flow: Flow = STRANGER) -> list[Response]:
    site.node.receive(data, flow)
    sent = [parse_message(each) for _, each in site.node.data_to_send()]
    return [message for message in sent if isinstance(message, Response)]


def register(user: str) -> bytes:
    """A REGISTER without credentials."""
    to = f"<sip:{user}@{DOMAIN}>"
    return request_bytes("REGISTER", f"sip:{DOMAIN}", to=to, from_=f"{to};tag=a1")


@pytest.mark.parametrize("user", ["bob", "nobody"])
def test_under_overload_a_registration_that_is_new_is_turned_away(site: Site, user: str) -> None:
    alice = site.phone("alice")
    door = overloaded(site)
    (response,) = exchange(site, register(user))
    assert response.status == 503
    assert int(response.require("Retry-After")) >= 1
    assert door.rejected == {"REGISTER": 1}
    alice.register()
    site.network.run(1)
    assert alice.statuses[-1] == 200, "while one that is renewed passes"
    assert door.rejected == {"REGISTER": 1}


def test_under_overload_a_registration_is_renewed_from_another_flow(site: Site) -> None:
    alice = site.phone("alice")
    door = overloaded(site)
    (response,) = exchange(site, register("alice"))
    assert response.status == 401, "asked for the password, not turned away"
    moved = site.phone("alice", register=False)
    assert moved.address != alice.address
    moved.register()
    site.network.run(1)
    assert moved.statuses[-1] == 200
    assert not door.rejected


def test_under_overload_whoever_has_registered_by_a_flow_may_register_more_by_it(site: Site) -> None:
    alice = site.phone("alice")
    door = overloaded(site)
    (response,) = exchange(site, register("bob"), Flow("UDP", NODE_ADDRESS, alice.address))
    assert response.status == 401
    assert not door.rejected


def test_under_overload_a_call_that_has_not_been_answered_can_be_given_up(site: Site) -> None:
    site.on_call = lambda call: call.progress(180)
    alice = site.phone("alice")
    leg = alice.call(f"sip:{SERVICE_NUMBER}@{DOMAIN}", sdp=b"offer")
    site.network.run(1)
    assert alice.statuses[-1] == 180
    door = overloaded(site)
    leg.hang_up()
    site.network.run(1)
    assert alice.statuses[-1] == 487
    assert not door.rejected
    site.network.run()
    site.assert_idle()


def test_under_overload_a_cancel_that_came_too_late_gets_its_answer_all_the_same(site: Site) -> None:
    door = overloaded(site)
    assert [response.status for response in exchange(site, request_bytes("CANCEL"))] == [481]
    assert not door.rejected
