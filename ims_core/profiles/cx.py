"""Profiles in the XML of the Cx interface (TS 29.228 Annex E), as home subscriber servers write them.

The root is an ``IMSSubscription`` with ``ServiceProfile``s, or one of these. Entities and document types are refused,
as the files come from elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from ims_core.patterns import NamePattern, Pattern
from ims_core.profiles.mistakes import Findings, Path, ProfileError
from ims_core.profiles.model import (
    Case,
    Criterion,
    DefaultHandling,
    Form,
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

if TYPE_CHECKING:
    from enum import IntEnum
    from xml.etree.ElementTree import Element

    E = TypeVar("E", bound=IntEnum)

_ROOT, _PROFILE, _CRITERION = "IMSSubscription", "ServiceProfile", "InitialFilterCriteria"
_BOOLEANS = {"0": False, "false": False, "1": True, "true": True}
_POINTS = ("RequestURI", "Method", "SIPHeader", "SessionCase", "SessionDescription")


def read(name: str, data: bytes, identity: str = "") -> ServiceProfile:
    """Return the profile in an XML document, under a name of ours. Raises ``ProfileError``.

    Where the document has several, ``identity`` is a public identity that has the one that is meant.
    """
    findings = Findings()
    nodes = _profiles(data, findings)
    meant = [node for node in nodes if identity in _identities(node)] if identity else nodes
    if len(meant) == 1:
        return _profile(name, meant[0])
    if identity:
        findings.report((_ROOT,), f"one {_PROFILE} with the PublicIdentity {identity}", len(meant))
    else:
        findings.report((_ROOT,), f"one {_PROFILE}, or a public identity that says which", len(meant))
    raise ProfileError(findings.mistakes)


def read_all(data: bytes) -> list[ServiceProfile]:
    """Return every profile in an XML document, each under the first public identity that has it, "" for none.

    Raises ``ProfileError`` for the mistakes of all of them.
    """
    findings = Findings()
    profiles = []
    for node in _profiles(data, findings):
        with suppress(ProfileError):
            profiles.append(_profile(next(_identities(node), ""), node))
    if findings.mistakes:
        raise ProfileError(findings.mistakes)
    return profiles


def _profile(name: str, node: _Node) -> ServiceProfile:
    findings = node.findings
    node.holds("PublicIdentity", "CoreNetworkServicesAuthorization", _CRITERION)
    extension = node.first("Extension")
    if extension is not None and extension.first("SharedIFCSetID") is not None:
        place = (*node.path, "Extension", "SharedIFCSetID")
        findings.report(place, f"an {_CRITERION} for each: sets that profiles share are not known here")
    criteria = []
    for each in node.all(_CRITERION):
        criterion = _criterion(each)
        if criterion is not None:
            criteria.append(((*each.path, "Priority"), criterion))
    return findings.profile(name, criteria)


def _identities(profile: _Node) -> Iterator[str]:
    return (uri.text.strip() for each in profile.all("PublicIdentity") for uri in each.all("Identity"))


def _profiles(data: bytes, findings: Findings) -> list[_Node]:
    root = _parse(data, findings)
    name = _split(root.tag)[1]
    if name == _PROFILE:
        return [_Node(root, (_PROFILE,), findings)]
    nodes = list(_Node(root, (_ROOT,), findings).all(_PROFILE))
    if name != _ROOT:
        findings.report((), f"the root to be {_ROOT} or {_PROFILE}", name)
    elif not nodes:
        findings.report((_ROOT, _PROFILE), "at least one; the element is missing")
    else:
        return nodes
    raise ProfileError(findings.mistakes)


def _parse(data: bytes, findings: Findings) -> Element:
    try:
        root: Element = fromstring(data, forbid_dtd=True)
    except ParseError as error:
        findings.report((), f"well-formed XML ({error})")
    except DefusedXmlException:
        findings.report((), "XML without a document type")
    except (ValueError, LookupError):
        findings.report((), "XML in UTF-8")
    else:
        return root
    raise ProfileError(findings.mistakes)


class _Node:
    """An element with its place. Elements of other namespaces may stand anywhere, and say nothing (Annex E)."""

    def __init__(self, element: Element, path: Path, findings: Findings) -> None:
        self.path = path
        self.findings = findings
        self._text = element.text or ""
        namespace = _split(element.tag)[0]
        self._children = [
            (name, child) for child in element for space, name in [_split(child.tag)] if space == namespace
        ]
        self._count = Counter(name for name, _ in self._children)

    @property
    def text(self) -> str:
        """The content of an element that holds no others, as it is written."""
        if self._children:
            self.findings.report(self.path, "text, and no elements in it")
        return self._text

    def all(self, name: str) -> Iterator[_Node]:
        """Yield the children of a name; where there are several, their places have numbers."""
        elements = [child for each, child in self._children if each == name]
        for index, child in enumerate(elements):
            place: Path = (*self.path, name) if len(elements) == 1 else (*self.path, name, index)
            yield _Node(child, place, self.findings)

    def first(self, name: str) -> _Node | None:
        """Return the child of a name of which there may be one; a second is a mistake."""
        if self._count[name] > 1:
            self.findings.report((*self.path, name), "it once", self._count[name])
        return next(self.all(name), None)

    def required(self, name: str) -> _Node | None:
        """Return the child of a name that there must be; None: its absence is noted."""
        if not self._count[name]:
            self.findings.report((*self.path, name), "a value; the element is missing")
        return self.first(name)

    def holds(self, *names: str) -> None:
        """Note children of other names than these and ``Extension``: one that is misspelled would say nothing."""
        for name in self._count:
            if name not in names and name != "Extension":
                self.findings.report((*self.path, name), f"one of {', '.join(names)}; this element is unknown")

    def one_of(self, names: tuple[str, ...]) -> tuple[str, _Node] | None:
        """Return the one child that there must be of several names, with its name; None: a mistake is noted."""
        given = [(name, node) for name in names for node in self.all(name)]
        if len(given) == 1:
            return given[0]
        self.findings.report(self.path, f"exactly one of {', '.join(names)}", ", ".join(n for n, _ in given) or None)
        return None

    def number(self) -> int | None:
        """Return the content as a whole number; None: it is none, which is noted."""
        text = self.text.strip()
        if text.isascii() and text.isdigit() and len(text) <= 10:
            return int(text)
        self.findings.report(self.path, "a whole number", text)
        return None

    def choice(self, kind: type[E]) -> E | None:
        """Return the content as one of an enumeration; None: it is none, which is noted."""
        known = {str(int(each)): each for each in kind}
        chosen = known.get(self.text.strip())
        if chosen is None:
            listed = ", ".join(f"{number} ({each.name})" for number, each in known.items())
            self.findings.report(self.path, f"one of {listed}", self.text.strip())
        return chosen

    def truth(self) -> bool:
        """Return the content as a truth value."""
        text = self.text.strip()
        if text not in _BOOLEANS:
            self.findings.report(self.path, "0 or 1", text)
        return _BOOLEANS.get(text, False)


def _split(tag: str) -> tuple[str, str]:
    """Return the namespace, "" for none, and the name of a tag."""
    space, brace, name = tag.rpartition("}")
    return (space[1:], name) if brace else ("", tag)


def _criterion(node: _Node) -> Criterion | None:
    node.holds("Priority", "TriggerPoint", "ApplicationServer", "ProfilePartIndicator")
    server = _server(node)
    point = node.first("TriggerPoint")
    trigger = None if point is None else _trigger(point)
    indicator = node.first("ProfilePartIndicator")
    part = None if indicator is None else indicator.choice(ProfilePart)
    priority = node.required("Priority")
    number = None if priority is None else priority.number()
    if priority is not None and number is not None:
        number = node.findings.priority(number, priority.path)
    return None if number is None or server is None else Criterion(number, server, trigger, part)


def _server(criterion: _Node) -> Server | None:
    node = criterion.required("ApplicationServer")
    if node is None:
        return None
    node.holds("ServerName", "DefaultHandling", "ServiceInfo")
    name = node.required("ServerName")
    uri = None if name is None else node.findings.server(name.text.strip(), name.path)
    written = node.first("DefaultHandling")
    handling = None if written is None else written.choice(DefaultHandling)
    info = node.first("ServiceInfo")
    extension = node.first("Extension")
    included = (
        extension is not None and extension.first(f"IncludeRegister{what}") is not None
        for what in ("Request", "Response")
    )
    if uri is None:
        return None
    return Server(uri, handling or DefaultHandling.SESSION_CONTINUED, "" if info is None else info.text, *included)


def _trigger(node: _Node) -> Trigger | None:
    node.holds("ConditionTypeCNF", "SPT")
    form = node.required("ConditionTypeCNF")
    is_conjunctive = form is not None and form.truth()
    groups: dict[int, list[ServicePointTrigger]] = {}
    conditions = list(node.all("SPT"))
    if not conditions:
        node.findings.report((*node.path, "SPT"), "at least one; without a TriggerPoint every request fires it")
    for each in conditions:
        condition = _condition(each)
        members = [group.number() for group in each.all("Group")]
        if not members:
            node.findings.report((*each.path, "Group"), "at least one; the element is missing")
        for member in members:
            if condition is not None and member is not None:
                groups.setdefault(member, []).append(condition)
    if not groups:
        return None
    ordered = tuple(tuple(groups[number]) for number in sorted(groups))
    return Trigger(Form.CONJUNCTIVE if is_conjunctive else Form.DISJUNCTIVE, ordered)


def _condition(node: _Node) -> ServicePointTrigger | None:
    node.holds("ConditionNegated", "Group", *_POINTS)
    negated = node.first("ConditionNegated")
    is_negated = negated is not None and negated.truth()
    chosen = node.one_of(_POINTS)
    point = None if chosen is None else _point(*chosen, node.first("Extension"))
    return None if point is None else ServicePointTrigger(point, is_negated)


def _point(name: str, node: _Node, extension: _Node | None) -> Point | None:
    findings = node.findings
    match name:
        case "Method":
            method = findings.method(node.text.strip(), node.path)
            given = () if extension is None else extension.all("RegistrationType")
            kinds = [each.choice(Registration) for each in given]
            known = frozenset(kind for kind in kinds if kind is not None)
            # B.2.3: the attribute may be discarded with any other method
            return None if method is None else Method(method, known if method == "REGISTER" else frozenset())
        case "RequestURI":
            pattern = findings.pattern(Pattern, node.text, node.path)
            return None if pattern is None else RequestUri(pattern)
        case "SessionCase":
            case = node.choice(SessionCase)
            return None if case is None else Case(case)
        case "SIPHeader":
            node.holds("Header", "Content")
            header = node.required("Header")
            named = None if header is None else findings.pattern(NamePattern, header.text.strip(), header.path)
            content = _content(node)
            return None if named is None else Header(named, content)
    node.holds("Line", "Content")
    line = node.required("Line")
    kind = None if line is None else findings.pattern(Pattern, line.text.strip(), line.path)
    content = _content(node)
    return None if kind is None else SessionDescription(kind, content)


def _content(node: _Node) -> Pattern | None:
    written = node.first("Content")
    return None if written is None or not written.text else node.findings.pattern(Pattern, written.text, written.path)
