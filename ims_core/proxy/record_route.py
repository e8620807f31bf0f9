"""How this element stays in the path of a dialog, and knows its own signature there (RFC 3261 16.6, RFC 5658)."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING

from ims_core.flow import transport_parameter
from ims_core.messages.uri import is_sips

if TYPE_CHECKING:
    from ims_core.flow import Address, Flow
    from ims_core.messages.message import Request
    from ims_core.messages.uri import Uri


class RecordRoute:
    """Writes Record-Route values that name the listeners of this element, signed for one Call-ID with ``secret``.

    ``advertised`` maps each listener to the ``host:port`` that peers are told. Only what carries the signature is
    followed later, so that nobody can relay to elsewhere through us.
    """

    def __init__(self, advertised: Mapping[tuple[str, Address], str], secret: bytes) -> None:
        self._advertised = advertised
        self._mac = blake2b(digest_size=8, key=secret)

    def token(self, call_id: str) -> str:
        """Return the signature for that Call-ID."""
        mac = self._mac.copy()
        mac.update(call_id.encode("utf-8", "surrogateescape"))
        return mac.hexdigest()

    def proves(self, uri: Uri, token: str) -> bool:
        """Whether ``uri`` carries the signature; what follows it after a full stop is hidden topology."""
        said = uri.user.partition(".")[0].encode("utf-8", "surrogateescape")
        return hmac.compare_digest(said, token.encode())

    def uri(self, user: str, side: Flow, *, secure: bool = False) -> str:
        """Return the URI of the listener of ``side``; ``secure``: a SIPS URI, where TLS protects that side."""
        scheme = "sips" if secure and side.secure else "sip"
        host = self._advertised[side.transport, side.local]
        return f"{scheme}:{user}@{host}{transport_parameter(side.transport, scheme)}"

    def write(self, request: Request, token: str, came_by: Flow, leaves_by: Flow) -> None:
        """Put this element into the path; with one URI for each side where these differ (RFC 5658 section 3.3).

        They differ by transport, version of IP or listener: whoever is told of one of them reaches the other by us.
        """
        # 16.6 step 4: "If the Request-URI contains a SIPS URI, … the URI placed … MUST be a SIPS URI"
        secure = is_sips(request.uri)
        request.prepend("Record-Route", f"<{self.uri(token, came_by, secure=secure)};lr>")
        if came_by[:2] != leaves_by[:2]:
            request.prepend("Record-Route", f"<{self.uri(token, leaves_by, secure=secure)};lr>")
