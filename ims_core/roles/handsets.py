"""The handsets that their first hop knows: by which flow they registered, and as whom (TS 24.229 section 5.2.2)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ims_core.errors import SipError
from ims_core.messages.headers import NameAddr, parse_name_addr
from ims_core.messages.uri import Uri, is_ip_address, parse_uri, same_uri
from ims_core.registrar.contacts import names_sender, seconds
from ims_core.registrar.location import Binding, BindingRemoved, Location, LocationEvent, Removal
from ims_core.roles.identity import MOST_IDENTITIES, IdentitySet, identity_set
from ims_core.subscribers.identities import canonical

if TYPE_CHECKING:
    from ims_core.flow import Flow
    from ims_core.messages.message import Request, Response

GRACE: Final = 32.0  # seconds for which a registration is known beyond its end: its refresh may be on its way
LONGEST: Final = 7 * 24 * 3600
MOST_CONTACTS: Final = 20


class Handset(NamedTuple):
    """A registered user agent: who it may be, and the way to its S-CSCF, a Service-Route (RFC 3608)."""

    binding: Binding
    identities: IdentitySet
    service_route: tuple[str, ...] = ()


class Known(Protocol):
    """Which handsets a first hop knows."""

    def sender(self, flow: Flow, names: Iterable[Uri]) -> Handset | None:
        """Return who registered by ``flow``; where several did, the first whom ``names`` name, else any of them."""

    def at(self, contact: Uri) -> Handset | None:
        """Return who registered ``contact``."""


class Registered:
    """What the bindings of a ``location`` tell: all that a first hop in one process with the registrar needs.

    ``aors_of`` returns the addresses-of-record that a URI may be of, ``identities_of`` the public identities of one,
    as P-Associated-URI would tell them.
    """

    def __init__(
        self,
        location: Location,
        *,
        aors_of: Callable[[Uri], Iterable[str]],
        identities_of: Callable[[str], Iterable[str]],
    ) -> None:
        self._location = location
        self._aors_of = aors_of
        self._identities_of = identities_of

    def sender(self, flow: Flow, names: Iterable[Uri]) -> Handset | None:
        """Return who registered by ``flow``."""
        binding = sending(self._location, flow, (aor for uri in names for aor in self._aors_of(uri)))
        return None if binding is None else self._handset(binding)

    def at(self, contact: Uri) -> Handset | None:
        """Return who registered ``contact``."""
        binding = self._location.binding_at(contact)
        return None if binding is None else self._handset(binding)

    def _handset(self, binding: Binding) -> Handset:
        return Handset(binding, identity_set(self._identities_of(binding.aor)))


class Told(NamedTuple):
    """What the 200 to a REGISTER told about a binding, and whether its sender authenticates by AKA."""

    associated: tuple[str, ...]
    service_route: tuple[str, ...]
    by_aka: bool

    @property
    def identities(self) -> IdentitySet:
        """The identities, read."""
        return identity_set(self.associated)


class Handsets:
    """The handsets that registered through this hop, as the S-CSCF's answers tell; bindings are in ``location``.

    Hand all changes of the location to ``changed``.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self._told: dict[int, Told] = {}
        self._aors: dict[str, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._told)

    # Known ----------------------------------------------------------------------------------------------------

    def sender(self, flow: Flow, names: Iterable[Uri]) -> Handset | None:
        """Return who registered by ``flow``."""
        aors = (aor for uri in names for aor in self._aors.get(canonical(uri), ()))
        binding = sending(self.location, flow, aors)
        return None if binding is None else self._handset(binding)

    def at(self, contact: Uri) -> Handset | None:
        """Return who registered ``contact``."""
        binding = self.location.binding_at(contact)
        return None if binding is None else self._handset(binding)

    def default_of(self, aor: str) -> str:
        """Return the default identity of those registered together, a name-addr; empty when none is known."""
        told = (self._told.get(binding.number) for binding in self.location.bindings(aor))
        return next((each.identities.default for each in told if each is not None), "")

    def registered(self, to: Uri, flow: Flow, private: str) -> Told | None:
        """What is known of the registration of ``to`` by a private identity and by ``flow``; None: there is none."""
        for aor in self._aors.get(canonical(to), ()) if private else ():
            for binding in self.location.bindings(aor):
                if binding.private == private and _is_same(binding.flow, flow):
                    return self._told.get(binding.number)
        return None

    # What happens ---------------------------------------------------------------------------------------------

    def note(
        self, request: Request, response: Response, flow: Flow, now: float, *, private: str = "", by_aka: bool = False
    ) -> str:
        """Take what the 200 to a REGISTER that came by ``flow`` says of the contacts that it asked for.

        Returns the address-of-record that they are of. Raises ``SipError`` where To names nobody.
        """
        to = request.to
        associated = response.values("P-Associated-URI")[:MOST_IDENTITIES] or [f"<{to.uri_text}>"]
        told = Told(tuple(associated), tuple(response.values("Service-Route")), by_aka)
        aor = next(iter(told.identities.plain), canonical(to.uri))
        known = {*self._aors.get(canonical(to.uri), ()), aor}
        contacts = request.values("Contact")[:MOST_CONTACTS]
        if contacts == ["*"]:
            for each in known:
                for binding in self.location.bindings(each):
                    if binding.private == private or not private:  # not of others who share the identity
                        self.location.remove(binding, Removal.DEREGISTERED)
            return aor
        granted = [*_parsed(response.values("Contact"))]
        for contact, uri in _parsed(contacts):
            found = (self._held(each, contact, uri, private) for each in known)
            held = next((binding for binding in found if binding is not None), None)
            lifetime = _lifetime(contact, uri, granted, response)
            if not lifetime:
                if held is not None:
                    self.location.remove(held, Removal.DEREGISTERED)
                continue
            instance, reg_id = _instance(contact)
            new = Binding(
                aor,
                uri.text,
                flow,
                by_flow=reg_id > 0 or _is_at(uri, request, flow),
                call_id=request.call_id,
                cseq=request.cseq.number,
                expires_at=now + lifetime + GRACE,
                instance=instance,
                reg_id=reg_id,
                private=private,
            )
            if held is not None and held.aor != aor:
                self.location.remove(held, Removal.DEREGISTERED)
                held = None
            if held is None:
                self.location.add(new)
                self._learn(new, told)
            else:
                self._learn(held, told)
                self.location.refresh(held, new)
        return aor

    def shorten(self, binding: Binding, seconds: int, now: float) -> bool:
        """Let a registration last no longer than ``seconds``; returns whether it would have."""
        end = now + seconds + GRACE
        if end >= binding.expires_at:
            return False
        self.location.renew(binding, call_id=binding.call_id, cseq=binding.cseq, expires_at=end)
        return True

    def changed(self, event: LocationEvent) -> None:
        """Forget what was told of a binding that is gone."""
        if isinstance(event, BindingRemoved):
            told = self._told.pop(event.binding.number, None)
            if told is not None and event.aor not in self.location:
                self._unlearn(event.aor, told.identities)

    # Kept over a restart (``bindings_store.Beside``) ------------------------------------------------------------

    def written(self, binding: Binding) -> str:
        """Return what was told of a binding as text."""
        told = self._told.get(binding.number)
        return "" if told is None else json.dumps(told)

    def restored(self, binding: Binding, text: str) -> None:
        """Take back what was told of a binding that is there again; what cannot be read is nothing."""
        try:
            associated, service_route, by_aka = json.loads(text)
            told = Told(tuple(map(str, associated)), tuple(map(str, service_route)), bool(by_aka))
        except (ValueError, TypeError):
            return
        self._learn(binding, told)

    # Inside ---------------------------------------------------------------------------------------------------

    def _handset(self, binding: Binding) -> Handset | None:
        told = self._told.get(binding.number)
        return None if told is None else Handset(binding, told.identities, told.service_route)

    def _held(self, aor: str, contact: NameAddr, uri: Uri, private: str) -> Binding | None:
        return self.location.match(aor, uri, *_instance(contact), private or None)

    def _learn(self, binding: Binding, told: Told) -> None:
        before = self._told.get(binding.number)
        if before is not None and before.associated != told.associated:
            self._unlearn(binding.aor, before.identities)
        self._told[binding.number] = told
        for key in told.identities.plain:
            aors = self._aors.get(key, ())
            if binding.aor not in aors:
                self._aors[key] = (*aors, binding.aor)

    def _unlearn(self, aor: str, identities: IdentitySet) -> None:
        for key in identities.plain:
            rest = tuple(other for other in self._aors.get(key, ()) if other != aor)
            if rest:
                self._aors[key] = rest
            else:
                self._aors.pop(key, None)


