"""P-CSCF, S-CSCF and registrar in one process: what would be SIP between them are function calls (TS 24.229 section 5).

handset ──► FirstHop.originate ──► ServingCscf.originating ──► … ──► FirstHop.towards_user ──► handset
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ims_core.roles.charging import write_vector
from ims_core.roles.companions import BackOutside, along
from ims_core.roles.first_hop import answer_keep
from ims_core.roles.routing import HERE, Decision, ToService
from ims_core.roles.served import bring_inside
from ims_core.roles.trust import take_from_handset
from ims_core.security.digest import Challenge

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request, Response
    from ims_core.registrar.location import Domains
    from ims_core.registrar.registrar import Registrar
    from ims_core.roles.emergency import Emergency
    from ims_core.roles.first_hop import FirstHop
    from ims_core.roles.ims import Border
    from ims_core.roles.serving import ServingCscf


class Together(NamedTuple):
    """The ``Router`` of all roles in one process; ``first_hop.within`` is to be the node's.

    ``border`` takes what trunks send to numbers; what they send to users has the services of these alone. What
    handsets send passes their first hop; what neighbours and application servers send, as far as these are hops of
    their own, goes to the S-CSCF at once.
    """

    domains: Domains
    registrar: Registrar
    first_hop: FirstHop
    scscf: ServingCscf
    border: Border | None = None
    emergency: Emergency | None = None

    def route(self, request: Request, flow: Flow, now: float) -> Decision | Challenge:
        """Decide about a request outside any dialog. Raises a ``SipError`` to refuse it."""
        is_inside = self.first_hop.trusts(request, flow)
        if request.method == "REGISTER":
            return self._register(request, flow, now)
        if self.emergency is not None and (called := self.emergency.decide(request, flow)) is not None:
            return called if is_inside else self.first_hop.emergency(request, flow, called)
        if self.border is not None and (arrived := self.border.arriving(request, flow)) is not None:
            return arrived
        if self.border is not None and self.border.comes_from(request, flow):
            return along(self.scscf.terminating(bring_inside(request, self.domains.serves), now), BackOutside())
        if is_inside or self.scscf.entry(request).token:
            return self.scscf.route(request, flow, now)
        if request.method == "OPTIONS" and not request.target.user and self.domains.serves(request.target):
            return ToService(HERE)
        admitted = self.first_hop.originate(request, flow, now)
        return along(self.scscf.originating(admitted.request, admitted.public, now), admitted.companion)

    def _register(self, request: Request, flow: Flow, now: float) -> Response | Challenge:
        """Register, as a P-CSCF would have sent it on and answered it (5.2.2.1)."""
        hop = self.first_hop
        told = hop.agreement.judge(request, flow)
        copy = request.copy()
        take_from_handset(copy)
        hop.agreement.cleanse(copy)
        write_vector(copy, hop.icids.fresh())
        response = self.registrar.handle(copy, flow, now)
        if isinstance(response, Challenge):
            if told:
                response.headers = (*response.headers, ("Security-Server", told))
            return response
        if hop.keep_seconds and response.status < 300:
            answer_keep(response, hop.keep_seconds)
        return response
