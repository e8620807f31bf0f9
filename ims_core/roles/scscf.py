"""S-CSCF-lite: where a request goes, by who or what it is for (TS 24.229 section 5.4.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ims_core.errors import Forbidden, NotFound, TemporarilyUnavailable
from ims_core.messages.uri import is_sips
from ims_core.proxy.forking import Target
from ims_core.roles.routing import HERE, Decision, Forward, ToService

if TYPE_CHECKING:
    from ims_core.messages.message import Request
    from ims_core.registrar.location import Binding, Domains, Location


class Scscf:
    """Routes to services by number and to users by their bindings.

    Numbers for which ``is_service`` says so are handed to the application server ``service``; ``known_user`` tells an
    unknown user (404) from one who is not there (480), None when there is no list of users.
    """

    def __init__(
        self,
        domains: Domains,
        location: Location,
        *,
        is_service: Callable[[str], bool],
        service: str,
        known_user: Callable[[str], bool] | None,
    ) -> None:
        self._domains = domains
        self._location = location
        self._is_service = is_service
        self._to_service = ToService(service)
        self._known_user = known_user

    def route(self, request: Request) -> Decision:
        """Decide about an admitted request outside any dialog. Raises a ``SipError`` to refuse it."""
        target = request.target
        user = target.user
        if target.scheme != "tel":
            if not self._domains.serves(target):
                raise Forbidden("Domain not served")
            if not user:
                return ToService(HERE)
        if self._is_service(user):
            return self._to_service
        aor = f"sip:{user}@{self._domains.domain}"
        bindings = self._location.bindings(aor)
        if target.scheme == "sips":
            bindings = secured(bindings, self._domains.domain)
        if bindings:
            return Forward(tuple(map(target_of, bindings)))
        if self._known_user is not None and self._known_user(user):
            raise TemporarilyUnavailable
        raise NotFound


def secured(bindings: Sequence[Binding], domain: str) -> tuple[Binding, ...]:
    """Keep the contacts that a request for a SIPS URI may go to (RFC 5630 section 5.3).

    Such a request is never sent on in the clear, nor its Request-URI made a SIP one. Raises
    ``TemporarilyUnavailable`` when there are contacts, none of them fit.
    """
    kept = tuple(binding for binding in bindings if is_sips(binding.contact))
    if bindings and not kept:
        raise TemporarilyUnavailable(headers=(("Warning", f'380 {domain} "SIPS Not Allowed"'),))
    return kept


def target_of(binding: Binding) -> Target:
    """Return the way to a contact."""
    return Target(
        binding.contact,
        binding.way,
        binding.path,
        q=1.0 if binding.q is None else binding.q,
        instance=binding.instance if binding.reg_id else "",
    )
