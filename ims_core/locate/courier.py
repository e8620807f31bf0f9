"""Takes requests to their next hop, which is a flow or is named by a URI (RFC 3261 8.1.2, 16.6; RFC 3263)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ims_core.errors import NoRoute, SipError
from ims_core.flow import Address, Flow
from ims_core.messages.uri import parse_uri

if TYPE_CHECKING:
    from ims_core.messages.message import Request
    from ims_core.registrar.location import Location
    from ims_core.transactions.endpoint import Endpoint, Headers
    from ims_core.transactions.machines import ClientTransaction

Hop = Flow | str
"""A next hop: the way there, or the text of its URI."""

Prepare = Callable[["Request", Flow], None]
"""Writes into a request what depends on the flow it leaves by: Contact, Record-Route."""


class Courier:
    """Sends requests for the transaction users of one ``endpoint``.

    ``listeners`` are what it may send by, the first of each transport and version of IP first. ``location`` knows
    the flows of registered contacts.
    """

    def __init__(
        self, endpoint: Endpoint, *, listeners: Iterable[tuple[str, Address]], location: Location | None = None
    ) -> None:
        self.endpoint = endpoint
        self._location = location
        self._listeners: dict[tuple[str, bool], Flow] = {}
        for transport, local in listeners:
            self._listeners.setdefault((transport, ":" in local[0]), Flow(transport, local, ("", 0)))

    def way(self, uri: str) -> Hop:
        """Choose the way to ``uri``: a registered contact's flow, else its address; the text if it is a name.

        Raises ``NoRoute`` where there is none: a transport or version of IP without listener.
        """
        parsed = parse_uri(uri)
        if self._location is not None:
            binding = self._location.binding_at(parsed)
            if binding is not None and binding.way is not None:
                return binding.way
        listener = self._listeners.get((parsed.transport, ":" in parsed.host))
        if listener is None or not parsed.has_ip_host:
            raise NoRoute
        return listener._replace(remote=parsed.address)

    def way_to_peer(self, uri: str, heard_from: Flow) -> Hop:
        """Choose the way to a peer of a dialog: over its own connection, else as its Contact or route set says."""
        if heard_from.reliable:
            return heard_from
        try:
            return self.way(uri)
        except SipError:
            return heard_from

    def request(
        self, request: Request, hop: Hop, user: object, *, prepare: Prepare | None = None, mark: str = ""
    ) -> ClientTransaction:
        """Send ``request``, which is the courier's from then on, and have its responses told to ``user``.

        ``prepare`` is called, before anything is sent, with the request and the flow chosen; with each attempt
        where several are needed. ``mark`` ends each branch. Raises ``SipError`` when there is no way to the hop.
        """
        flow = self._known(hop)
        if prepare is not None:
            prepare(request, flow)
        return self.endpoint.request(request, flow, user, mark)

    def cancel(self, outbound: ClientTransaction, headers: Headers = ()) -> None:
        """CANCEL an INVITE, with these headers, as soon as that is allowed; the final response still comes (9.1)."""
        self.endpoint.cancel(outbound, headers)

    def send_ack(self, ack: Request, hop: Hop) -> Callable[[], None]:
        """Send the ACK to a 2xx; call what is returned to send the same bytes again (13.2.2.4)."""
        flow = self._known(hop)
        data = self.endpoint.send_ack(ack, flow)
        return lambda: self.endpoint.send(flow, data)

    def _known(self, hop: Hop) -> Flow:
        found = hop if type(hop) is Flow else self.way(str(hop))
        if type(found) is not Flow:
            raise NoRoute
        return found
