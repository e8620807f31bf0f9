"""Who calls and who answers, as one process tells the phones of its users: what they have proved, not what they say.

That is what a P-CSCF does about identities (RFC 3325, TS 24.229 sections 5.2.6.3 and 5.2.6.4), for users known by an
address-of-record alone. ``FirstHop`` does all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from ims_core.proxy.forward import Forward, Passing, ToService
from ims_core.roles.identity import ASSERTED, assert_identity
from ims_core.roles.privacy import demand, respect
from ims_core.roles.trust import FROM_HANDSET, take_from_handset

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request, Response


class Asserting:
    """Asserts the users of ``domain``; ``is_trusted`` tells whether whoever sends a request may assert for himself."""

    def __init__(self, domain: str, *, is_trusted: Callable[[Request, Flow], bool]) -> None:
        self._domain = domain
        self._is_trusted = is_trusted

    def to_phones(self, request: Request, forward: Forward, user: str | None) -> Forward:
        """Have what goes to phones be from ``user``; None: from whom it says, it came from who is trusted to.

        Raises ``PrivacyUnavailable``.
        """
        copy = request.copy()
        if user is not None:
            assert_identity(copy, f"<sip:{_escaped(user)}@{self._domain}>" if user else "")
        if "privacy" in copy.keys:
            demand(copy)
            respect(copy)
        return Forward(forward.targets, copy, UNASSERTED, forward.patience)

    def to_service(self, request: Request, decision: ToService) -> ToService:
        """Have a service, which may charge for it, read nothing of a user's that only the network may say."""
        if FROM_HANDSET.isdisjoint(request.keys) and "p-access-network-info" not in request.keys:
            return decision
        copy = request.copy()
        take_from_handset(copy)
        return decision._replace(request=copy)

    def elsewhere(self, request: Request, forward: Forward) -> Forward:
        """Have what goes to another domain assert nothing: nobody there has agreed to believe us, or to keep it."""
        if "p-asserted-identity" not in request.keys and "p-preferred-identity" not in request.keys:
            return forward
        copy = request.copy()
        assert_identity(copy, "")
        return forward._replace(request=copy)

    def within(self, request: Request, flow: Flow, now: float) -> Passing | None:
        """Say how a request within a dialog goes on: see ``Node.within``."""
        if "p-asserted-identity" not in request.keys and "p-preferred-identity" not in request.keys:
            return None
        if self._is_trusted(request, flow):
            return None
        copy = request.copy()
        assert_identity(copy, "")
        return Passing(copy, UNASSERTED)


def _escaped(user: str) -> str:
    return user if user.isalnum() and user.isascii() else quote(user, "-_.!~*'()&=+$,;?/")


class Unasserted:
    """Goes along with requests to phones: what they assert of themselves is not believed."""

    def returned(self, response: Response) -> None:
        """Take it off a response."""
        if "p-asserted-identity" in response.keys:
            response.remove(ASSERTED)

    def instead(self, status: int) -> None:
        """Know no other way."""


UNASSERTED = Unasserted()
