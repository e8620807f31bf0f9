"""An application server's side of the ISC interface (TS 24.229 section 5.7, TS 23.218 section 9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ims_core.errors import Forbidden, NotFound
from ims_core.messages.message import Response, response_to
from ims_core.proxy.forking import Target
from ims_core.proxy.forward import Forward
from ims_core.proxy.routes import routes_beyond
from ims_core.registrar.contacts import seconds
from ims_core.registrar.location import Binding, Removal
from ims_core.registrar.registrar import FALLBACK_EXPIRES
from ims_core.roles.companions import BackOutside
from ims_core.roles.routing import HERE, Decision, ToService
from ims_core.roles.served import bring_inside, caller_of, payer_of

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.ids import Ids
    from ims_core.messages.message import Request
    from ims_core.registrar.location import Domains, Location
    from ims_core.roles.ims import Border

MOST_SECONDS = 7 * 24 * 3600


class ApplicationServer:
    """Hands to ``service`` what S-CSCFs send for the numbers of which ``is_service`` says so, the rest back to them.

    ``is_trusted`` tells an S-CSCF from anybody else, who gets a 403 unless ``border`` takes the call. Third-party
    registrations make bindings in ``location``: their users are called by ``scscf``, the URI of a proxy.
    """

    def __init__(
        self,
        domains: Domains,
        location: Location,
        ids: Ids,
        *,
        home: Domains,
        is_trusted: Callable[[Request, Flow], bool],
        is_service: Callable[[str], bool],
        service: str,
        scscf: str,
        border: Border | None = None,
    ) -> None:
        self._domains = domains
        self._location = location
        self._ids = ids
        self._home = home
        self._is_trusted = is_trusted
        self._is_service = is_service
        self._service = service
        self._path = (f"<{scscf};lr>",)
        self._border = border

    def route(self, request: Request, flow: Flow, now: float) -> Decision:
        """Decide about a request outside any dialog. Raises a ``SipError`` to refuse it."""
        border = self._border
        if border is not None and (arrived := border.arriving(request, flow)) is not None:
            return arrived
        if request.method == "OPTIONS" and not request.target.user and self._is_ours(request):
            return ToService(HERE)
        if border is not None and border.comes_from(request, flow):  # for a user, whom the S-CSCF knows
            entering = bring_inside(request, self._home.serves)
            return Forward((Target(request.uri, route=self._path),), entering, BackOutside())
        if not self._is_trusted(request, flow):
            raise Forbidden
        if request.method == "REGISTER":
            return self._register(request, now)
        target = request.target
        if self._is_service(target.user) and (target.scheme == "tel" or self._is_ours(request)):
            return ToService(self._service, caller_of(request, self._home.serves))
        payer = payer_of(request)
        if border is not None and payer and (left := border.leaving(request, payer)) is not None:
            return left
        beyond = routes_beyond(request, self._domains.serves)
        if beyond:  # 5.7.3: what is not for us goes on where the S-CSCF wants it
            return Forward((Target(request.uri, route=beyond),))
        if self._is_ours(request) and not target.user:
            return ToService(HERE)
        raise NotFound

    def _is_ours(self, request: Request) -> bool:
        return self._home.serves(request.target) or self._domains.serves(request.target)

    def _register(self, request: Request, now: float) -> Response:
        """Take a third-party registration (5.4.1.7): the public identity in To is there, or gone."""
        aor = self._home.aor_of(request.to.uri)
        if aor is None:
            raise NotFound
        location = self._location
        location.expire(now)
        asked = seconds(request.get("Expires"))
        lifetime = FALLBACK_EXPIRES if asked is None else min(asked, MOST_SECONDS)
        held = next((binding for binding in location.bindings(aor) if binding.path == self._path), None)
        if not lifetime:
            if held is not None:
                location.remove(held, Removal.DEREGISTERED)
        else:
            new = Binding(aor, aor, path=self._path, call_id=request.call_id, expires_at=now + lifetime)
            if held is None:
                location.add(new)
            else:
                location.refresh(held, new)
        response = response_to(request, 200, to_tag=self._ids.tag())
        if lifetime:
            response.add("Expires", str(lifetime))
        return response
