"""P-CSCF-lite: the first hop, which knows who is calling before anybody else does (TS 24.229 section 5.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ims_core.errors import UnsupportedScheme
from ims_core.messages.uri import Uri
from ims_core.roles.routing import ToScscf
from ims_core.security.digest import DigestAuthenticator, Outcome, ProxyAuthenticationRequired, Verdict

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request
    from ims_core.registrar.location import Domains, Location

NOBODY = Uri("", "", "", "", None, {})


class Pcscf:
    """Admits requests from registered flows, from trunks, and from whoever answers a digest challenge.

    ``is_trunk`` tells whether a request from a flow comes from a trunk. Without ``authenticator`` everybody is
    admitted under the identity of the From header. ``on_verdict`` is told how the credentials of each
    request fared that is asked for some, with its flow and ``now``.
    """

    def __init__(
        self,
        domains: Domains,
        location: Location,
        *,
        authenticator: DigestAuthenticator | None,
        is_trunk: Callable[[Request, Flow], bool],
    ) -> None:
        self._domains = domains
        self._location = location
        self._authenticator = authenticator
        self._is_trunk = is_trunk
        self.on_verdict: Callable[[Flow, Verdict, float], None] = _ignore

    def route(self, request: Request, flow: Flow, now: float) -> ToScscf:
        """Decide about a request outside any dialog. Raises ``ProxyAuthenticationRequired`` or another ``SipError``."""
        if self._is_trunk(request, flow):
            return ToScscf(_from(request).user, is_user=False)
        if self._authenticator is None:
            return ToScscf(_from(request).user)
        if request.method == "OPTIONS" and not request.target.user and self._domains.serves(request.target):
            return ToScscf("", is_user=False)
        identity = self._registered_identity(request, flow)
        if identity:
            return ToScscf(identity)
        _ = request.target  # nobody is asked for credentials for what cannot be routed, as an emergency by its URN
        credentials = request.whole_values("Proxy-Authorization")
        host = flow.remote[0]
        verdict = self._authenticator.verify(
            request.method, request.uri, credentials, now, host=host, body=request.body
        )
        self.on_verdict(flow, verdict, now)
        if verdict.outcome is Outcome.ACCEPTED:
            return ToScscf(verdict.user)
        caller, stale = _from(request).user, verdict.outcome is Outcome.STALE
        challenges = self._authenticator.challenges(now, caller, host=host, stale=stale)
        raise ProxyAuthenticationRequired(challenges, is_proven=verdict.outcome is Outcome.WRONG)

    def _registered_identity(self, request: Request, flow: Flow) -> str:
        """Among the users registered from one flow the From header chooses; it cannot name another."""
        wanted = self._domains.aor_of(_from(request))
        if wanted is not None:
            for binding in self._location.bindings(wanted):
                heard = binding.flow
                if heard is not None and (heard.transport, heard.remote) == (flow.transport, flow.remote):
                    return _user(wanted)
        return next((_user(binding.aor) for binding in self._location.bindings_from(flow.transport, flow.remote)), "")


def _from(request: Request) -> Uri:
    """Return the URI in From; one of a scheme that we do not know names nobody (RFC 4475 section 3.3.4)."""
    try:
        return request.from_.uri
    except UnsupportedScheme:
        return NOBODY


def _user(aor: str) -> str:
    return aor.removeprefix("sip:").partition("@")[0]


def _ignore(flow: Flow, verdict: Verdict, now: float) -> None:
    """Nobody wants to know."""
