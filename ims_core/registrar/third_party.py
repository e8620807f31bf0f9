"""Third-party registration: application servers hear who registers (TS 24.229 section 5.4.1.7).

The S-CSCF registers a user with each server for which a criterion of his service profile asks, at the first
registration, at each that follows and at the last: From is the S-CSCF, To the user. What the server does with it is
its own affair, unless the profile says that the user is not served without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple
from xml.etree import ElementTree as ET

from ims_core.errors import SipError
from ims_core.messages.message import Request, Response
from ims_core.messages.multipart import Enclosed, join_multipart
from ims_core.profiles.matching import Facts, matching
from ims_core.profiles.model import DefaultHandling, Registration, SessionCase
from ims_core.registrar.contacts import seconds_left
from ims_core.registrar.identities import member
from ims_core.transactions.machines import TIMEOUT
from ims_core.ua.xml_text import xml_text

if TYPE_CHECKING:
    from ims_core.profiles.model import Server, ServiceProfile
    from ims_core.registrar.registrations import Cause, RegistrationChange, Registrations
    from ims_core.ua.useragent import UserAgent

IMS_XML: Final = "application/3gpp-ims+xml"  # TS 24.229 section 7.6
SIP: Final = "message/sip"
_COPIED: Final = (  # 5.4.1.7 g) to i)
    "P-Access-Network-Info",
    "P-Visited-Network-ID",
    "P-Charging-Vector",
    "P-Charging-Function-Addresses",
)


class Told(NamedTuple):
    """How a server took a registration: the final status, 408 when it did not answer, 503 when it was not reached."""

    server: Server
    identity: str
    kind: Registration
    status: int

    @property
    def has_failed(self) -> bool:
        """Whether the default handling of the criterion counts (5.4.1.7): no answer, 408 or 5xx."""
        return self.status == 408 or 500 <= self.status < 600


class _Line(NamedTuple):
    """What all REGISTERs of one user to one server have in common (RFC 3261 section 10.2).

    It is kept until the server has answered the last one: no late copy of that undoes what comes after it.
    """

    call_id: str
    tag: str


class ThirdParties:
    """Registers users with the application servers of their profiles as ``registrations`` come and go.

    ``uri`` is the S-CSCF's own, ``profile_of`` has the service profiles by name. Servers of which ``is_here`` says so
    are services of this process, which know the location as it is. ``on_told`` hears the outcome of each
    REGISTER; ``counts`` has them by "accepted", "refused" and "failed".
    """

    def __init__(
        self,
        ua: UserAgent,
        registrations: Registrations,
        uri: str,
        profile_of: Callable[[str], ServiceProfile | None],
        *,
        is_here: Callable[[str], bool] = lambda uri: False,
    ) -> None:
        self.on_told: Callable[[Told], None] = _ignore
        self.counts: Counter[str] = Counter()
        self._ua = ua
        self._registrations = registrations
        self._identities = registrations.identities
        self._uri = uri
        self._profile_of = profile_of
        self._is_here = is_here
        self._lines: dict[str, dict[tuple[str, str], tuple[_Line, int]]] = {}
        registrations.listeners.append(self._tell)

    def finished(self, aor: str, told: Told) -> None:
        """Take note of how a REGISTER ended, and take the user off the network if his profile demands it."""
        status = told.status
        self.counts["accepted" if status < 300 else "failed" if told.has_failed else "refused"] += 1
        self.on_told(told)
        if told.kind is Registration.DE:
            if aor not in self._identities.location:
                self._lines.pop(aor, None)
        elif told.has_failed and told.server.default_handling is DefaultHandling.SESSION_TERMINATED:
            self._registrations.deregister(aor)

    # Inside -------------------------------------------------------------------------------------------------

    def _tell(self, change: RegistrationChange) -> None:
        if change.cause is None and change.kind is not Registration.DE:
            return  # a contact of several went by itself: the user has not registered anything
        servers = list(self._servers(change))
        if change.kind is Registration.DE and not servers:
            self._lines.pop(change.aor, None)
        for server, identity in servers:
            self._send(change, server, identity)

    def _servers(self, change: RegistrationChange) -> Iterator[tuple[Server, str]]:
        """The servers that are to hear of a change, each with the identity that it knows the user by."""
        facts = Facts(_as_registered(change), SessionCase.ORIGINATING, change.kind)
        for profile, identity in self._profiles(change):
            after, visited = None, set[str]()
            while (criterion := matching(profile, facts, after, visited)) is not None:
                after = criterion.priority
                visited.add(criterion.server.uri)
                if not self._is_here(criterion.server.uri):
                    yield criterion.server, identity

    def _profiles(self, change: RegistrationChange) -> Iterator[tuple[ServiceProfile, str]]:
        """The profiles of a set, each with an identity to register: the same as ever, at first that of the REGISTER."""
        told = (identity for identity, _ in self._lines.get(change.aor, ()))
        registered = () if change.cause is None else (change.cause.registrant.identity,)
        implicit = self._identities.set_of(change.aor)
        plain = (identity.uri for identity in self._identities.usable(change.aor) if not identity.wildcard)
        chosen: dict[str, str] = {}
        for uri in (*told, *registered, *plain):
            identity = member(implicit, uri)
            if identity is not None and not identity.barred:
                chosen.setdefault(identity.profile, uri)
        for name, uri in chosen.items():
            profile = self._profile_of(name)
            if profile is not None:
                yield profile, uri

    def _send(self, change: RegistrationChange, server: Server, identity: str) -> None:
        request = Request("REGISTER", server.uri)
        line, cseq = self._line(change.aor, identity, server.uri)
        request.add("Max-Forwards", "70")
        request.add("From", f"<{self._uri}>;tag={line.tag}")
        request.add("To", f"<{identity}>")
        request.add("Call-ID", line.call_id)
        request.add("CSeq", f"{cseq} REGISTER")
        request.add("Contact", f"<{self._uri}>")
        request.add("Expires", str(self._seconds(change.aor)))
        cause = change.cause
        if cause is not None:
            for name in _COPIED:
                for value in cause.request.whole_values(name):
                    request.add(name, value)
        parts = list(_parts(server, cause, change.kind))
        if len(parts) == 1:
            ((content_type, body),) = parts
            request.set_body(body, content_type)
        elif parts:
            content_type, body = join_multipart([Enclosed(*part) for part in parts], self._ua.endpoint.ids.tag())
            request.set_body(body, content_type)
        report = _Report(self, change.aor, server, identity, change.kind)
        try:
            self._ua.courier.request(request, server.uri, report)
        except SipError:
            report.end(503)

    def _line(self, aor: str, identity: str, server: str) -> tuple[_Line, int]:
        ids = self._ua.endpoint.ids
        lines = self._lines.setdefault(aor, {})
        line, cseq = lines.get((identity, server)) or (_Line(ids.call_id(), ids.tag()), 0)
        lines[identity, server] = line, cseq + 1
        return line, cseq + 1

    def _seconds(self, aor: str) -> int:
        """How long the registration lasts at most: as long as the contact that has longest; 0 without any."""
        ends = [binding.expires_at for binding in self._identities.location.bindings(aor)]
        return max(0, seconds_left(max((end for end in ends if end != inf), default=0.0), self._ua.endpoint.clock()))


class _Report:
    """Waits for what a server says to one REGISTER (``ua.context.TransactionUser``)."""

    def __init__(self, owner: ThirdParties, aor: str, server: Server, identity: str, kind: Registration) -> None:
        self._owner = owner
        self._aor = aor
        self._told = Told(server, identity, kind, 0)

    def receive_response(self, _: object, response: Response) -> None:
        if response.status >= 200:
            self.end(response.status)

    def request_failed(self, _: object, cause: str) -> None:
        self.end(408 if cause == TIMEOUT else 503)

    def end(self, status: int) -> None:
        self._owner.finished(self._aor, self._told._replace(status=status))


def _as_registered(change: RegistrationChange) -> Request:
    """The REGISTER that criteria are held against; where there was none, one that would have done the same."""
    if change.cause is not None:
        return change.cause.request
    request = Request("REGISTER", f"sip:{change.aor.rpartition('@')[2]}" if "@" in change.aor else change.aor)
    request.add("From", f"<{change.aor}>")
    request.add("To", f"<{change.aor}>")
    request.add("Expires", "0")
    return request


def _parts(server: Server, cause: Cause | None, kind: Registration) -> Iterator[tuple[str, bytes]]:
    """What the profile wants a server to be told in the body, each part with its type."""
    if server.service_info and kind is not Registration.DE:
        yield IMS_XML, _service_info(server.service_info)
    if cause is not None:
        if server.include_register_request:
            yield SIP, cause.request.encode()
        if server.include_register_response:
            yield SIP, cause.response.encode()


def _service_info(text: str) -> bytes:
    root = ET.Element("ims-3gpp", version="1")
    ET.SubElement(root, "service-info").text = xml_text(text)
    document: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return document


def _ignore(_: Told) -> None:
    """Nobody wants to know."""
