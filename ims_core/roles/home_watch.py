"""A P-CSCF watches at home whether its handsets are registered still (TS 24.229 section 5.2.3, RFC 3680)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final

from ims_core.errors import SipError
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.uri import parse_uri, same_uri
from ims_core.registrar.location import BindingRemoved, Removal
from ims_core.roles.charging import write_vector
from ims_core.ua.event_headers import Event
from ims_core.ua.reg_info import ACTIVE, REGINFO, TERMINATED
from ims_core.ua.reg_info_reader import RegInfoError, read_reg_info
from ims_core.ua.reg_package import REG
from ims_core.ua.subscriber import Subscriber, Unsubscribed, Wish

if TYPE_CHECKING:
    from ims_core.messages.message import Request
    from ims_core.registrar.location import Binding, LocationEvent
    from ims_core.roles.charging import ChargingVector
    from ims_core.roles.handsets import Handsets
    from ims_core.ua.reg_info import ContactState
    from ims_core.ua.reg_info_reader import RegInfo
    from ims_core.ua.subscriber import SubscriberEvent
    from ims_core.ua.usages import Context

LEAST_SECONDS: Final = 7200  # for which to subscribe
_EVENT: Final = Event(REG, "", {})
_ACCEPT: Final = (REGINFO,)
REST_SECONDS: Final = 3600.0  # before a home that does not know the package is asked again

_IS_OVER: Final = {
    "deactivated": Removal.DEACTIVATED,
    "probation": Removal.PROBATION,
    "rejected": Removal.REJECTED,
    "expired": Removal.EXPIRED,
    "unregistered": Removal.DEREGISTERED,
}
"""The events of a contact that is registered no more (RFC 3680 section 5.1), as the location knows them."""

_UNKNOWN_AT_HOME: Final = frozenset(("405", "482", "489", "501"))  # 482: it sends us what we asked it
_NO_RESOURCE: Final = "noresource"
_MALFORMED: Final = "malformed"


class HomeWatch:
    """Follows the registrations of ``handsets`` at ``home``, the URI of the I-CSCF or S-CSCF, as the element ``uri``.

    There is one subscription for all that is registered together. It lasts for as long as a contact does; what the home
    takes off is taken off here, and calls under way go on. A home that refuses is not asked again for that set before
    all of its contacts have gone; one that knows no such package is left alone for ``REST_SECONDS``. Hand all changes
    of the location to ``changed``. ``vector`` makes charging vectors.

    ``counts`` has how many contacts were ``taken_off`` or ``shortened``, and how many documents were ``malformed``.
    Each trouble is told of once, until there is news again.
    """

    def __init__(
        self, ua: Context, handsets: Handsets, *, uri: str, home: str, vector: Callable[[], ChargingVector]
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.on_taken_off: Callable[[Binding, Removal], None] = _ignore
        self.on_malformed: Callable[[str, str], None] = _ignore
        self.on_trouble: Callable[[str, str, float | None], None] = _ignore
        self._ua = ua
        self._handsets = handsets
        self._user = f"<{uri}>"
        self._home = home
        self._vector = vector
        self._watches: dict[str, Subscriber | None] = {}
        self._rests_until = float("-inf")
        self._trouble = ""

    def __len__(self) -> int:
        """How many sets the home tells of."""
        return sum(watch is not None and watch.is_active for watch in self._watches.values())

    def follow(self, aor: str) -> None:
        """Subscribe to the registration of a set with contacts, unless that has been done."""
        location, now = self._handsets.location, self._ua.endpoint.clock()
        if aor in self._watches or aor not in location or now < self._rests_until:
            return
        target = parse_name_addr(self._handsets.default_of(aor) or f"<{aor}>").uri_text
        lasts = max(binding.expires_at for binding in location.bindings(aor)) - now
        wish = Wish(target, _EVENT, _ACCEPT, self._user, max(LEAST_SECONDS, 2 * int(lasts)))  # e): longer than that
        watch = Subscriber(self._ua, self._home, wish, partial(self._hear, aor), dress=self._dress)
        self._watches[aor] = watch
        watch.start()

    def changed(self, event: LocationEvent) -> None:
        """Watch no more where the last contact has gone."""
        if isinstance(event, BindingRemoved) and event.aor not in self._handsets.location:
            watch = self._watches.pop(event.aor, None)
            if watch is not None:
                watch.unsubscribe()

    def has_sent(self, request: Request) -> bool:
        """Whether a SUBSCRIBE is one of these, which has come back: its sender takes it for one to a handset."""
        return request.method == "SUBSCRIBE" and (request.call_id, request.from_tag) in self._ua.usages

    # Inside -------------------------------------------------------------------------------------------------

    def _dress(self, request: Request) -> None:
        """Have a SUBSCRIBE say what an S-CSCF wants to know of a P-CSCF."""
        request.add("Route", f"<{self._home};lr>")
        request.add("P-Asserted-Identity", self._user)
        write_vector(request, self._vector())

    def _hear(self, aor: str, event: SubscriberEvent) -> None:
        if isinstance(event, Unsubscribed):
            self._lost(aor, event)
            return
        try:
            info = read_reg_info(event.body) if event.body else None
        except RegInfoError as error:
            self.counts[_MALFORMED] += 1
            if self._trouble != _MALFORMED:
                self._trouble = _MALFORMED
                self.on_malformed(aor, str(error))
            return
        self._trouble = ""
        if info is not None:
            self._take(aor, info)

    def _lost(self, aor: str, event: Unsubscribed) -> None:
        """Take note that nobody tells any more."""
        reason = event.reason
        if reason == _NO_RESOURCE:
            del self._watches[aor]  # all contacts have gone; who registers anew is watched anew
            return
        if aor not in self._handsets.location:
            return  # and so ``changed`` is told next
        if event.retry_in is None:
            self._watches[aor] = None
        if reason in _UNKNOWN_AT_HOME:
            self._rests_until = self._ua.endpoint.clock() + REST_SECONDS
        if reason != self._trouble:
            self._trouble = reason
            self.on_trouble(aor, reason, event.retry_in)

    def _take(self, aor: str, info: RegInfo) -> None:
        """Do as the home does with its contacts."""
        told = [contact for registration in info.registrations for contact in registration.contacts]
        is_over = bool(info.registrations) and all(
            registration.state == TERMINATED and not registration.contacts for registration in info.registrations
        )
        for binding in self._handsets.location.bindings(aor):
            concerned = [contact for contact in told if _is_of(contact, binding)]
            active = [contact for contact in concerned if contact.state == ACTIVE]
            if active:
                self._shorten(binding, active)
                continue
            ends = (_IS_OVER.get(contact.event) for contact in concerned if contact.state == TERMINATED)
            reason = next(filter(None, ends), Removal.DEREGISTERED if is_over else None)
            if reason is not None:
                self.counts["taken_off"] += 1
                self._handsets.location.remove(binding, reason)
                self.on_taken_off(binding, reason)

    def _shorten(self, binding: Binding, active: Iterable[ContactState]) -> None:
        for contact in active:
            if contact.event == "shortened" and contact.expires is not None:
                now = self._ua.endpoint.clock()
                self.counts["shortened"] += self._handsets.shorten(binding, contact.expires, now)


def _is_of(contact: ContactState, binding: Binding) -> bool:
    """Whether a contact is told of as it was registered last, and not as it was by a REGISTER before that."""
    if contact.call_id and contact.call_id != binding.call_id:
        return False
    if contact.call_id and contact.cseq is not None and contact.cseq < binding.cseq:
        return False
    params = dict(contact.params)
    if params.get("reg-id", str(binding.reg_id)) != str(binding.reg_id):
        return False
    if binding.reg_id and params.get("+sip.instance", binding.instance).strip('"') != binding.instance.strip('"'):
        return False
    if contact.uri == binding.contact:
        return True
    try:
        return same_uri(parse_uri(contact.uri), binding.uri)
    except SipError:
        return False


def _ignore(*_: object) -> None:
    """Nobody wants to know."""
