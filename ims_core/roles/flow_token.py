"""Tokens that name a flow in a URI of ours, and prove that we made them (RFC 5626 section 5.2)."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from ims_core.flow import Flow

if TYPE_CHECKING:
    from ims_core.flow import Address

MAC_BYTES: Final = 8


class FlowTokens:
    """Makes tokens of flows and flows of tokens, for the user part of a URI; nothing is kept.

    ``listeners`` are those of this element, always in the same order; ``secret`` signs what they are told.
    """

    def __init__(self, secret: bytes, listeners: Iterable[tuple[str, Address]]) -> None:
        self._mac = blake2b(digest_size=MAC_BYTES, key=secret, person=b"flow token")
        self._listeners = list(listeners)
        self._numbers = {listener: number for number, listener in enumerate(self._listeners)}

    def make(self, flow: Flow) -> str:
        """Return the token of a flow by one of the listeners."""
        host, port = flow.remote
        said = f"{self._numbers[flow.transport, flow.local]},{flow.connection},{port},{host}".encode()
        return urlsafe_b64encode(self._sign(said) + said).rstrip(b"=").decode()

    def read(self, token: str) -> Flow | None:
        """Return the flow of a token; None: it is none of ours."""
        try:
            data = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
        except (NotBase64, ValueError):
            return None
        mac, said = data[:MAC_BYTES], data[MAC_BYTES:]
        if not hmac.compare_digest(mac, self._sign(said)):
            return None
        number, connection, port, host = said.decode().split(",", 3)
        if int(number) >= len(self._listeners):  # of a listener that is no more
            return None
        transport, local = self._listeners[int(number)]
        return Flow(transport, local, (host, int(port)), int(connection))

    def _sign(self, said: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(said)
        return mac.digest()
