"""What becomes of registrations: who is registered, since when, and why no longer (TS 24.229 section 5.4.1).

    Registrar ─► accepted ─┐
    Location ──► note ─────┴─► RegistrationChange ─► third-party REGISTERs, ``reg`` NOTIFYs, metrics, log

The changes of one REGISTER are one ``RegistrationChange``, told after its 200.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ims_core.profiles.model import Registration
from ims_core.registrar.location import Binding, BindingAdded, BindingRemoved, LocationEvent, Removal

if TYPE_CHECKING:
    from ims_core.messages.message import Request, Response
    from ims_core.messages.uri import Uri
    from ims_core.registrar.enrolment import Registrant
    from ims_core.registrar.identities import Identities


class ContactEvent(StrEnum):
    """What happened to a contact last, by the words of RFC 3680 section 5.2."""

    REGISTERED = "registered"
    CREATED = "created"  # along with another identity of the implicit set (TS 24.229 section 5.4.2.1.2)
    REFRESHED = "refreshed"
    SHORTENED = "shortened"
    EXPIRED = "expired"
    UNREGISTERED = "unregistered"
    DEACTIVATED = "deactivated"
    PROBATION = "probation"
    REJECTED = "rejected"


class Cause(NamedTuple):
    """The REGISTER that a change comes from: who sent it for which identity, and what he was told."""

    registrant: Registrant
    request: Request
    response: Response


class Story(NamedTuple):
    """How a contact came to be what it is: its last event, the identity it was registered for, and since when."""

    event: ContactEvent
    identity: str
    since: float


class ContactChange(NamedTuple):
    """A contact with its story up to now."""

    binding: Binding
    story: Story
    retry_after: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether the contact is gone."""
        return self.story.event in _OVER


class RegistrationChange(NamedTuple):
    """The set of ``aor`` is registered (``INITIAL``), still so with other contacts or for longer, or no longer so.

    ``cause`` is None when no REGISTER brought it about, but time or the network.
    """

    aor: str
    kind: Registration
    contacts: tuple[ContactChange, ...]
    cause: Cause | None


