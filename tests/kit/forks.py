"""A caller, the node, and callees written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ims_core.flow import format_address
from ims_core.messages.message import Request, Response
from ims_core.messages.parser import parse_message
from ims_core.proxy.proxy import ProxyPolicy
from ims_core.registrar.location import Binding
from ims_core.transactions.endpoint import ResponseReceived
from tests.kit.messages import request_bytes
from tests.kit.network import Network
from tests.kit.party import Party
from tests.kit.site import NODE_ADDRESS, Site


class Forks:
    """A caller, the node, and callees that are the contacts of bob, all on UDP.

    ``callees`` is how many there are, or the q-value of each (None: it named none); ``policy`` is the proxy's.
    """

    def __init__(self, callees: int | Sequence[float | None] = 1, **policy: Any) -> None:
        self.network = Network()
        self.site = Site(self.network, open_to_all=True, policy=ProxyPolicy(**policy))
        self.caller = Party(self.network, "caller")
        preferences = [None] * callees if isinstance(callees, int) else callees
        self.callees = [Party(self.network, f"callee {number}") for number in range(len(preferences))]
        for callee, q in zip(self.callees, preferences, strict=True):
            contact = f"sip:bob@{format_address(callee.address)}"
            self.site.location.add(Binding("sip:bob@ims.example", contact, q=q))
        while self.site.location.next_event() is not None:
            pass

    @property
    def callee(self) -> Party:
        return self.callees[0]

    def send(self, method: str = "INVITE", uri: str = "sip:bob@ims.example", **fields: object) -> None:
        request = parse_message(request_bytes(method, uri, **fields))  # type: ignore[arg-type]
        assert isinstance(request, Request)
        request.remove("Via")
        self.last = self.caller.endpoint.request(request, self.caller.flow(NODE_ADDRESS), None)
        self.network.run(0.1)

    def forwarded(self, callee: int = 0) -> Request:
        """What the callee got."""
        return self.callees[callee].requests[-1].request

    def responses(self, status: int) -> list[Response]:
        """What the caller got with that status, responses to a CANCEL left out."""
        events = [event for event in self.caller.events if isinstance(event, ResponseReceived)]
        told = [event.response for event in events if event.transaction.request.method != "CANCEL"]
        return [response for response in told if response.status == status]

    @property
    def final(self) -> list[int | str]:
        """The final outcomes that the caller got."""
        return [status for status in self.caller.statuses if isinstance(status, str) or status >= 200]

    def reply(self, status: int, callee: int = 0, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """The callee answers what it got last."""
        party = self.callees[callee]
        party.endpoint.reply(party.requests[-1].transaction, status, headers=headers)
        self.network.run(0.1)

    def finish(self) -> None:
        self.network.run()
        self.site.assert_idle()
        for party in (self.caller, *self.callees):
            party.assert_idle()

    def asked(self) -> list[int]:
        """Which callees have got the request, in the order in which it was sent to them."""
        addresses = [callee.address for callee in self.callees]
        sent = [packet for packet in self.network.sent if packet.flow.local == NODE_ADDRESS]
        found: list[int] = []
        for packet in sent:
            if packet.summary == self.last.key[1] and packet.flow.remote in addresses:
                number = addresses.index(packet.flow.remote)
                if number not in found:
                    found.append(number)
        return found

    def cancelled(self) -> list[int]:
        """Which callees have got a CANCEL, in order, however often."""
        addresses = [callee.address for callee in self.callees]
        cancels = self.network.packets("CANCEL", by=NODE_ADDRESS)
        return list(dict.fromkeys(addresses.index(packet.flow.remote) for packet in cancels))
