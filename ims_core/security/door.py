"""The one door that everything new comes in by: bans and buckets, the end of service, and the load, in this order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Final

from ims_core.errors import ServiceUnavailable, SipError
from ims_core.messages.uri import is_sos

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request
    from ims_core.registrar.location import Domains, Location
    from ims_core.security.admission import Admission
    from ims_core.security.guard import Guard

RETRY_SECONDS = 5.0  # when nobody knows better
JITTER = 0.2  # of the time told, so that those who were turned away do not come back together
COUNTED: Final = frozenset(("INVITE", "MESSAGE", "OPTIONS", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE"))

# RFC 4412 section 12: each namespace from its lowest value, which is the normal one, to its highest.
NAMESPACES: Final = {
    "dsn": ("routine", "priority", "immediate", "flash", "flash-override"),
    "drsn": ("routine", "priority", "immediate", "flash", "flash-override", "flash-override-override"),
    "q735": ("4", "3", "2", "1", "0"),
    "ets": ("4", "3", "2", "1", "0"),
    "wps": ("4", "3", "2", "1", "0"),
}


class Door:
    """Decides about messages before they are read, and about new requests before there is a transaction for them.

    ``closing``, when set, is what new calls get from now on. ``retry_after`` may tell in seconds when a request is
    worth trying again, ``owns`` whether it belongs to a dialog of ours, ``is_emergency`` whether it is for an emergency
    service, so that it is never turned away. ``chance`` returns numbers from 0 to 1. ``busy`` returns the numbers of
    the connections that calls go by. ``rejected`` counts by method what the load turned away.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        domains: Domains,
        location: Location,
        guard: Guard | None = None,
        admission: Admission | None = None,
        chance: Callable[[], float] = lambda: 0.5,
    ) -> None:
        self.guard = guard
        self.admission = admission
        self.closing: ServiceUnavailable | None = None
        self.retry_after: Callable[[Request], float | None] = lambda _: None
        self.rejected: Counter[str] = Counter()
        self.owns: Callable[[Request], bool] = lambda _: False
        self.is_emergency: Callable[[Request], bool] = _is_sos
        self.busy: Callable[[], Container[int]] = frozenset
        self._let_in: set[int] = set()
        self._clock = clock
        self._domains = domains
        self._location = location
        self._chance = chance

    def shuts_out(self, flow: Flow) -> bool:
        """Whether a message from ``flow`` is to be dropped unread."""
        return self.guard is not None and self.guard.shuts_out(flow, self._clock())

    def admits(self, request: Request, flow: Flow) -> bool:
        """Whether a request that is no retransmission and no ACK may have a transaction; if not it is dropped.

        Raises ``ServiceUnavailable`` where it is to be told so.
        """
        now, method = self._clock(), request.method
        is_within_dialog = method != "REGISTER" and _has_to_tag(request)
        guard = self.guard if not (is_within_dialog and self.owns(request)) else None
        if guard is not None and not self.is_emergency(request) and not guard.admits(request, flow, now):
            return False
        if is_within_dialog or method == "CANCEL":
            return True
        if self.closing is not None and method == "INVITE" and not self.is_emergency(request):
            raise self.closing
        admission = self.admission
        if admission is None:
            return True
        was_limiting = admission.is_limiting
        if was_limiting and self._must_pass(request, flow):
            return True
        if not admission.admit(now):
            if not was_limiting and self._must_pass(request, flow):  # overload begins with it
                return True
            self.rejected[method if method in COUNTED else "other"] += 1
            raise ServiceUnavailable(headers=(("Retry-After", str(self.seconds_to_retry(request))),))
        return True

    def let_in(self, flow: Flow) -> None:
        """Take note that something that came by a connection was not turned away: it is no stranger's."""
        self._let_in.add(flow.connection)

    def left(self, flow: Flow) -> None:
        """Forget a connection that is gone."""
        self._let_in.discard(flow.connection)

    def knows(self, flow: Flow) -> bool:
        """Whether ``flow`` is that of a registered contact, of a trusted host, or one that something was let in by."""
        return flow.connection in self._let_in or self.needs(flow)

    def needs(self, flow: Flow) -> bool:
        """Whether ``flow`` is that of a registered contact or of a trusted host."""
        return self._location.has_flow(flow) or (self.guard is not None and self.guard.trusts(flow.remote[0]))

    def waited(self, seconds: float) -> None:
        """Take note of how long a message was there before it was taken."""
        if self.admission is not None:
            self.admission.observe(seconds, self._clock())

    def complained(self, flow: Flow | None = None) -> None:
        """Take note that something behind us cannot take more: a server that said 503, or a resource of our own.

        A phone that says so from its registered ``flow`` is none of them.
        """
        if self.admission is not None and (flow is None or not self._location.has_flow(flow)):
            self.admission.complain()

    def _must_pass(self, request: Request, flow: Flow) -> bool:
        """Whether a new request is admitted under any load: an emergency, what has priority, a registration held."""
        try:
            if request.method == "REGISTER":
                return self._location.has_flow(flow) or (self._domains.aor_of(request.to.uri) or "") in self._location
            return self.is_emergency(request) or _has_priority(request)
        except SipError:
            return False

    def seconds_to_retry(self, request: Request) -> int:
        """The Retry-After for a request that is turned away: what ``retry_after`` says, and somewhat spread."""
        try:
            told = self.retry_after(request)
        except SipError:
            told = None
        seconds = RETRY_SECONDS if told is None else told
        return max(1, round(seconds * (1 + JITTER * self._chance())))


def _is_sos(request: Request) -> bool:
    return is_sos(request.uri)


def _has_to_tag(request: Request) -> bool:
    try:
        return bool(request.to_tag)
    except SipError:  # it gets its 400 from who reads it
        return False


def _has_priority(request: Request) -> bool:
    """Whether a Resource-Priority known here asks for more than is normal (RFC 4412 section 3.1)."""
    if "resource-priority" not in request:
        return False
    for value in request.values("Resource-Priority"):
        namespace, _, priority = value.strip().lower().partition(".")
        if priority in NAMESPACES.get(namespace, ())[1:]:
            return True
    return False
