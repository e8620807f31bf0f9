"""A proxy whose next hops are names: a contact, and the servers that are found for it."""

from __future__ import annotations

import pytest

from ims_core.locate.records import Answer, Question, Srv
from ims_core.registrar.location import Binding
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.session_events import Answered, Rejected
from tests.kit import DOMAIN, NODE_ADDRESS, Network, Phone, Site

BOB = f"sip:bob@{DOMAIN}"


class Lab:
    """A node with bob's contact at a name, which two phones serve, and alice, who calls him.

    The DNS takes a tenth of a second.
    """

    def __init__(self, contact: str = "sip:bob@lab.example") -> None:
        self.network = Network()
        self.site = Site(self.network)
        self.phones = [Phone(self.network, f"bob {n}") for n in range(2)]
        self.alice = self.site.phone("alice")
        self.site.location.add(Binding(BOB, contact))
        self.site.node.courier.resolver.ask = self._ask

    def _ask(self, question: Question) -> None:
        hosts = {f"s{n}.lab.example": phone.address[0] for n, phone in enumerate(self.phones)}
        answer = Answer((), 60)
        if question == Question("SRV", "_sip._udp.lab.example"):
            answer = Answer(tuple(Srv(n, 0, 5060, name) for n, name in enumerate(hosts)), 60)
        elif question.kind == "A" and question.name in hosts:
            answer = Answer((hosts[question.name],), 60)
        self.network.call_later(0.1, lambda: self.site.node.resolved(question, answer))

    def call(self) -> OutgoingCall:
        return self.alice.call(BOB, sdp=b"offer")

    def rejections(self, call: OutgoingCall) -> list[int]:
        return [event.status for event in self.alice.told_by(call) if isinstance(event, Rejected)]


@pytest.mark.rfc("3261-16.6", "3263-4")
def test_a_request_goes_to_the_servers_of_its_contact() -> None:
    lab = Lab()
    call = lab.call()
    lab.network.run(2.0)
    assert any(isinstance(event, Answered) for event in lab.alice.told_by(call))
    assert [len(phone.incoming) for phone in lab.phones] == [1, 0]
    call.hang_up()
    lab.network.run()
    lab.site.assert_idle()


@pytest.mark.rfc("3263-4.3", "3261-16.7")
def test_the_caller_does_not_learn_of_a_server_that_did_not_serve() -> None:
    lab = Lab()
    lab.phones[0].on_call = lambda incoming: incoming.reject(503)
    call = lab.call()
    lab.network.run(2.0)
    assert any(isinstance(event, Answered) for event in lab.alice.told_by(call))
    assert [len(phone.incoming) for phone in lab.phones] == [1, 1]
    invites = lab.network.packets("INVITE", by=NODE_ADDRESS)
    assert len({packet.message.via.branch for packet in invites}) == 2
    assert [len(packet.message.values("Record-Route")) for packet in invites] == [1, 1]
    assert [len(packet.message.values("Via")) for packet in invites] == [2, 2]
    call.hang_up()
    lab.network.run()
    lab.site.assert_idle()


@pytest.mark.rfc("3261-16.7", "3261-16.9")
def test_a_name_without_servers_is_as_one_that_cannot_be_reached() -> None:
    lab = Lab("sip:bob@nobody.example")
    call = lab.call()
    lab.network.run()
    assert lab.rejections(call) == [500], "step 6: a 503 of its own is none of the caller's"
    lab.site.assert_idle()


@pytest.mark.rfc("3261-16.10", "3261-9.2")
def test_a_call_that_is_given_up_while_its_name_is_looked_up() -> None:
    lab = Lab()
    call = lab.call()
    lab.network.run(0.05)
    call.hang_up()
    lab.network.run()
    assert lab.network.packets("487 INVITE")
    assert not lab.network.packets("INVITE", by=NODE_ADDRESS)
    lab.site.assert_idle()


@pytest.mark.rfc("3261-16.10", "3261-9.1")
def test_a_cancel_reaches_the_server_that_took_over() -> None:
    lab = Lab()
    lab.phones[0].on_call = lambda incoming: incoming.reject(503)
    lab.phones[1].on_call = lambda incoming: incoming.progress(180)
    call = lab.call()
    lab.network.run(2.0)
    call.hang_up()
    lab.network.run()
    (cancel,) = lab.network.packets("CANCEL", by=NODE_ADDRESS)
    assert cancel.flow.remote == lab.phones[1].address
    assert lab.network.packets("487 INVITE", by=NODE_ADDRESS)
    lab.site.assert_idle()


@pytest.mark.rfc("3261-16.4", "3261-16.6")
def test_a_route_may_name_a_host() -> None:
    lab = Lab("sip:bob@192.0.2.99")
    (held,) = lab.site.location.bindings(BOB)
    lab.site.location.refresh(held, Binding(BOB, held.contact, path=("<sip:lab.example;lr>",)))
    call = lab.call()
    lab.network.run(2.0)
    (invite,) = lab.network.packets("INVITE", by=NODE_ADDRESS)
    assert invite.flow.remote == lab.phones[0].address
    assert invite.message.values("Route") == ["<sip:lab.example;lr>"]
    call.hang_up()
    lab.network.run()
    lab.site.assert_idle()
