"""Which application server is next for a request (TS 23.218 5.2 and 6.5, TS 24.229 5.4.3.2 and 5.4.3.3)."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import TYPE_CHECKING

from ims_core.errors import BadRequest
from ims_core.messages.multipart import split_multipart
from ims_core.profiles.model import (
    Case,
    Criterion,
    Form,
    Header,
    Method,
    Point,
    ProfilePart,
    Registration,
    RequestUri,
    ServicePointTrigger,
    ServiceProfile,
    SessionCase,
    SessionDescription,
    Trigger,
)

if TYPE_CHECKING:
    from ims_core.messages.message import Request

_SDP = "application/sdp"
_DEEPEST = 5  # multipart bodies within each other
_UNREGISTERED = frozenset((SessionCase.TERMINATING_UNREGISTERED, SessionCase.ORIGINATING_UNREGISTERED))


class Facts:
    """What criteria are held against: a request, and what the S-CSCF knows of it.

    ``registration`` is what a REGISTER does, None for other requests. ``part`` says whether the served user is
    registered; None: as ``case`` says.
    """

    def __init__(
        self,
        request: Request,
        case: SessionCase,
        registration: Registration | None = None,
        *,
        part: ProfilePart | None = None,
    ) -> None:
        self.request = request
        self.case = case
        self.registration = registration
        if part is None:
            part = ProfilePart.UNREGISTERED if case in _UNREGISTERED else ProfilePart.REGISTERED
        self.part = part

    @cached_property
    def description(self) -> list[tuple[str, str]]:
        """The lines of the session descriptions in the body, each a type and a value, as they are written."""
        found: list[tuple[str, str]] = []
        for body in _descriptions(self.request.get("Content-Type") or "", self.request.body, _DEEPEST):
            for line in body.decode("utf-8", "surrogateescape").split("\n"):
                kind, equals, value = line.rstrip("\r").partition("=")
                if equals and len(kind) == 1:
                    found.append((kind, value))
        return found


def matching(
    profile: ServiceProfile, facts: Facts, after: int | None = None, visited: Collection[str] = ()
) -> Criterion | None:
    """Return the next criterion that holds, the first with a priority value above ``after``; None: there is none.

    ``visited`` are the URIs of the application servers that the request has been sent to in this session case: to none
    of them it is sent again, though several criteria name it. So asking again and again, with the priority of the last
    criterion and its server added, comes to an end, and goes to each server at most once.
    """
    for criterion in profile.criteria:
        if after is not None and criterion.priority <= after:
            continue
        if criterion.server.uri not in visited and applies(criterion, facts):
            return criterion
    return None


def applies(criterion: Criterion, facts: Facts) -> bool:
    """Whether a criterion is for such a user and its trigger fires."""
    if criterion.part is not None and criterion.part is not facts.part:
        return False
    return criterion.trigger is None or fires(criterion.trigger, facts)


def fires(trigger: Trigger, facts: Facts) -> bool:
    """Whether one condition of every group holds, or every one of some group (TS 29.228 Annex C)."""
    if trigger.form is Form.CONJUNCTIVE:
        return all(any(holds(each, facts) for each in group) for group in trigger.groups)
    return any(all(holds(each, facts) for each in group) for group in trigger.groups)


def holds(condition: ServicePointTrigger, facts: Facts) -> bool:
    """Whether one condition holds; negated, when nothing in the request is as it says (TS 29.228 Annex B.2.3)."""
    return (evidence(condition.point, facts) is not None) is not condition.negated


def evidence(point: Point, facts: Facts) -> str | None:
    """Return what in the request is as ``point`` says, as it is written there; None: nothing is."""
    request = facts.request
    match point:
        case Method():
            return request.method if point.name == request.method and _is_such(point, facts) else None
        case RequestUri():
            found = point.pattern.found_in
            return request.uri if found(request.uri) or found(_core_of(request.uri)) else None
        case Header():
            for position, key in enumerate(request.keys):
                if point.name.matches(key) and (
                    point.content is None or point.content.found_in(request.value_at(position))
                ):
                    return request.lines[position]
            return None
        case Case():
            return facts.case.name.lower() if point.case is facts.case else None
        case SessionDescription():
            for kind, value in facts.description:
                if point.line.matches(kind) and (point.content is None or point.content.found_in(value)):
                    return f"{kind}={value}"
            return None


def _is_such(method: Method, facts: Facts) -> bool:
    """Whether a REGISTER does what the criterion is about; the types may be left aside with other methods (B.2.3)."""
    return not method.registrations or method.name != "REGISTER" or facts.registration in method.registrations


def _core_of(uri: str) -> str:
    """Return host and port of a SIP URI, the number with its parameters of a tel URI (TS 29.228 table F.1)."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() == "tel":
        return rest
    hostport = rest.partition("@")[2] or rest
    return hostport.partition("?")[0].partition(";")[0]


def _descriptions(content_type: str, body: bytes, depth: int) -> list[bytes]:
    """Return the session descriptions in a body, which may be of several parts (RFC 5621 3.1)."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _SDP:
        return [body]
    if not kind.startswith("multipart/") or not depth:
        return []
    try:
        parts = split_multipart(content_type, body)
    except BadRequest:
        return []
    return [
        inner for part in parts for inner in _descriptions(part.headers.get("content-type", ""), part.body, depth - 1)
    ]
