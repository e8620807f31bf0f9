"""The I-CSCF: where requests enter the home network (TS 24.229 section 5.3), in front of the only S-CSCF there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ims_core.errors import Forbidden

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request
    from ims_core.registrar.registrar import Registrar
    from ims_core.roles.routing import Decision
    from ims_core.roles.serving import ServingCscf
    from ims_core.security.digest import Challenge


class Icscf(NamedTuple):
    """An I-CSCF and an S-CSCF in one element, as a ``Router``.

    There is no S-CSCF to choose (5.3.1.3), so a REGISTER is for its registrar, if it comes from inside the trust domain
    (5.3.1.2), as ``is_trusted`` tells: what goes to handsets is for a P-CSCF to look through. Of a request for a user,
    what Cx would tell an I-CSCF (5.3.2.1) the S-CSCF looks up itself: 404 for nobody, 480 for who is not registered and
    has no services for that.
    """

    registrar: Registrar
    scscf: ServingCscf
    is_trusted: Callable[[Request, Flow], bool] = lambda request, flow: True

    def route(self, request: Request, flow: Flow, now: float) -> Decision | Challenge:
        """Decide about a request outside any dialog. Raises a ``SipError`` to refuse it."""
        if request.method == "REGISTER":
            if not self.is_trusted(request, flow):
                raise Forbidden("Register at a P-CSCF")
            return self.registrar.handle(request, flow, now)
        return self.scscf.route(request, flow, now)
