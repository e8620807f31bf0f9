"""Callers who do not wait, or not any longer: where the rules send them, through the whole server on virtual time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from acd import facts
from acd.cdr import Cdr, EndedBy, Outcome
from tests.acd.house import House, Phone

BASE = """
[server]
domain = "ims.example"
[calendars.morning]
weekly = { mon-sun = "08:00-09:00" }
[queues.other]
name = "Other"
wrap_up_seconds = 0
announce_agent = false
[agents.a1]
queues = ["sales"]
[agents.b1]
queues = ["other"]
[numbers.100]
queue = "sales"
[queues.sales]
name = "Sales"
wrap_up_seconds = 0
announce_agent = false
"""
MakeHouse = Callable[[str], House]


@pytest.fixture
def make_house(tmp_path: Path) -> MakeHouse:
    """A house with overflow rules, or other keys, for the queue of number 100."""

    def make(text: str) -> House:
        file = tmp_path / "acd.toml"
        file.write_text(BASE + text, encoding="utf-8")
        return House(config=file)

    return make


def rule(when: str, to: str, above: float = 0.0) -> str:
    return f'overflow = [{{ when = "{when}", above = {above}, to = "{to}" }}]\n'


def busy_agent(house: House) -> Phone:
    """Put up the agent of the queue, in a talk that does not end."""
    agent = house.agent("a1")
    house.phone("first").dial("100")
    house.run(3.0)
    assert house.agent_states["a1"] == "talking"
    return agent


def call(house: House, seconds: float) -> Phone:
    caller = house.phone("ann")
    caller.dial("100")
    house.run(seconds)
    return caller


def end(house: House, agent: Phone) -> Cdr:
    """End the talk of the busy agent; returns the record of the other call."""
    agent.hang_up()
    house.settle()
    house.assert_nothing_left()
    (cdr,) = [cdr for cdr in house.records.cdrs if cdr.caller == "ann"]
    return cdr


def test_to_an_announcement(make_house: MakeHouse) -> None:
    with make_house(rule("waited", "announcement:en/goodbye", 3.0)) as house:
        agent = busy_agent(house)
        caller = call(house, 5.0)
        assert caller.outcome == "Ended"
        cdr = end(house, agent)
        assert (cdr.outcome, cdr.ended_by, cdr.agent) == (Outcome.OVERFLOWED, EndedBy.SYSTEM, None)
        assert cdr.waited_seconds >= 3.0


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (rule("waited", "release", 3.0), Outcome.WAITED_TOO_LONG),
        ("max_wait_seconds = 3\n", Outcome.WAITED_TOO_LONG),
        (rule("length", "release", 0), Outcome.REJECTED),
        ('hours = "morning"\n' + rule("closed", "release"), Outcome.CLOSED),
        (rule("no_agent", "release"), Outcome.NO_AGENT),
    ],
)
def test_a_caller_who_is_released_is_told_why(make_house: MakeHouse, text: str, outcome: Outcome) -> None:
    with make_house(text) as house:
        nobody = "no_agent" in text or "closed" in text
        agent = house.phone("nobody") if nobody else busy_agent(house)
        caller = call(house, 8.0)
        assert caller.outcome == "Ended"
        cdr = end(house, agent)
        assert (cdr.outcome, cdr.ended_by) == (outcome, EndedBy.SYSTEM)


def test_who_waits_when_the_queue_closes_is_served_unless_a_rule_says_otherwise(make_house: MakeHouse) -> None:
    hours = '[calendars.noon]\nweekly = { mon-sun = "08:00-12:17" }\n'  # the house begins to live at 12:16:40
    for rules, outcome in (("", Outcome.ANSWERED), (rule("closed", "release"), Outcome.CLOSED)):
        with make_house(f'hours = "noon"\n{rules}{hours}') as house:
            agent = busy_agent(house)
            caller = call(house, 30.0)
            agent.hang_up()
            house.run(3.0)
            caller.hang_up()
            assert end(house, agent).outcome is outcome


def test_a_call_back_is_promised_and_owed(make_house: MakeHouse) -> None:
    with make_house(rule("waited", "callback", 3.0)) as house:
        agent = busy_agent(house)
        call(house, 5.0)
        assert end(house, agent).outcome is Outcome.CALLBACK
        (owed,) = [entry.fact for entry in house.journal.entries if isinstance(entry.fact, facts.CallbackOwed)]
        assert (owed.queue, owed.number) == ("sales", "ann")
        assert owed.waited == pytest.approx(3.0)


def test_who_hangs_up_during_the_promise_is_called_back_too(make_house: MakeHouse) -> None:
    with make_house(rule("waited", "callback", 3.0)) as house:
        agent = busy_agent(house)
        caller = call(house, 3.1)
        caller.hang_up()
        assert end(house, agent).outcome is Outcome.CALLBACK
        assert any(isinstance(entry.fact, facts.CallbackOwed) for entry in house.journal.entries)


def test_to_another_queue_before_an_agent_is_there(make_house: MakeHouse) -> None:
    with make_house(rule("no_agent", "queue:other")) as house:
        other = house.agent("b1")
        caller = call(house, 3.0)
        assert caller.outcome == "Answered"
        assert [request.request.from_.display for request in other.incoming] == ["Other"]
        caller.hang_up()
        cdr = end(house, other)
        assert (cdr.outcome, cdr.queue, cdr.agent) == (Outcome.ANSWERED, "other", "b1")


def test_when_the_last_agent_leaves_those_who_wait_go_too(make_house: MakeHouse) -> None:
    with make_house(rule("no_agent", "queue:other")) as house:
        agent, other = busy_agent(house), house.agent("b1")
        caller = call(house, 2.0)
        assert other.incoming == []
        house.unregister("a1")
        agent.hang_up()
        house.run(3.0)
        assert caller.outcome == "Answered"
        assert len(other.incoming) == 1
        caller.hang_up()
        assert end(house, agent).queue == "other"


@pytest.mark.parametrize("target", ["sip:desk@127.0.0.1:6700", "sip:desk@ims.example"])
@pytest.mark.parametrize("who", ["caller", "external"])
def test_to_somebody_outside(make_house: MakeHouse, target: str, who: str) -> None:
    with make_house(rule("waited", f"external:{target}", 3.0)) as house:
        agent = busy_agent(house)
        desk = house.agent("desk") if "ims.example" in target else house.phone_at("desk", 6700)
        caller = call(house, 6.0)
        assert caller.outcome == "Answered"
        (invite,) = [incoming.request for incoming in desk.incoming]
        assert (invite.from_.uri.user, invite.to.uri.text) == ("ann", target)
        dialled, reached = invite.values("History-Info")
        assert (dialled.partition(">")[2], reached) == (";index=1", f"<{invite.uri}>;index=1.1;mp=1")
        assert invite.values("Diversion") == [f"{dialled.partition(';')[0]};reason=no-answer;counter=1"]
        legs = {name: leg for name, leg in house.media.legs.items() if leg.bridged_to is not None}
        assert sum(name.endswith("/external") for name in legs) == 1
        (caller if who == "caller" else desk).hang_up()
        house.run(1.0)
        assert (caller.outcome, desk.outcome)[who == "caller"] == "Ended"
        cdr = end(house, agent)
        assert (cdr.outcome, cdr.queue) == (Outcome.EXTERNAL, "sales")
        assert cdr.ended_by is (EndedBy.CALLER if who == "caller" else EndedBy.EXTERNAL)


@pytest.mark.parametrize("record", [True, False])
def test_a_talk_with_somebody_outside_is_recorded_as_the_queue_says(make_house: MakeHouse, *, record: bool) -> None:
    with make_house(
        rule("waited", "external:sip:desk@ims.example", 3.0) + f"record = {str(record).lower()}\n"
    ) as house:
        agent = busy_agent(house)
        house.agent("desk")
        caller = call(house, 6.0)
        (outside,) = [leg for name, leg in house.media.legs.items() if name.endswith("/external")]
        assert outside.bridged_to is not None
        (path,) = [made.arguments[1] for made in outside.bridged_to.calls if made.method == "bridge"]
        caller.hang_up()
        cdr = end(house, agent)
        assert cdr.recording == path
        assert (path is not None) is record
        assert "call.bridged" in [step.event for step in cdr.timeline]


@pytest.mark.parametrize("how", ["refuses", "is not there", "does not answer"])
def test_when_nobody_outside_answers_the_caller_is_told(make_house: MakeHouse, how: str) -> None:
    with make_house(rule("waited", "external:sip:desk@ims.example", 3.0) + "[sip]\nring_seconds = 5\n") as house:
        agent = busy_agent(house)
        if how != "is not there":
            desk = house.agent("desk")
            desk.on_invite = desk.refuse if how == "refuses" else desk.ring_for_ever
        caller = call(house, 12.0)
        assert caller.outcome == "Ended"
        cdr = end(house, agent)
        assert (cdr.outcome, cdr.ended_by) == (Outcome.REJECTED, EndedBy.SYSTEM)
        assert cdr.reason.startswith("sip:desk@ims.example: ")


@pytest.mark.parametrize("after", [0.001, 0.003, 0.006, 0.01, 0.2, 0.504, 0.506, 2.0])
def test_a_caller_who_leaves_while_somebody_outside_is_called_leaves_nothing(
    make_house: MakeHouse, after: float
) -> None:
    with make_house(rule("waited", "external:sip:desk@ims.example", 3.0)) as house:
        agent, desk = busy_agent(house), house.agent("desk")
        caller = call(house, 3.008 + after)
        caller.hang_up()
        assert end(house, agent).outcome in (Outcome.EXTERNAL, Outcome.ABANDONED)
        assert all(incoming.state != "invited" for incoming in desk.incoming)
