"""What secured legs need of the process that they are in."""

from __future__ import annotations

import hashlib
import hmac
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
        self._contexts: dict[bool, SSL.Context] = {}

    def dtls_context(self, *, with_cookies: bool) -> SSL.Context:
        """Return what handshakes have in common, in which peers have to say a cookie first, or not."""
        if with_cookies not in self._contexts:
            assert self._identity is not None, "SDP agreed on DTLS without a certificate of ours"
            self._contexts[with_cookies] = make_context(self._identity, with_cookies=with_cookies)
        return self._contexts[with_cookies]

    def cookie(self, address: Address) -> bytes:
        """Return what shows that somebody receives at this address."""
        assert self._identity is not None
        return hmac.digest(self._identity.private_key, repr(address).encode(), hashlib.sha256)


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
