"""Who may register what, where there is more to it than an account with its own address-of-record.

A ``Registrar`` that is given an ``Enrolment`` asks it who a REGISTER is from before it looks at the contacts, and
tells it what came of that. ``ims_core.registrar.ims`` has the one of an S-CSCF.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request, Response
    from ims_core.security.digest import Verdict
    from ims_core.subscribers.subscriber import ImplicitSet


class Authenticator(Protocol):
    """Challenges and judges credentials, as ``security.digest.DigestAuthenticator`` does."""

    realm: str

    def challenges(self, now: float, user: str = "", *, host: str = "", stale: bool = False) -> list[str]:
        """Return the values of the WWW-Authenticate headers for who claims to be ``user``, at ``host``."""

    def verify(
        self, method: str, uri: str, credentials: Sequence[str], now: float, *, host: str = "", body: bytes = b""
    ) -> Verdict:
        """Judge a request by the values of all its Authorization header lines."""


class Registrant(NamedTuple):
    """Who sent a REGISTER, as he says himself, and what he is registered under.

    He is who he says once ``authenticator`` has accepted him as ``user``; None: that is certain already. Contacts are
    bound to ``aor`` with the ``private`` identity. ``headers`` are what the 200 says besides.
    """

    aor: str
    authenticator: Authenticator | None
    user: str
    private: str
    identity: str
    """The public identity that the REGISTER names in To."""
    implicit: ImplicitSet
    """The set that is registered with it."""
    headers: tuple[tuple[str, str], ...] = ()


class Enrolment(Protocol):
    """Knows the subscribers of a registrar."""

    def identify(self, request: Request, flow: Flow) -> Registrant:
        """Say who a REGISTER is from. Raises ``SipError``: 403, 404."""

    def registered(self, registrant: Registrant, request: Request, response: Response) -> None:
        """Take note that a REGISTER was accepted; the changes of the ``Location`` are told afterwards."""
