"""Whom the phones of one process are told that they talk to: users by what they proved, strangers not at all."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from ims_core.flow import format_address
from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.registrar.location import Domains
from ims_core.roles.asserting import Asserting
from ims_core.roles.relay import Relay
from ims_core.transactions.endpoint import ResponseReceived
from tests.kit import NODE_ADDRESS, Network, Party, Phone, Site, request_bytes

rfc = pytest.mark.rfc
LIE = ("P-Asserted-Identity", "<sip:boss@ims.example>")


class Lab:
    """Alice registered, Bob who answers nothing by himself, a trunk, and another domain."""

    def __init__(self) -> None:
        self.network = Network()
        self.trunk = Party(self.network, "trunk")
        self.other = Party(self.network, "other", answers=(200,))
        domains = Domains("ims.example", [format_address(NODE_ADDRESS)])
        hop = f"sip:{format_address(self.other.address)}"
        relay = Relay(is_local=domains.serves, domains={"lab.example": hop})
        self.site = Site(self.network, trunks=[self.trunk.address[0]], relay=relay)
        asserting = Asserting("ims.example", is_trusted=lambda _, flow: flow.remote == self.trunk.address)
        self.site.node._router.asserting = asserting  # type: ignore[attr-defined]
        self.site.node.within = asserting.within
        self.alice, self.bob = self.site.phone("alice"), self.site.phone("bob")
        self.bob.react = lambda event: None

    def ask(
        self,
        party: Party,
        method: str = "MESSAGE",
        uri: str = "sip:bob@ims.example",
        *headers: tuple[str, str],
        **fields: str,
    ) -> None:
        who = {"from_": f"<sip:{party.name}@ims.example>;tag=1", **fields}
        request = parse_message(request_bytes(method, uri, headers=headers, **who))  # type: ignore[arg-type]
        assert isinstance(request, Request)
        request.remove("Via")
        party.endpoint.request(request, party.flow(NODE_ADDRESS), None)
        self.network.run(0.1)

    def at_bob(self) -> Request:
        return self.bob.requests[-1].request

    def answer(self, *headers: tuple[str, str], party: Phone | None = None) -> None:
        party = party or self.bob
        party.endpoint.reply(party.requests[-1].transaction, 200, headers=headers)
        self.network.run(0.1)


@rfc("3325-5", "3325-9.1", "TS24.229-5.2.6.3.3")
@pytest.mark.parametrize("headers", [(), (LIE,), (LIE, LIE), (("P-Preferred-Identity", LIE[1]),)])
def test_a_user_is_who_he_has_proved_to_be(headers: Iterable[tuple[str, str]]) -> None:
    lab = Lab()
    lab.ask(lab.alice, "MESSAGE", "sip:bob@ims.example", *headers, from_="<sip:boss@ims.example>;tag=1")
    assert lab.at_bob().values("P-Asserted-Identity") == ["<sip:alice@ims.example>"]
    assert "P-Preferred-Identity" not in lab.at_bob()


@rfc("3325-4")
def test_a_trunk_is_believed() -> None:
    lab = Lab()
    lab.ask(lab.trunk, "MESSAGE", "sip:bob@ims.example", LIE)
    assert lab.at_bob().values("P-Asserted-Identity") == [LIE[1]]


@rfc("3325-7")
@pytest.mark.parametrize("who", ["alice", "trunk"])
def test_who_wants_to_stay_unknown_does(who: str) -> None:
    lab = Lab()
    lab.ask(getattr(lab, who), "MESSAGE", "sip:bob@ims.example", LIE, ("Privacy", "id"))
    assert "P-Asserted-Identity" not in lab.at_bob()


@rfc("3325-5")
def test_another_domain_is_told_nothing() -> None:
    lab = Lab()
    lab.ask(lab.alice, "MESSAGE", "sip:x@lab.example", LIE)
    assert "P-Asserted-Identity" not in lab.other.requests[-1].request


@rfc("3325-5")
def test_what_a_phone_asserts_in_a_response_is_not_believed() -> None:
    lab = Lab()
    lab.ask(lab.alice)
    lab.answer(LIE)
    (response,) = (event.response for event in lab.alice.events if isinstance(event, ResponseReceived))
    assert response.status == 200
    assert "P-Asserted-Identity" not in response


@rfc("3325-5")
def test_nor_what_it_asserts_within_a_dialog() -> None:
    lab = Lab()
    lab.ask(lab.alice, "INVITE")
    record = ("Record-Route", lab.at_bob().require("Record-Route"))
    lab.answer(record, ("Contact", f"<{lab.bob.uri}>"))
    within = {"to": "<sip:bob@ims.example>;tag=2", "cseq": 2}
    lab.ask(lab.alice, "INFO", lab.bob.uri, ("Route", record[1]), LIE, **within)  # type: ignore[arg-type]
    assert lab.at_bob().method == "INFO"
    assert "P-Asserted-Identity" not in lab.at_bob()
