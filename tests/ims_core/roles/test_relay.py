"""Who may have what relayed to where: our users, to the domains and elements named, and nobody else anywhere."""

from __future__ import annotations

import pytest

from ims_core.flow import format_address
from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.proxy.forking import Target
from ims_core.registrar.location import Domains
from ims_core.roles.relay import Relay
from tests.kit import NODE_ADDRESS, Network, Party, Site, request_bytes

US = format_address(NODE_ADDRESS)
DOMAINS = Domains("ims.example", [US])


def request(uri: str, *routes: str) -> Request:
    parsed = parse_message(request_bytes(uri=uri, headers=[("Route", route) for route in routes]))
    assert isinstance(parsed, Request)
    return parsed


def relay() -> Relay:
    return Relay(
        is_local=DOMAINS.serves,
        domains={"Lab.example": "sip:198.51.100.7:5062", "open.example": "", "loose.example": "sip:198.51.100.8;lr"},
        elements=["sip:orig@scscf.example:5070"],
    )


@pytest.mark.rfc("3261-16.4", "3261-16.5", "3608-6.1")
@pytest.mark.parametrize(
    ("uri", "routes", "target"),
    [
        ("sip:bob@ims.example", [], None),
        ("sip:bob@elsewhere.example", [], None),
        ("tel:+4930", [], None),
        ("sip:bob@lab.example", [], ("<sip:198.51.100.7:5062;lr>",)),
        ("sip:bob@LAB.EXAMPLE:5080", [f"<sip:{US};lr>"], ("<sip:198.51.100.7:5062;lr>",)),
        ("sip:bob@loose.example", [], ("<sip:198.51.100.8;lr>",)),
        ("sip:bob@open.example", [], ()),
        ("sip:bob@sub.lab.example", [], None),
        (
            "sip:bob@elsewhere.example",
            [f"<sip:{US};lr>", "<sip:scscf.example:5070;lr>, <sip:next.example;lr>"],
            ("<sip:scscf.example:5070;lr>", "<sip:next.example;lr>"),
        ),
        ("sip:bob@ims.example", ["<sip:198.51.100.7:5062;lr>"], ("<sip:198.51.100.7:5062;lr>",)),
        ("sip:bob@elsewhere.example", ["<sip:198.51.100.7:5063;lr>"], None),
        ("sip:bob@elsewhere.example", ["<sip:203.0.113.1;lr>", "<sip:scscf.example:5070;lr>"], None),
        ("sip:bob@ims.example", ["<sip:203.0.113.1;lr>"], None),
    ],
)
def test_where_a_request_of_a_user_may_go(uri: str, routes: list[str], target: tuple[str, ...] | None) -> None:
    expected = None if target is None else Target(uri, route=target)
    assert relay().target(request(uri, *routes)) == expected


class Lab:
    """A node that relays for its users to another element."""

    def __init__(self) -> None:
        self.network = Network()
        self.other = Party(self.network, "other", answers=(200,))
        self.trunk = Party(self.network, "trunk")
        self.stranger = Party(self.network, "stranger")
        hop = f"sip:{format_address(self.other.address)}"
        way = Relay(is_local=DOMAINS.serves, domains={"lab.example": hop})
        self.site = Site(self.network, trunks=[self.trunk.address[0]], relay=way)
        self.alice = self.site.phone("alice")

    def ask(self, party: Party, uri: str, *routes: str) -> int | str:
        asked = request(uri, *routes)
        asked.method = "MESSAGE"
        asked.set("CSeq", "1 MESSAGE")
        asked.remove("Via")
        party.endpoint.request(asked, party.flow(NODE_ADDRESS), None)
        self.network.run(1)
        return party.statuses[-1]


@pytest.mark.rfc("3261-16.5")
def test_only_our_users_reach_another_domain() -> None:
    lab = Lab()
    assert lab.ask(lab.alice, "sip:x@lab.example") == 200
    assert len(lab.other.requests) == 1
    assert lab.ask(lab.trunk, "sip:x@lab.example") == 403, "no transit"
    assert lab.ask(lab.stranger, "sip:x@lab.example") == 407
    assert lab.ask(lab.alice, "sip:x@elsewhere.example") == 403
    assert lab.ask(lab.alice, "sip:x@elsewhere.example", "<sip:203.0.113.1;lr>") == 403
    assert len(lab.other.requests) == 1