def sending(location: Location, flow: Flow, aors: Iterable[str]) -> Binding | None:
    """Return a binding that registered by ``flow``: one of ``aors`` if there is any, else the first."""
    for aor in aors:
        for binding in location.bindings(aor):
            if _is_same(binding.flow, flow):
                return binding
    candidates = location.bindings_from(flow.transport, flow.remote)
    return next((binding for binding in candidates if _is_same(binding.flow, flow)), None)


def _is_same(heard: Flow | None, flow: Flow) -> bool:
    return (
        heard is not None
        and heard.remote == flow.remote
        and heard.transport == flow.transport
        and (heard.connection == flow.connection)
    )


def _is_at(contact: Uri, request: Request, flow: Flow) -> bool:
    """Whether a contact is reached by the flow; only on the sender's own host may it name another port."""
    return names_sender(contact, request.via, flow) or not is_ip_address(contact.host) or contact.host != flow.remote[0]


def _parsed(values: Iterable[str]) -> Iterable[tuple[NameAddr, Uri]]:
    for value in values:
        try:
            contact = parse_name_addr(value)
            yield contact, parse_uri(contact.uri_text)
        except SipError:
            continue


def _instance(contact: NameAddr) -> tuple[str, int]:
    instance = contact.params.get("+sip.instance", "")
    return instance, (seconds(contact.params.get("reg-id")) or 0) if instance else 0


def _lifetime(contact: NameAddr, uri: Uri, granted: Iterable[tuple[NameAddr, Uri]], response: Response) -> int:
    """Return for how long the S-CSCF has bound a contact, 0: it is bound no more."""
    flow_of = _instance(contact)
    for other, bound in granted:
        if (flow_of[1] and _instance(other) == flow_of) or (not flow_of[1] and same_uri(bound, uri)):
            told = seconds(other.params.get("expires") or response.get("Expires"))
            return min(3600 if told is None else told, LONGEST)
    return 0
