"""Tells why each criterion of a profile holds for a request or does not, condition by condition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ims_core.messages.headers import readable
from ims_core.profiles.matching import applies, evidence, fires, holds
from ims_core.profiles.model import (
    Case,
    Criterion,
    DefaultHandling,
    Form,
    Header,
    Method,
    Point,
    ProfilePart,
    RequestUri,
    ServicePointTrigger,
    ServiceProfile,
    SessionDescription,
)
from ims_core.profiles.tables import CASES, REGISTRATIONS

if TYPE_CHECKING:
    from ims_core.profiles.matching import Facts

_CASE_NAMES = {case: name for name, case in CASES.items()}
_REGISTRATION_NAMES = {kind: name for name, kind in REGISTRATIONS.items()}
_INDENT = "  "
_LONGEST = 200  # characters shown of what was sent


def explain(profile: ServiceProfile, facts: Facts) -> Iterator[str]:
    """Yield the lines of an explanation: the request, each criterion with its conditions, and the servers in order."""
    yield f"{facts.request.method} {_quoted(facts.request.uri)}"
    registration = "" if facts.registration is None else f", registration {_REGISTRATION_NAMES[facts.registration]}"
    yield f"session case {_CASE_NAMES[facts.case]}, the user {_registered(facts.part)}{registration}"
    visited: list[str] = []
    for criterion in profile.criteria:
        yield ""
        yield from _criterion(criterion, facts, visited)
        if applies(criterion, facts) and criterion.server.uri not in visited:
            visited.append(criterion.server.uri)
    yield ""
    if visited:
        yield f"application servers, if each sends the request on as it is: {', '.join(visited)}"
    else:
        yield "application servers: none"


def _criterion(criterion: Criterion, facts: Facts, visited: list[str]) -> Iterator[str]:
    name = f"criterion {criterion.priority}, {criterion.server.uri}"
    if not applies(criterion, facts):
        yield f"{name}: does not hold"
    elif criterion.server.uri in visited:
        yield f"{name}: holds, but the request has been to this server"
    else:
        handling = criterion.server.default_handling
        ends = "goes on" if handling is DefaultHandling.SESSION_CONTINUED else "is ended"
        yield f"{name}: holds; without an answer of the server the session {ends}"
    if criterion.part is not None:
        mark = "yes" if criterion.part is facts.part else "no"
        yield f"{_INDENT}{mark}: it is for a user who {_registered(criterion.part)}; this one {_registered(facts.part)}"
    trigger = criterion.trigger
    if trigger is None:
        yield f"{_INDENT}no trigger: it is for every request"
        return
    outcome = "fires" if fires(trigger, facts) else "does not fire"
    is_conjunctive = trigger.form is Form.CONJUNCTIVE
    yield f"{_INDENT}the trigger {outcome}: {'every' if is_conjunctive else 'some'} group must hold"
    for number, group in enumerate(trigger.groups, 1):
        held = [holds(condition, facts) for condition in group]
        mark = "yes" if (any(held) if is_conjunctive else all(held)) else "no"
        yield f"{_INDENT * 2}{mark}: group {number}, {'one of' if is_conjunctive else 'all of'}"
        for condition in group:
            yield f"{_INDENT * 3}{_condition(condition, facts)}"


def _condition(condition: ServicePointTrigger, facts: Facts) -> str:
    mark = "yes" if holds(condition, facts) else "no"
    wanted = f"{'not ' if condition.negated else ''}{_wanted(condition.point)}"
    return f"{mark}: {wanted}: {_there(condition.point, facts)}"


def _wanted(point: Point) -> str:
    """Say a condition in words."""
    match point:
        case Method():
            kinds = " or ".join(_REGISTRATION_NAMES[kind] for kind in sorted(point.registrations))
            return f"method {point.name}" + (f", registration {kinds}" if kinds else "")
        case RequestUri():
            return f'Request-URI with "{point.pattern}"'
        case Header():
            return f"header {point.name}" + ("" if point.content is None else f' with "{point.content}"')
        case Case():
            return f"session case {_CASE_NAMES[point.case]}"
        case SessionDescription():
            return f"SDP line {point.line}=" + ("" if point.content is None else f' with "{point.content}"')


def _there(point: Point, facts: Facts) -> str:
    """Say what there is: what is as the condition says or, where nothing is, all that could have been."""
    request = facts.request
    found = evidence(point, facts)
    match point:
        case Method():
            kind = "unknown" if facts.registration is None else _REGISTRATION_NAMES[facts.registration]
            told = f", registration {kind}" if point.registrations and point.name == request.method else ""
            return f"it is {request.method}{told}"
        case RequestUri():
            return f"it is {_quoted(request.uri)}"
        case Case():
            return f"it is {_CASE_NAMES[facts.case]}"
        case Header():
            lines = [request.lines[at] for at, key in enumerate(request.keys) if point.name.matches(key)]
        case SessionDescription():
            if not facts.description:
                return "there is no session description"
            lines = [f"{kind}={value}" for kind, value in facts.description if point.line.matches(kind)]
    listed = lines if found is None else [found]
    return f"there is {', '.join(map(_quoted, listed))}" if listed else "there is none"


def _quoted(written: str) -> str:
    """Return what somebody sent on one line, without what a terminal would obey."""
    text = "".join(letter if letter.isprintable() else "?" for letter in " ".join(readable(written).split()))
    return f'"{text}"' if len(text) <= _LONGEST else f'"{text[: _LONGEST - 3]}..."'


def _registered(part: ProfilePart) -> str:
    return "is registered" if part is ProfilePart.REGISTERED else "is not registered"
