"""What holds of every profile and every request: the chain ends, in order, at each server once; the laws of logic."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from ims_core.messages.message import Request
from ims_core.patterns import NamePattern, Pattern
from ims_core.profiles import cx, explain
from ims_core.profiles.matching import Facts, applies, fires, holds, matching
from ims_core.profiles.mistakes import Mistake, ProfileError
from ims_core.profiles.model import (
    Case,
    Criterion,
    DefaultHandling,
    Form,
    Header,
    Method,
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
from tests.ims_core.profiles.test_forms import XML

# Few values, so that conditions are met about as often as not.
METHODS = st.sampled_from(["INVITE", "MESSAGE", "REGISTER"])
TEXTS = st.sampled_from(["a", "b", "ab", "^a", "b$", "a|b", "[ab]{2}"])
NAMES = st.sampled_from(["From", "Privacy", "P-.*", "x"])
LINES = st.sampled_from(["m", "c", "[mc]"])
CASES = st.sampled_from(SessionCase)
PARTS = st.sampled_from([None, *ProfilePart])

points = st.one_of(
    st.builds(Method, METHODS, st.frozensets(st.sampled_from(Registration), max_size=2)),
    st.builds(RequestUri, TEXTS.map(Pattern)),
    st.builds(Header, NAMES.map(NamePattern), st.none() | TEXTS.map(Pattern)),
    st.builds(Case, CASES),
    st.builds(SessionDescription, LINES.map(Pattern), st.none() | TEXTS.map(Pattern)),
)
conditions = st.builds(ServicePointTrigger, points, st.booleans())
groups = st.lists(conditions, min_size=1, max_size=3).map(tuple)
triggers = st.builds(Trigger, st.sampled_from(Form), st.lists(groups, min_size=1, max_size=3).map(tuple))
servers = st.builds(Server, st.sampled_from(["sip:one", "sip:two", "sip:three"]), st.sampled_from(DefaultHandling))


def of_priorities(draw: Callable[[st.SearchStrategy[Criterion]], Criterion], priorities: set[int]) -> ServiceProfile:
    return ServiceProfile(
        "any",
        tuple(
            draw(st.builds(Criterion, st.just(priority), servers, st.none() | triggers, PARTS))
            for priority in sorted(priorities)
        ),
    )


@st.composite
def profiles(draw: st.DrawFn) -> ServiceProfile:
    return of_priorities(draw, draw(st.sets(st.integers(0, 50), max_size=6)))


@st.composite
def requests(draw: st.DrawFn) -> Request:
    request = Request(draw(METHODS), draw(st.sampled_from(["sip:a@b", "tel:ab", "a", "sip:", ""])))
    for name in draw(st.lists(st.sampled_from(["From", "Privacy", "P-X", "p", ""]), max_size=3)):
        request.add(name, draw(st.text("ab \udcff", max_size=3)))
    body = draw(st.lists(st.sampled_from([b"m=a", b"c=ab", b"m", b"=", b"\xff=b"]), max_size=3))
    if body:
        request.set_body(b"\r\n".join(body), draw(st.sampled_from(["application/sdp", "text/plain"])))
    return request


@st.composite
def situations(draw: st.DrawFn) -> Facts:
    return Facts(draw(requests()), draw(CASES), draw(st.sampled_from([None, *Registration])), part=draw(PARTS))


@given(profiles(), situations(), st.data())
def test_a_chain_ends_in_order_and_visits_each_server_once(
    profile: ServiceProfile, facts: Facts, data: st.DataObject
) -> None:
    """Also where each server sends on another request than the one it got."""
    visited: list[str] = []
    after = -1
    while (criterion := matching(profile, facts, after, visited)) is not None:
        assert criterion.priority > after
        assert criterion.server.uri not in visited
        for passed_over in profile.criteria:
            if after < passed_over.priority < criterion.priority:
                assert passed_over.server.uri in visited or not applies(passed_over, facts)
        after = criterion.priority
        visited.append(criterion.server.uri)
        facts = Facts(data.draw(requests()), facts.case, facts.registration, part=facts.part)
    assert len(visited) <= len(profile.criteria)


@given(conditions, situations())
def test_negation_is_an_involution(condition: ServicePointTrigger, facts: Facts) -> None:
    negated = ServicePointTrigger(condition.point, not condition.negated)
    twice = ServicePointTrigger(negated.point, not negated.negated)
    assert holds(negated, facts) is not holds(condition, facts)
    assert twice == condition


@given(triggers, situations())
def test_the_forms_are_dual(trigger: Trigger, facts: Facts) -> None:
    """De Morgan: with every condition negated the other form says the opposite."""
    other = Form.DISJUNCTIVE if trigger.form is Form.CONJUNCTIVE else Form.CONJUNCTIVE
    negated = tuple(
        tuple(ServicePointTrigger(condition.point, not condition.negated) for condition in group)
        for group in trigger.groups
    )
    assert fires(Trigger(other, negated), facts) is not fires(trigger, facts)


@given(profiles(), situations())
def test_every_decision_can_be_explained(profile: ServiceProfile, facts: Facts) -> None:
    lines = list(explain.explain(profile, facts))
    assert all(line.isprintable() for line in lines)
    held = [f"criterion {each.priority}, {each.server.uri}: holds" for each in profile.criteria if applies(each, facts)]
    told = [line for line in lines if line.startswith("criterion ") and ": holds" in line]
    assert [line.partition("; ")[0].partition(", but")[0] for line in told] == held


PIECES = st.sampled_from(
    [b"<", b">", b"/", b"&", b"(", b"0", b"\xff", b"<SPT>", b"</SPT>", b"<Group>9</Group>", b"<Method/>", b"<![CDATA["]
)


def mistakes_in(data: bytes) -> tuple[Mistake, ...]:
    try:
        cx.read("fuzzed", data)
    except ProfileError as error:
        return error.mistakes
    return ()


@given(st.lists(st.tuples(st.integers(0, len(XML)), st.integers(0, 30), PIECES | st.binary(max_size=4)), max_size=4))
def test_whatever_stands_in_the_xml_makes_a_profile_or_one_error(changes: list[tuple[int, int, bytes]]) -> None:
    data = XML.encode()
    for start, length, piece in changes:
        data = data[:start] + piece + data[start + length :]
    mistakes = mistakes_in(data)
    assert all(str(mistake).isprintable() for mistake in mistakes)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_xml_make_one_error(data: bytes) -> None:
    assert len(mistakes_in(data)) == 1
