"""The roles of IMS in one process: what would be hops between hosts are function calls (TS 24.229 section 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ims_core.roles.fallback import PATIENCE
from ims_core.roles.routing import Decision, Forward, ToService

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request
    from ims_core.proxy.forward import Companion
    from ims_core.registrar.registrar import Registrar
    from ims_core.roles.asserting import Asserting
    from ims_core.roles.emergency import Emergency
    from ims_core.roles.pcscf import Pcscf
    from ims_core.roles.relay import Relay
    from ims_core.roles.scscf import Scscf
    from ims_core.security.digest import Challenge


class Border(Protocol):
    """The border to networks where users have numbers (TS 24.229 section 5.10: the IBCF)."""

    def arriving(self, request: Request, flow: Flow) -> Decision | None:
        """Decide about a request if it comes from there and is for a number of ours. Raises ``SipError``."""

    def comes_from(self, request: Request, flow: Flow) -> bool:
        """Whether a request outside any dialog comes from there, for whomever it is; never a REGISTER."""

    def leaving(self, request: Request, user: str) -> Decision | None:
        """Decide about a request of one of our users if it is for there. Raises ``SipError``."""


class Ims:
    """A registrar, a P-CSCF and an S-CSCF as one ``Router``.

    With ``relay`` our users reach other domains, with ``border`` numbers of other networks, and are reached from there;
    with ``emergency`` anybody reaches emergency services. ``fallback`` makes what goes along with a call to another
    domain. With ``asserting`` phones are told who it is that calls them.
    """

    def __init__(
        self,
        registrar: Registrar,
        pcscf: Pcscf,
        scscf: Scscf,
        *,
        relay: Relay | None = None,
        border: Border | None = None,
        emergency: Emergency | None = None,
        fallback: Callable[[Request], Companion] | None = None,
        asserting: Asserting | None = None,
    ) -> None:
        self.registrar = registrar
        self.pcscf = pcscf
        self.scscf = scscf
        self.relay = relay
        self.border = border
        self.emergency = emergency
        self.fallback = fallback
        self.asserting = asserting

    def route(self, request: Request, flow: Flow, now: float) -> Decision | Challenge:
        """Register, or admit the sender and then find where the request goes. Raises ``SipError``."""
        if request.method == "REGISTER":
            return self.registrar.handle(request, flow, now)
        if self.emergency is not None and (called := self.emergency.decide(request, flow)) is not None:
            return called
        border = self.border
        if border is not None and (arrived := border.arriving(request, flow)) is not None:
            return arrived
        admitted = self.pcscf.route(request, flow, now)
        if self.relay is not None and admitted.is_user and (target := self.relay.target(request)) is not None:
            relayed = Forward((target,))
            if self.fallback is not None and request.method == "INVITE":
                relayed = relayed._replace(companion=self.fallback(request), patience=PATIENCE)
            return relayed if self.asserting is None else self.asserting.elsewhere(request, relayed)
        if border is not None and admitted.is_user and (left := border.leaving(request, admitted.identity)) is not None:
            return self._to_service(request, left) if type(left) is ToService else left
        decision = self.scscf.route(request)
        if type(decision) is ToService:
            served = decision._replace(identity=admitted.identity)
            return self._to_service(request, served) if admitted.is_user else served
        if self.asserting is not None and type(decision) is Forward:
            return self.asserting.to_phones(request, decision, admitted.identity if admitted.is_user else None)
        return decision

    def _to_service(self, request: Request, decision: ToService) -> ToService:
        return decision if self.asserting is None else self.asserting.to_service(request, decision)
