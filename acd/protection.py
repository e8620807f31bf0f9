"""What the configuration means to the door of the SIP node, what is told of it, and the bans as operators see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Self

import structlog
from litestar import delete, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter
from msgspec import Meta, Struct

from acd.changes import Done
from acd.http import Items
from acd.log import Thrift
from acd.problems import problems
from ims_core.security.admission import Admission
from ims_core.security.door import Door
from ims_core.security.guard import Ban, Guard, Reason, Rules

if TYPE_CHECKING:
    from acd.config import Config
    from ims_core.registrar.location import Domains, Location

LINES_A_MINUTE = 60  # of the log; what a spoofer makes up must not fill it

log = structlog.get_logger()


def build_door(
    present: Callable[[], Config],
    *,
    is_trunk: Callable[[str], bool],
    clock: Callable[[], float],
    domains: Domains,
    location: Location,
    chance: Callable[[], float],
) -> Door:
    """Build the door; ``is_trunk`` tells whether trunks send from an address."""
    config = present()
    guard = admission = None
    if config.protection.enabled:
        wanted = config.protection
        guard = Guard(
            Rules(
                allow=tuple(each.network for each in wanted.allow),
                deny=tuple(each.network for each in wanted.deny),
                requests_per_second=wanted.requests_per_second,
                burst=wanted.burst,
                wrong_credentials=wanted.wrong_credentials,
                unanswered_challenges=wanted.unanswered_challenges,
                ban_seconds=wanted.ban_seconds,
                scanners=wanted.scanners,
            ),
            is_registered=location.has_flow,
            is_trusted=is_trunk,
        )
        _log_bans(guard, clock)
    if config.overload.enabled:
        admission = Admission(config.overload.target_seconds)
        _log_overload(admission)
    return Door(
        clock=clock,
        domains=domains,
        location=location,
        guard=guard,
        admission=admission,
        chance=chance,
    )


def _log_bans(guard: Guard, clock: Callable[[], float]) -> None:
    thrift = Thrift(clock, LINES_A_MINUTE, "source.lines_omitted")

    def banned(ban: Ban) -> None:
        if thrift.allows():
            seconds = round(ban.until - ban.since)
            log.warning("source.banned", address=ban.source, reason=ban.reason, proven=ban.proven, seconds=seconds)

    def pardoned(ban: Ban) -> None:
        if thrift.allows():
            log.info("source.pardoned", address=ban.source, reason=ban.reason)

    guard.on_ban, guard.on_pardon = banned, pardoned


def _log_overload(admission: Admission) -> None:
    def changed(began: bool) -> None:
        if began:
            log.warning("overload.began", waited=round(admission.latency, 4), rate=round(admission.rate, 1))
        else:
            log.info("overload.ended", waited=round(admission.latency, 4))

    admission.on_change = changed


class BanView(Struct, frozen=True, kw_only=True):
    """A source that is not heard; of IPv6 the first address of its /64. Instants in UTC.

    `proven`: it is surely the sender; otherwise its datagrams are only thinned out, and a phone there can register.
    """

    address: str
    reason: Reason
    proven: bool
    since: datetime
    until: datetime

    @classmethod
    def of(cls, ban: Ban, now: float, unix: float) -> Self:
        """Show a ban; `now` is on its clock, `unix` the same instant in unix seconds."""
        since, until = (datetime.fromtimestamp(unix + (at - now), UTC) for at in (ban.since, ban.until))
        return cls(address=ban.source, reason=ban.reason, proven=ban.proven, since=since, until=until)


class WantedBan(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom an operator wants to ban, and for how long; by default as long as the configuration says."""

    address: str
    seconds: Annotated[float, Meta(ge=1, le=31_622_400)] | None = None


def ban_routes(
    guard: Guard | None, clock: Callable[[], float], unix: Callable[[], float]
) -> Sequence[HTTPRouteHandler]:
    """Return the handlers; with protection off there are no bans, and none can be made."""

    @get("/api/v1/bans", summary="Sources that are not heard, the oldest ban first", sync_to_thread=False)
    def bans() -> Items[BanView]:
        now = clock()
        return Items([BanView.of(ban, now, unix()) for ban in guard.bans(now)] if guard is not None else [])

    @post("/api/v1/bans", summary="Ban a source", sync_to_thread=False, responses=problems(400, 409))
    def ban(data: JSONBody[WantedBan]) -> BanView:
        """Hear nothing from this address any more, registered or not; of IPv6 from its /64."""
        if guard is None:
            raise ClientException("protection.enabled is false", status_code=409)
        now = clock()
        try:
            return BanView.of(guard.ban(data.address, now, data.seconds), now, unix())
        except ValueError:
            raise ClientException(f"{data.address!r} is no IP address") from None

    @delete(
        "/api/v1/bans/{address:str}",
        summary="Pardon a source",
        status_code=200,
        sync_to_thread=False,
        responses=problems(400, 404),
    )
    def pardon(address: Annotated[str, PathParameter(description="an address of the source")]) -> Done:
        """Hear this address again, and forget what it did."""
        if guard is None or not guard.pardon(address, clock()):
            raise NotFoundException(f"{address!r} is not banned")
        return Done()

    return [bans, ban, pardon]
