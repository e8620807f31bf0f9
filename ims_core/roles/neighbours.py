"""Peers inside the trust domain: what they assert of users is believed (RFC 3325 section 3, TS 24.229 4.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ims_core.errors import SipError

if TYPE_CHECKING:
    from ims_core.flow import Address, Flow
    from ims_core.messages.message import Request
    from ims_core.messages.uri import Uri


class Neighbours:
    """The elements next to this one, by the ``addresses`` that they listen at, or by whole ``hosts``.

    A connection that a neighbour opens has a port of its own: its sender is known by its host and by the sent-by of
    its Via. So whoever runs programs on the host of a neighbour can speak for it; TLS or a network of their own keeps
    others off.
    """

    def __init__(self, addresses: Iterable[Address] = (), *, hosts: Callable[[str], bool] = lambda _: False) -> None:
        self._addresses = set(addresses)
        self._has_host = hosts

    def add(self, address: Address) -> None:
        """Trust one more."""
        self._addresses.add(address)

    def has(self, uri: Uri) -> bool:
        """Whether a URI leads to a neighbour."""
        return uri.address in self._addresses or self._has_host(uri.host)

    def listens_at(self, address: Address) -> bool:
        """Whether what comes from an address comes from a neighbour."""
        return address in self._addresses or self._has_host(address[0])

    def is_at(self, host: str) -> bool:
        """Whether there is a neighbour on a host."""
        return self._has_host(host) or any(host == known for known, _ in self._addresses)

    def may_send_by(self, flow: Flow) -> bool:
        """Whether what comes by a flow may be a neighbour's: a connection from its host may be one that it opened."""
        return self.listens_at(flow.remote) or (flow.connection > 0 and self.is_at(flow.remote[0]))

    def knows(self, request: Request, flow: Flow) -> bool:
        """Whether ``request``, which came by ``flow``, is a neighbour's."""
        if self.listens_at(flow.remote):
            return True
        if not flow.connection:
            return False
        try:
            via = request.via
        except SipError:
            return False
        return via.host == flow.remote[0] and (via.host, via.port or 5060) in self._addresses
