"""What secured legs need of the process that they are in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from media.secure.dtls import make_context

if TYPE_CHECKING:
    from OpenSSL import SSL

    from media.secure.identity import Identity
    from media.secure.stun import Address


class Timer(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> None:
        """Do not call back."""


class Shared:
    """What all legs of a worker share: our certificate, loaded when the first of them needs it, and timers."""

    def __init__(self, identity: Identity | None, call_later: Callable[[float, Callable[[], None]], Timer]) -> None:
        self.call_later = call_later
        self._identity = identity
        self._context: SSL.Context | None = None

    def dtls_context(self) -> SSL.Context:
        """Return what handshakes have in common."""
        if self._context is None:
            assert self._identity is not None, "SDP agreed on DTLS without a certificate of ours"
            self._context = make_context(self._identity)
        return self._context


class Surroundings(Protocol):
    """One leg's socket and owner."""

    @property
    def shared(self) -> Shared:
        """What all legs have in common."""

    def send_raw(self, data: bytes, address: Address) -> object:
        """Send a datagram as it is; whether it leaves does not matter."""

    def changed(self) -> None:
        """Media may flow that could not before."""

    def failed(self, reason: str) -> None:
        """There will be no media: the peer is not who its description says."""

    def complain(self, reason: str) -> None:
        """Something for the log; a leg says each thing once."""
