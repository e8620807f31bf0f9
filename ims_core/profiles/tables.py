r"""Profiles as people write them, in tables of TOML.

    [[criteria]]
    priority = 10                               # the lowest is asked first
    server = "sip:127.0.0.1:5064"
    all = [                                     # everything here must be so ...
        { method = "INVITE" },
        { case = "originating" },
        [                                       # ... of an inner list one (the conjunctive form)
            { header = "P-Asserted-Identity", content = "^<tel:" },
            { uri = '@ims\.example', negated = true },
        ],
    ]

With ``any`` in the place of ``all`` one thing there must be so, of an inner list everything (the disjunctive form).
Without either the criterion holds for every request. ``uri``, ``header``, ``line`` and ``content`` are extended regular
expressions, best put into the quotes that leave backslashes alone.

The tables are plain values: ``msgspec.convert(tables, tuple[CriterionTable, ...])`` makes them of what ``tomllib``
reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from ims_core.patterns import NamePattern, Pattern
from ims_core.profiles.mistakes import Findings, Path
from ims_core.profiles.model import (
    Case,
    Criterion,
    DefaultHandling,
    Form,
    Group,
    Header,
    Method,
    Point,
    ProfilePart,
    Registration,
    RequestUri,
    Server,
    ServicePointTrigger,
    ServiceProfile,
    SessionCase,
    SessionDescription,
    Trigger,
)

CaseName = Literal[
    "originating", "terminating", "terminating_unregistered", "originating_unregistered", "originating_cdiv"
]
RegistrationName = Literal["initial", "re", "de"]
CASES: dict[str, SessionCase] = {
    "originating": SessionCase.ORIGINATING,
    "terminating": SessionCase.TERMINATING_REGISTERED,
    "terminating_unregistered": SessionCase.TERMINATING_UNREGISTERED,
    "originating_unregistered": SessionCase.ORIGINATING_UNREGISTERED,
    "originating_cdiv": SessionCase.ORIGINATING_CDIV,
}
REGISTRATIONS: dict[str, Registration] = {
    "initial": Registration.INITIAL,
    "re": Registration.RE,
    "de": Registration.DE,
}
_POINTS = ("method", "uri", "header", "case", "line")


class ConditionTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One condition: exactly one of ``method``, ``uri``, ``header``, ``case`` and ``line``, with what belongs to it."""

    method: str | None = None
    registration: tuple[RegistrationName, ...] = ()
    uri: str | None = None
    header: str | None = None
    line: str | None = None
    content: str | None = None
    case: CaseName | None = None
    negated: bool = False


Conditions = tuple[ConditionTable | tuple[ConditionTable, ...], ...]


class CriterionTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One criterion."""

    priority: int
    server: str
    all: Conditions = ()
    any: Conditions = ()
    part: Literal["registered", "unregistered"] | None = None
    default_handling: Literal["continued", "terminated"] = "continued"
    service_info: str = ""
    include_register_request: bool = False
    include_register_response: bool = False


def read(name: str, tables: Sequence[CriterionTable]) -> ServiceProfile:
    """Return the profile that these tables make. Raises ``ProfileError`` with places below ``criteria``.

    A required key may be None where its mistake is known already: then nothing more is said of it.
    """
    findings = Findings()
    criteria = []
    for index, table in enumerate(tables):
        path: Path = ("criteria", index)
        criterion = _criterion(table, path, findings)
        if criterion is not None:
            criteria.append(((*path, "priority"), criterion))
    return findings.profile(name, criteria)


def _criterion(table: CriterionTable, path: Path, findings: Findings) -> Criterion | None:
    trigger = _trigger(table, path, findings)
    written: tuple[int | None, str | None] = table.priority, table.server
    priority, uri = written
    if priority is not None:
        priority = findings.priority(priority, (*path, "priority"))
    if uri is not None:
        uri = findings.server(uri, (*path, "server"))
    if priority is None or uri is None:
        return None
    server = Server(
        uri,
        DefaultHandling[f"SESSION_{table.default_handling.upper()}"],
        table.service_info,
        table.include_register_request,
        table.include_register_response,
    )
    return Criterion(priority, server, trigger, None if table.part is None else ProfilePart[table.part.upper()])


def _trigger(table: CriterionTable, path: Path, findings: Findings) -> Trigger | None:
    every, some = (_groups(getattr(table, name), (*path, name), findings) for name in ("all", "any"))
    if table.all and table.any:
        findings.report((*path, "any"), "nothing beside all: put what is alternative into an inner list")
    form, groups = (Form.DISJUNCTIVE, some) if some else (Form.CONJUNCTIVE, every)
    return Trigger(form, groups) if groups and all(groups) else None


def _groups(conditions: Conditions, path: Path, findings: Findings) -> tuple[Group, ...]:
    groups: list[Group] = []
    for index, item in enumerate(conditions):
        place: Path = (*path, index)
        if isinstance(item, ConditionTable):
            members = [_condition(item, place, findings)]
        else:
            members = [_condition(each, (*place, inner), findings) for inner, each in enumerate(item)]
        if not members:
            findings.report(place, "at least one condition")
        groups.append(tuple(member for member in members if member is not None))
    return tuple(groups)


def _condition(table: ConditionTable, path: Path, findings: Findings) -> ServicePointTrigger | None:
    given = [name for name in _POINTS if getattr(table, name) is not None]
    if len(given) != 1:
        findings.report(path, f"a table with exactly one of {', '.join(_POINTS)}", ", ".join(given) or None)
        return None
    if table.content is not None and given[0] not in ("header", "line"):
        findings.report((*path, "content"), "header or line beside it, of which it is the content", table.content)
    if table.registration and table.method != "REGISTER":
        findings.report((*path, "registration"), 'method = "REGISTER" beside it, which it says more of')
    point = _point(table, path, findings)
    return None if point is None else ServicePointTrigger(point, table.negated)


def _point(table: ConditionTable, path: Path, findings: Findings) -> Point | None:
    if table.method is not None:
        method = findings.method(table.method, (*path, "method"))
        kinds = frozenset(REGISTRATIONS[name] for name in table.registration)
        return None if method is None else Method(method, kinds)
    if table.uri is not None:
        uri = findings.pattern(Pattern, table.uri, (*path, "uri"))
        return None if uri is None else RequestUri(uri)
    if table.case is not None:
        return Case(CASES[table.case])
    content = None
    if table.content:
        content = findings.pattern(Pattern, table.content, (*path, "content"))
    if table.header is not None:
        header = findings.pattern(NamePattern, table.header, (*path, "header"))
        return None if header is None else Header(header, content)
    line = findings.pattern(Pattern, table.line or "", (*path, "line"))
    return None if line is None else SessionDescription(line, content)