class Registrations:
    """Makes of the changes of a ``Location`` what an S-CSCF needs to know; hand all of them to ``note``.

    ``listeners`` are told of every ``RegistrationChange``. ``counts`` has the changes by the names of ``Registration``
    in lower case, ``contacts`` what happened to single contacts.
    """

    def __init__(self, identities: Identities, clock: Callable[[], float]) -> None:
        self.identities = identities
        self.listeners: list[Callable[[RegistrationChange], None]] = []
        self.counts: Counter[str] = Counter()
        self.contacts: Counter[ContactEvent] = Counter()
        self._location = identities.location
        self._clock = clock
        self._stories: dict[int, Story] = {}
        self._pending: dict[str, list[LocationEvent]] = {}
        self._causes: dict[str, Cause] = {}
        self._shortened: set[int] = set()
        self._retry_after: dict[int, int] = {}
        self._doubted: set[str] = set()

    def __len__(self) -> int:
        return len(self._stories)

    # What happens -------------------------------------------------------------------------------------------

    def accepted(self, registrant: Registrant, request: Request, response: Response) -> None:
        """Take note of a REGISTER that changes its location now."""
        self._doubted.discard(registrant.private)
        if any(event.aor == registrant.aor for event in self._location.events):
            self._causes[registrant.aor] = Cause(registrant, request, response)
            self.identities.keep(registrant.aor, registrant.implicit)

    def note(self, event: LocationEvent) -> None:
        """Take a change of the location, which has been taken out of its ``events`` before.

        Contacts fixed by configuration are nobody's registration.
        """
        if not event.binding.fixed:
            self._pending.setdefault(event.aor, []).append(event)
        if not self._location.events:
            pending, self._pending = self._pending, {}
            for aor, events in pending.items():
                self._tell(aor, events)

    def story_of(self, binding: Binding) -> Story:
        """How a contact that is there came to be; of one from before a restart no more is known than that it is."""
        story = self._stories.get(binding.number)
        return story or Story(ContactEvent.REGISTERED, binding.aor, self._clock())

    # What the network does ----------------------------------------------------------------------------------

    def deregister(
        self,
        uri: Uri | str,
        reason: Removal = Removal.DEACTIVATED,
        *,
        private: str = "",
        retry_after: int | None = None,
    ) -> int:
        """Take an identity, with all of its set, off the network (TS 24.229 section 5.4.1.5).

        ``DEACTIVATED`` has the phone register anew, with ``PROBATION`` ``retry_after`` seconds later, after
        ``REJECTED`` it will not. With ``private`` only what this subscriber registered goes. Returns the number of
        contacts that went; their events are in the location for the node to take (``Node.settle``).
        """
        gone = [each for each in self._concerned(uri, private) if not each.fixed]
        for binding in gone:
            if retry_after is not None:
                self._retry_after[binding.number] = retry_after
            self._location.remove(binding, reason)
        return len(gone)

    def reauthenticate(self, uri: Uri | str, seconds: int, *, private: str = "") -> int:
        """Have the phone prove who it is within ``seconds``, or lose its registration (TS 24.229 section 5.4.1.6).

        Its next REGISTER is challenged in any case. Returns the number of contacts that have less time now.
        """
        latest = self._clock() + seconds
        shortened = [each for each in self._concerned(uri, private) if not each.fixed and each.expires_at > latest]
        for binding in shortened:
            self._doubted.add(binding.private)
            self._shortened.add(binding.number)
            self._location.renew(binding, call_id=binding.call_id, cseq=binding.cseq, expires_at=latest)
        return len(shortened)

    def doubt(self, private: str) -> None:
        """Have a subscriber who is registered prove who he is with his next REGISTER, however it comes."""
        self._doubted.add(private)

    def doubts(self, private: str) -> bool:
        """Whether a subscriber is to prove who he is, and has not done so yet."""
        return private in self._doubted

    # Inside -------------------------------------------------------------------------------------------------

    def _concerned(self, uri: Uri | str, private: str) -> list[Binding]:
        """The contacts of a set, also of one that nobody knows any more if its address-of-record is named."""
        aor = str(uri) if str(uri) in self._location else self.identities.aor_of(uri)
        return [each for each in self._location.bindings(aor or "") if not private or each.private == private]

    def _tell(self, aor: str, events: list[LocationEvent]) -> None:
        cause = self._causes.pop(aor, None)
        contacts = tuple(self._told(event, cause) for event in events)
        first = events[0]
        was_there = not (isinstance(first, BindingAdded) and first.first)
        is_there = aor in self._location
        if not is_there:
            self._doubted.difference_update(change.binding.private for change in contacts)
        if not was_there and (cause is None or not is_there):
            if is_there:
                self.identities.keep(aor)
            else:
                self.identities.forget(aor)
            return  # restored after a restart: nothing new to anybody; or gone before anybody heard of it
        kind = Registration.INITIAL if not was_there else Registration.RE if is_there else Registration.DE
        self.counts[kind.name.lower()] += 1
        self.contacts.update(change.story.event for change in contacts)
        change = RegistrationChange(aor, kind, contacts, cause)
        for listener in self.listeners:
            listener(change)
        if not is_there:
            self.identities.forget(aor)

    def _told(self, event: LocationEvent, cause: Cause | None) -> ContactChange:
        binding = event.binding
        number = binding.number
        identity = event.aor if cause is None else cause.registrant.identity
        if isinstance(event, BindingAdded):
            story = self._stories[number] = Story(ContactEvent.REGISTERED, identity, self._clock())
            return ContactChange(binding, story)
        held = self._stories.get(number) or Story(ContactEvent.REGISTERED, identity, self._clock())
        if isinstance(event, BindingRemoved):
            self._stories.pop(number, None)
            self._shortened.discard(number)
            return ContactChange(binding, held._replace(event=_WHY[event.reason]), self._retry_after.pop(number, None))
        is_shortened = number in self._shortened
        self._shortened.discard(number)
        word = ContactEvent.SHORTENED if is_shortened else ContactEvent.REFRESHED
        story = self._stories[number] = held._replace(event=word)
        return ContactChange(binding, story)


_WHY = {
    Removal.EXPIRED: ContactEvent.EXPIRED,
    Removal.DEREGISTERED: ContactEvent.UNREGISTERED,
    Removal.FLOW_LOST: ContactEvent.DEACTIVATED,  # only a new registration makes the phone reachable again
    Removal.DEACTIVATED: ContactEvent.DEACTIVATED,
    Removal.PROBATION: ContactEvent.PROBATION,
    Removal.REJECTED: ContactEvent.REJECTED,
}
_OVER = frozenset(_WHY.values())
