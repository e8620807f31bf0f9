"""The HTTP routes of an S-CSCF: who is registered, and off the network with him.

GET     /api/v1/registrations
DELETE  /api/v1/registrations/{identity}
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Annotated, Literal

import structlog
from litestar import delete, get
from litestar.exceptions import ClientException, NotFoundException, ServiceUnavailableException
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter, QueryParameter
from msgspec import Struct

from acd.http import Items
from acd.problems import problems
from ims_core.errors import ServerTimeout, SipError
from ims_core.messages.uri import parse_uri
from ims_core.registrar.location import Removal
from ims_core.subscribers.identities import canonical

if TYPE_CHECKING:
    from acd.ims.serving import Serving
    from ims_core.registrar.location import Binding

_REASONS = {"deactivated": Removal.DEACTIVATED, "rejected": Removal.REJECTED, "probation": Removal.PROBATION}
PROBATION_SECONDS = 60

log = structlog.get_logger()


class Registered(Struct, frozen=True, kw_only=True):
    """A contact of a subscriber; `identity` is the default one of the implicit set, `expires` in UTC."""

    identity: str
    private: str
    contact: str
    path: tuple[str, ...]
    expires: datetime | None


class Gone(Struct, frozen=True):
    """How many contacts were taken off the network."""

    contacts: int


def registration_routes(
    serving: Serving, settle: Callable[[], None], clock: Callable[[], float], unix: Callable[[], float]
) -> Sequence[HTTPRouteHandler]:
    """Return the handlers; ``settle`` has the node act on what was changed and send what follows from it."""
    location = serving.identities.location

    def shown(binding: Binding) -> Registered:
        left = binding.expires_at - clock()
        return Registered(
            identity=binding.aor,
            private=binding.private,
            contact=binding.contact,
            path=binding.path,
            expires=None if left == inf else datetime.fromtimestamp(unix() + left, UTC),
        )

    @get("/api/v1/registrations", summary="Contacts of subscribers", sync_to_thread=False, responses=problems(400))
    def registrations(
        limit: Annotated[int, QueryParameter(ge=1, le=1000, description="at most so many")] = 100,
    ) -> Items[Registered]:
        """Return contacts, in the order in which they came."""
        registered = (binding for binding in location if not binding.fixed)
        return Items([shown(binding) for binding in islice(registered, limit)])

    @delete(
        "/api/v1/registrations/{identity:str}",
        summary="Take a subscriber off the network",
        status_code=200,
        sync_to_thread=False,
        responses=problems(400, 404, 503),
    )
    def deregister(
        identity: Annotated[str, PathParameter(description="a public identity, as sip:+8613800000001@ims.example")],
        reason: Annotated[
            Literal["deactivated", "rejected", "probation"],
            QueryParameter(description="whether his phone is to register anew: at once, not at all, or later"),
        ] = "deactivated",
    ) -> Gone:
        """End the registration of an identity, with all of its implicit set (TS 24.229 section 5.4.1.5)."""
        try:
            uri = parse_uri(identity)
        except SipError:
            raise ClientException(f"{identity!r} is no SIP or tel URI") from None
        name = canonical(uri)
        try:
            if name not in location and serving.identities.find(name) is None:
                raise NotFoundException(f"{identity!r} is nobody's identity")
        except ServerTimeout:
            raise ServiceUnavailableException("the database of subscribers does not answer") from None
        retry_after = PROBATION_SECONDS if reason == "probation" else None
        gone = serving.registrations.deregister(name, _REASONS[reason], retry_after=retry_after)
        settle()
        log.info("registration.ended", identity=identity, reason=reason, contacts=gone)
        return Gone(gone)

    return [registrations, deregister]
