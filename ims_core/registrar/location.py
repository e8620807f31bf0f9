"""Where the users of a domain can be reached: the bindings of a location service (RFC 3261 section 10)."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from enum import Enum
from heapq import heappop, heappush
from itertools import count
from math import ceil, inf
from typing import Final, Generic, TypeVar

from ims_core.flow import Address, Flow
from ims_core.messages.uri import Uri, is_ip_address, parse_uri, same_uri, split_host_port
from ims_core.structs import Leaf, Value


class Domains:
    """The domains served, and how a URI becomes an address-of-record (10.3 step 5).

    ``domain`` is the name that goes into every address-of-record. ``aliases`` are further ``host`` or ``host:port``
    texts that mean the same. A host name counts with any port, an IP address only with the given port (5060 when
    none is given).
    """

    def __init__(self, domain: str, aliases: Iterable[str] = ()) -> None:
        self.domain = domain.lower().removesuffix(".")
        self._suffix = f"@{self.domain}"
        self._names = {self.domain}
        self._addresses: set[Address] = set()
        for alias in aliases:
            self.add_alias(alias)

    def add_alias(self, alias: str) -> None:
        """Count ``alias`` (``host`` or ``host:port``) as the domain. Raises ``BadRequest`` when it is neither."""
        host, port = split_host_port(alias)
        if is_ip_address(host):
            self._addresses.add((host, port or 5060))
        else:
            self._names.add(host)

    def serves(self, uri: Uri) -> bool:
        """Whether the host part of ``uri`` is the domain."""
        return uri.host in self._names or uri.address in self._addresses

    def aor_of(self, uri: Uri) -> str | None:
        """The address-of-record that ``uri`` names (``sip:user@domain``), None when the domain is another."""
        return f"sip:{uri.user}{self._suffix}" if self.serves(uri) else None


class Binding(Leaf):
    """One contact of an address-of-record. Read it freely; only ``Location`` changes it.

    ``contact`` is the URI as registered, ``expires_at`` an instant in seconds (``inf``: fixed by configuration).
    ``flow`` is where the REGISTER came from, None when a proxy stood between; with ``by_flow`` requests to the contact
    go there, because the contact names the sender itself, else as its URI, or the path before it, says. ``q`` is None
    when the phone named none, which counts as 1. ``instance`` is the ``+sip.instance`` value and ``reg_id`` the flow
    of that instance, 0 when the contact was not registered for a flow (RFC 5626); ``path`` are the Path values (RFC
    3327). ``written`` is the Contact value that said all this, empty when it was the URI in angle brackets only or came
    among others. ``number`` is different for every binding of one ``Location``, ``due`` the second at which that
    looks whether it has expired. ``private`` is the private identity of the subscriber who registered it; empty where
    an account and its address-of-record are one.
    """

    aor: str
    contact: str
    flow: Flow | None = None
    by_flow: bool = True
    call_id: str = ""
    cseq: int = 0
    expires_at: float = inf
    q: float | None = None
    instance: str = ""
    reg_id: int = 0
    path: tuple[str, ...] = ()
    written: str = ""
    private: str = ""
    number: int = 0
    due: int = 0

    @property
    def uri(self) -> Uri:
        """The contact, parsed."""
        return parse_uri(self.contact)

    @property
    def way(self) -> Flow | None:
        """The flow that requests to the contact take; None: go by its URI."""
        return self.flow if self.by_flow else None

    @property
    def fixed(self) -> bool:
        """Whether configuration made it: it never expires and no REGISTER changes it."""
        return self.expires_at == inf

    @property
    def needs_connection(self) -> bool:
        """Whether the contact is reached over the stream that it registered by, or not at all.

        So it is when it was registered for this flow (RFC 5626), is a web browser (RFC 7118 section 5) or names the far
        end of the connection, where nothing listens.
        """
        flow = self.flow
        return (
            flow is not None
            and flow.reliable
            and (self.reg_id > 0 or flow.transport in _BROWSERS or self.uri.address == flow.remote)
        )

    def __repr__(self) -> str:
        return f"<Binding {self.aor} -> {self.contact}>"


class Removal(Enum):
    """Why a binding went."""

    EXPIRED = "expired"
    DEREGISTERED = "deregistered"
    FLOW_LOST = "flow lost"
    # by the network (TS 24.229 5.4.1.5), each with what the phone is to do then (RFC 3680 section 5.2)
    DEACTIVATED = "deactivated"  # register anew at once
    PROBATION = "probation"  # register anew later
    REJECTED = "rejected"  # stay away


class BindingAdded(Value):
    """A contact appeared; ``first``: the address-of-record had none before."""

    aor: str
    binding: Binding
    first: bool


class BindingRefreshed(Value):
    """A contact was registered again; ``renewed``: nothing but its lifetime, Call-ID and CSeq is new."""

    aor: str
    binding: Binding
    renewed: bool


class BindingRemoved(Value):
    """A contact went; ``last``: the address-of-record has none now."""

    aor: str
    binding: Binding
    last: bool
    reason: Removal


LocationEvent = BindingAdded | BindingRefreshed | BindingRemoved


class Location:
    """All bindings, found by address-of-record, by flow and by contact, each in constant time.

    You must take ``next_event()`` until it returns None, or empty ``events``, after whatever may have changed
    something, and call ``expire(now)`` when ``next_deadline()`` has come: a binding goes at most one second after its
    time.
    """

    def __init__(self) -> None:
        self._by_aor: dict[str, tuple[Binding, ...]] = {}
        self._by_remote: _Index[Address] = _Index()
        self._by_contact: _Index[int] = _Index()
        self._due: dict[int, set[Binding]] = {}
        self._seconds: list[int] = []
        self.events: deque[LocationEvent] = deque()
        self._numbers = count(1)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Binding]:
        return (binding for bindings in self._by_aor.values() for binding in bindings)

    def __contains__(self, aor: object) -> bool:
        return aor in self._by_aor

    def next_event(self) -> LocationEvent | None:
        """The oldest change not yet taken."""
        return self.events.popleft() if self.events else None

    def bindings(self, aor: str) -> tuple[Binding, ...]:
        """The contacts of ``aor``, the highest q first, among equals the oldest first.

        Of the flows of one instance the one that was registered last comes first (RFC 5626 section 7).
        """
        held = self._by_aor.get(aor, ())
        return held if len(held) < 2 else tuple(sorted(held, key=_by_preference))

    def bindings_from(self, transport: str, remote: Address) -> Collection[Binding]:
        """The contacts that registered from this address: who may be sending a request that comes from it."""
        return [binding for binding in self._by_remote.get(remote) if _is_over(binding, transport)]

    def has_flow(self, flow: Flow) -> bool:
        """Whether a contact registered from where ``flow`` comes from."""
        return any(_is_over(binding, flow.transport) for binding in self._by_remote.get(flow.remote))

    def binding_at(self, contact: Uri) -> Binding | None:
        """The contact that ``contact`` names, as the Request-URI of a request within a dialog does."""
        found = None
        for binding in self._by_contact.get(_resource(contact)):
            if binding.contact == contact.text:
                return binding
            if binding.uri.same_resource == contact.same_resource:
                found = binding
        return found

    def match(
        self, aor: str, contact: Uri, instance: str = "", reg_id: int = 0, private: str | None = None
    ) -> Binding | None:
        """The binding of ``aor`` that a registration of ``contact`` is about.

        A contact that is registered for a flow is known by instance and ``reg_id``, whatever its URI (RFC 5626 section
        6), any other by its URI (RFC 3261 section 19.1.4). With ``private`` it is one that this subscriber
        registered, or a fixed one: who share an identity have contacts of their own.
        """
        for binding in self._by_aor.get(aor, ()):
            if binding.reg_id != reg_id or not (private is None or binding.private == private or binding.fixed):
                continue
            if reg_id:
                if binding.instance == instance:
                    return binding
            elif binding.contact == contact.text or same_uri(binding.uri, contact):
                return binding
        return None

    def add(self, binding: Binding) -> None:
        """Take in a contact that ``match`` did not find; its contact must be a valid URI."""
        held = self._by_aor.get(binding.aor, ())
        self._by_aor[binding.aor] = (*held, binding)
        self._by_contact.add(_resource(binding.uri), binding)
        if binding.flow is not None:
            self._by_remote.add(binding.flow.remote, binding)
        self._count += 1
        binding.number = next(self._numbers)
        self._schedule(binding)
        self.events.append(BindingAdded(binding.aor, binding, not held))

    def refresh(self, binding: Binding, new: Binding) -> None:
        """Give ``binding`` the contact and all else of ``new``, which must be for the same address-of-record."""
        if new.contact != binding.contact:
            self._by_contact.discard(_resource(binding.uri), binding)
            self._by_contact.add(_resource(new.uri), binding)
            binding.contact = new.contact
        if new.flow != binding.flow:
            self._set_flow(binding, new.flow)
        binding.by_flow = new.by_flow
        binding.q = new.q
        binding.instance = new.instance
        binding.reg_id = new.reg_id
        binding.path = new.path
        binding.written = new.written
        binding.private = new.private
        self._extend(binding, new.call_id, new.cseq, new.expires_at)
        self.events.append(BindingRefreshed(binding.aor, binding, renewed=False))

    def renew(self, binding: Binding, *, call_id: str, cseq: int, expires_at: float) -> None:
        """Let a binding that is held live until ``expires_at`` by the word of this request."""
        self._extend(binding, call_id, cseq, expires_at)
        self.events.append(BindingRefreshed(binding.aor, binding, renewed=True))

    def _extend(self, binding: Binding, call_id: str, cseq: int, expires_at: float) -> None:
        binding.call_id = call_id
        binding.cseq = cseq
        binding.expires_at = expires_at
        if expires_at <= binding.due - 1 or not binding.due:
            self._unschedule(binding)
            self._schedule(binding)

    def remove(self, binding: Binding, reason: Removal) -> None:
        """Drop a binding that is held."""
        rest = tuple(other for other in self._by_aor[binding.aor] if other is not binding)
        if rest:
            self._by_aor[binding.aor] = rest
        else:
            del self._by_aor[binding.aor]
        self._by_contact.discard(_resource(binding.uri), binding)
        self._set_flow(binding, None)
        self._unschedule(binding)
        self._count -= 1
        self.events.append(BindingRemoved(binding.aor, binding, not rest, reason))

    def connection_lost(self, flow: Flow) -> None:
        """A stream connection is gone.

        A contact that registered over it stays until it expires, and requests go to its URI over a connection
        opened for them (RFC 3261 section 18.1.1). A binding that ``needs_connection`` goes at once.
        """
        for binding in list(self._by_remote.get(flow.remote)):
            if binding.flow != flow:
                continue
            if binding.needs_connection:
                self.remove(binding, Removal.FLOW_LOST)
            else:
                self._set_flow(binding, None)

    def next_deadline(self) -> float | None:
        """When ``expire`` should next be called."""
        return self._seconds[0] if self._seconds else None

    def expire(self, now: float) -> None:
        """Drop every binding whose time is over; cheap when none is."""
        while self._seconds and self._seconds[0] <= now:
            for binding in self._due.pop(heappop(self._seconds)):
                if binding.expires_at <= now:
                    self.remove(binding, Removal.EXPIRED)
                else:
                    self._schedule(binding)

    def _schedule(self, binding: Binding) -> None:
        # A refresh to a later time leaves the binding where it is: it is moved on when its second comes.
        if binding.expires_at == inf:
            binding.due = 0  # of no second
            return
        binding.due = second = ceil(binding.expires_at)
        bucket = self._due.get(second)
        if bucket is None:
            bucket = self._due[second] = set()
            heappush(self._seconds, second)
        bucket.add(binding)

    def _unschedule(self, binding: Binding) -> None:
        if binding.due in self._due:
            self._due[binding.due].discard(binding)

    def _set_flow(self, binding: Binding, flow: Flow | None) -> None:
        if binding.flow is not None:
            self._by_remote.discard(binding.flow.remote, binding)
        binding.flow = flow
        if flow is not None:
            self._by_remote.add(flow.remote, binding)


_BROWSERS: Final = frozenset(("WS", "WSS"))


def _by_preference(binding: Binding) -> tuple[float, float]:
    return -1.0 if binding.q is None else -binding.q, -binding.expires_at if binding.reg_id else 0.0


def _is_over(binding: Binding, transport: str) -> bool:
    return binding.flow is not None and binding.flow.transport == transport


def _resource(contact: Uri) -> int:
    """A key that equal contacts share; a number takes a third of the memory of what it stands for."""
    return hash(contact.same_resource)


_Key = TypeVar("_Key")


class _Index(Generic[_Key]):
    """Bindings under keys that usually have one each; a lone one needs no container."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[_Key, Binding | dict[Binding, None]] = {}

    def __contains__(self, key: _Key) -> bool:
        return key in self._held

    def get(self, key: _Key) -> Collection[Binding]:
        held = self._held.get(key)
        if held is None:
            return ()
        return (held,) if isinstance(held, Binding) else held.keys()

    def add(self, key: _Key, binding: Binding) -> None:
        held = self._held.get(key)
        if held is None:
            self._held[key] = binding
        elif isinstance(held, Binding):
            self._held[key] = {held: None, binding: None}
        else:
            held[binding] = None

    def discard(self, key: _Key, binding: Binding) -> None:
        held = self._held.get(key)
        if held is binding:
            del self._held[key]
        elif isinstance(held, dict):
            held.pop(binding, None)
            if not held:
                del self._held[key]
