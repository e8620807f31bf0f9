"""Overflow rules: which one fits, when to look again, and that no caller goes round in circles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acd.core.overflow import OverflowRule, Plight, Target, When, decide, next_look

TO_SALES = OverflowRule(When.WAITED, Target.QUEUE, "sales", above=60)
HANG_UP = OverflowRule(When.WAITED, Target.RELEASE, above=300)


@pytest.mark.parametrize(
    ("when", "above", "fits", "fits_not"),
    [
        (When.LENGTH, 3, Plight(0, 0, length=4), Plight(0, 0, length=3)),
        (When.LENGTH, 0, Plight(0, 0, length=1), Plight(0, 0, length=0)),
        (When.LENGTH, 0, Plight(0, 0, length=1), Plight(9, 0)),
        (When.EXPECTED_WAIT, 60, Plight(0, 0, expected_wait=60.5), Plight(0, 0, expected_wait=60)),
        (When.EXPECTED_WAIT, 0, Plight(0, 0, expected_wait=1), Plight(0, 0)),
        (When.WAITED, 60, Plight(70, 10), Plight(69.9, 10)),
        (When.WAITED, 0, Plight(5, 5), Plight(4, 5)),
        (When.NO_AGENT, 0, Plight(0, 0, has_agent=False), Plight(0, 0)),
        (When.CLOSED, 0, Plight(0, 0, is_open=False), Plight(0, 0)),
    ],
)
def test_each_condition(when: When, above: float, fits: Plight, fits_not: Plight) -> None:
    rule = OverflowRule(when, Target.RELEASE, above=above)
    assert decide([rule], fits) is rule
    assert decide([rule], fits_not) is None


def test_the_first_rule_that_fits_counts() -> None:
    closed = OverflowRule(When.CLOSED, Target.ANNOUNCEMENT, "en/closed")
    nobody = OverflowRule(When.NO_AGENT, Target.VOICEMAIL)
    both = Plight(0, 0, has_agent=False, is_open=False)
    assert decide([closed, nobody], both) is closed
    assert decide([nobody, closed], both) is nobody
    assert decide([nobody, closed], Plight(0, 0, is_open=False)) is closed


def test_when_to_look_again() -> None:
    rules = [HANG_UP, TO_SALES, OverflowRule(When.CLOSED, Target.RELEASE)]
    assert next_look(rules, Plight(100, 100)) == 160
    assert next_look(rules, Plight(160, 100)) == 400
    assert next_look(rules, Plight(400, 100)) is None
    assert next_look([], Plight(0, 0)) is None


def test_nobody_returns_to_a_queue_that_he_left() -> None:
    late = Plight(1000, 0)
    assert decide([TO_SALES, HANG_UP], late) is TO_SALES
    assert decide([TO_SALES, HANG_UP], late, {"sales"}) is HANG_UP
    assert next_look([TO_SALES], Plight(0, 0), {"sales"}) is None


QUEUES = ["a", "b", "c"]
rules = st.lists(
    st.builds(OverflowRule, st.sampled_from(When), st.just(Target.QUEUE), st.sampled_from(QUEUES), st.just(0.0)),
    max_size=4,
)


@given(policy=st.fixed_dictionaries(dict.fromkeys(QUEUES, rules)))
def test_circles_come_to_an_end(policy: dict[str, list[OverflowRule]]) -> None:
    queue, left = "a", {"a"}
    worst = Plight(0, 0, has_agent=False, is_open=False, length=9, expected_wait=9.0)
    for _ in QUEUES:
        rule = decide(policy[queue], worst, left)
        if rule is None:
            break
        queue = rule.where
        left.add(queue)
    else:
        pytest.fail("went round in circles")
    assert all(rule.where in left for rule in policy[queue])


@given(st.floats(0, 1e9), st.lists(st.floats(0, 1e5), min_size=1, max_size=5))
def test_at_each_instant_named_something_new_fits(since: float, above: list[float]) -> None:
    waiting = [OverflowRule(When.WAITED, Target.RELEASE, above=seconds) for seconds in above]
    now = since
    fitting = sum(decide([rule], Plight(now, since)) is not None for rule in waiting)
    while (instant := next_look(waiting, Plight(now, since))) is not None:
        assert instant > now
        now = instant
        before, fitting = fitting, sum(decide([rule], Plight(now, since)) is not None for rule in waiting)
        assert fitting > before
    assert fitting == len(waiting)


def test_rules_that_are_none() -> None:
    with pytest.raises(ValueError, match="to which"):
        OverflowRule(When.CLOSED, Target.QUEUE)
    with pytest.raises(ValueError, match="above"):
        OverflowRule(When.LENGTH, Target.RELEASE, above=-1)
