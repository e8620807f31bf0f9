"""Who gets whom, through the whole server on virtual time: numbers, skills, profiles, preferred agents, overflow."""

from collections.abc import Callable
from pathlib import Path

import pytest

from acd import facts
from acd.cdr import EndedBy, Outcome
from tests.acd.house import House, Phone

BASE = """
[server]
domain = "ims.example"
[queues.sales]
name = "Sales"
wrap_up_seconds = 0
announce_agent = false
[queues.vip]
name = "VIP"
wrap_up_seconds = 0
announce_agent = false
[numbers.100]
queue = "sales"
[numbers.101]
queue = "sales"
priority = 2
[numbers.200]
queue = "vip"
"""
MakeHouse = Callable[[str], House]


@pytest.fixture
def make_house(tmp_path: Path) -> MakeHouse:
    def make(text: str) -> House:
        file = tmp_path / "acd.toml"
        file.write_text(BASE + text, encoding="utf-8")
        return House(config=file)

    return make


def agents(**skills: str) -> str:
    return "".join(f'[agents.{name}]\nqueues = "*"\nskills = {{ {written} }}\n' for name, written in skills.items())


def answered(phone: Phone) -> list[str]:
    """Who called a phone, in order."""
    return [call.request.from_.uri.user for call in phone.incoming]


def serve_all(house: House, agent: Phone, callers: list[Phone]) -> list[str]:
    """Let an agent talk to each of the callers in turn; returns their order."""
    for _ in callers:
        house.run(5.0)
        agent.incoming[-1].hang_up()
        agent.flush()
    house.settle()
    return answered(agent)


def test_callers_of_a_better_number_overtake(make_house: MakeHouse) -> None:
    with make_house(agents(a1="")) as house:
        agent = house.agent("a1")
        callers = [house.phone(name) for name in ("ann", "ben", "cat", "dan")]
        for caller, number in zip(callers, ("100", "100", "101", "100"), strict=True):
            caller.dial(number)
            house.run(1.0)
        assert serve_all(house, agent, callers) == ["ann", "cat", "ben", "dan"]
        house.assert_nothing_left()


def test_only_who_has_the_skill_is_called(make_house: MakeHouse) -> None:
    number = '[numbers.300]\nqueue = "sales"\nneeds = { required = { french = 2 } }\n'
    with make_house(agents(a1="", a2="french = 1", a3="french = 3") + number) as house:
        phones = {name: house.agent(name) for name in ("a1", "a2", "a3")}
        callers = [house.phone(f"c{index}") for index in range(3)]
        for caller in callers:
            caller.dial("300")
            house.run(0.1)
        house.run(5.0)
        assert {name: len(phone.incoming) for name, phone in phones.items()} == {"a1": 0, "a2": 0, "a3": 1}
        assert serve_all(house, phones["a3"], callers) == ["c0", "c1", "c2"]
        house.assert_nothing_left()


def test_a_ring_widens_to_agents_without_the_skill(make_house: MakeHouse) -> None:
    text = (
        '[queues.french]\nname = "French"\nrings = [{ after_seconds = 10, drop = "french" }]\n'
        '[numbers.300]\nqueue = "french"\nneeds = { required = { french = 1 } }\n'
    )
    with make_house(text + agents(a1="", a2="french = 1")) as house:
        helper, specialist, caller = house.agent("a1"), house.agent("a2"), house.phone("ann")
        specialist.on_invite = specialist.refuse
        caller.dial("300")
        house.run(4.0)
        assert (len(helper.incoming), len(specialist.incoming)) == (0, 1)
        house.run(8.0)
        assert len(helper.incoming) == 1
        caller.hang_up()
        house.settle()
        house.assert_nothing_left()


def test_what_is_known_of_a_caller_leads_him(make_house: MakeHouse) -> None:
    text = """
        [callers.known.ann]
        vip = true
        language = "zh"
        [[callers.rules]]
        when = { vip = true }
        priority = 3
        queue = "vip"
        [[callers.rules]]
        when = { language = "zh" }
        needs = { required = { mandarin = 1 } }
        """
    with make_house(text + agents(a1="", a2="mandarin = 2")) as house:
        other, speaker = house.agent("a1"), house.agent("a2")
        ann, ben = house.phone("ann"), house.phone("ben")
        ann.dial("100")
        house.run(5.0)
        ben.dial("100")
        house.run(5.0)
        assert (answered(speaker), answered(other)) == (["ann"], ["ben"])
        assert speaker.incoming[0].request.from_.display == "VIP"
        for phone in (ann, ben):
            phone.hang_up()
        house.settle()
        house.assert_nothing_left()
        (known,) = [entry.fact for entry in house.journal.entries if isinstance(entry.fact, facts.CallerKnown)]
        assert (known.source, known.vip, known.language) == ("table", True, "zh")
        (queued, _) = [entry.fact for entry in house.journal.entries if isinstance(entry.fact, facts.CallQueued)]
        assert (queued.queue, queued.priority, queued.required) == ("vip", 3, {"mandarin": 1})


def test_a_caller_waits_for_his_account_manager_and_not_for_ever(make_house: MakeHouse) -> None:
    known = '[callers.known.ann]\nagent = "a2"\n'
    with make_house(known + agents(a1="", a2="")) as house:
        other, manager = house.agent("a1"), house.agent("a2")
        ben, ann = house.phone("ben"), house.phone("ann")
        ben.dial("100")
        house.run(5.0)
        assert answered(other) == ["ben"], "longest idle: the first of the file"
        ann.dial("100")
        house.run(5.0)
        assert answered(manager) == ["ann"]
        ann.hang_up()
        house.run(1.0)
        manager.on_invite = manager.ring_for_ever
        ben.hang_up()
        house.run(1.0)
        ann.dial("100")
        house.run(5.0)
        assert answered(manager) == ["ann", "ann"]
        assert answered(other) == ["ben"], "a1 is free, but she waits for hers"
        house.run(25.0)
        assert answered(other) == ["ben", "ann"], "her patience has ended"
        ann.hang_up()
        house.settle()
        house.assert_nothing_left()


def test_a_caller_is_led_to_the_agent_he_talked_to_last(make_house: MakeHouse) -> None:
    with make_house(agents(a1="", a2="", a3="")) as house:
        house.engine.install(house.source.change("queues", "sales", {"prefer_last_agent_seconds": 5}), "api")
        phones = [house.agent(name) for name in ("a1", "a2", "a3")]
        ann = house.phone("ann")
        for _ in range(3):
            ann.dial("100")
            house.run(5.0)
            ann.hang_up()
            house.run(5.0)
        assert sorted(len(phone.incoming) for phone in phones) == [0, 0, 3]
        house.settle()
        house.assert_nothing_left()


def test_a_remote_agent_needs_no_registration(make_house: MakeHouse) -> None:
    text = '[agents.remote]\nqueues = "sales"\ncontact = "sip:+8613800000001@127.0.0.1:6000"\nalways_ready = true\n'
    with make_house(text) as house:
        remote, caller = house.phone("+8613800000001"), house.phone("ann")
        assert remote.address[1] == 6000
        caller.dial("100")
        house.run(5.0)
        assert house.agent_states["remote"] == "talking"
        assert remote.incoming[0].request.target.text == "sip:+8613800000001@127.0.0.1:6000"
        remote.hang_up()
        house.settle()
        assert house.records.cdrs[0].ended_by is EndedBy.AGENT
        assert house.agent_states["remote"] == "ready"
        house.assert_nothing_left()


def test_an_agent_may_have_two_calls_at_a_time(make_house: MakeHouse) -> None:
    with make_house('[agents.a1]\nqueues = "sales"\ncapacity = 2\n') as house:
        agent = house.agent("a1")
        callers = [house.phone(name) for name in ("ann", "ben", "cat")]
        for caller in callers:
            caller.dial("100")
            house.run(2.0)
        assert answered(agent) == ["ann", "ben"]
        callers[0].hang_up()
        house.run(2.0)
        assert answered(agent) == ["ann", "ben", "cat"]
        for caller in callers:
            caller.hang_up()
        house.settle()
        assert [cdr.outcome for cdr in house.records.cdrs] == [Outcome.ANSWERED] * 3
        assert house.agent_states["a1"] == "ready"
        house.assert_nothing_left()


def test_all_agents_ring_at_once_and_one_gets_the_call(make_house: MakeHouse) -> None:
    text = '[queues.all]\nname = "All"\nring_all = true\n[numbers.300]\nqueue = "all"\n'
    with make_house(text + agents(a1="", a2="", a3="")) as house:
        phones = [house.agent(name) for name in ("a1", "a2", "a3")]
        phones[0].on_invite = phones[0].ring_for_ever
        caller = house.phone("ann")
        caller.dial("300")
        house.run(0.3)
        assert [len(phone.incoming) for phone in phones] == [1, 1, 1]
        house.run(5.0)
        assert sorted(house.agent_states.values()) == ["ready", "ready", "talking"]
        caller.hang_up()
        house.settle()
        assert house.records.cdrs[0].outcome is Outcome.ANSWERED
        house.assert_nothing_left()


def test_outside_its_hours_a_queue_is_closed(make_house: MakeHouse) -> None:
    text = (
        '[calendars.never]\nweekly = { mon-sun = "08:00-09:00" }\n'  # the house lives at noon
        '[queues.day]\nname = "Day"\nhours = "never"\n[numbers.300]\nqueue = "day"\n'
    )
    with make_house(text + agents(a1="")) as house:
        agent, caller = house.agent("a1"), house.phone("ann")
        caller.dial("300")
        house.settle()
        assert caller.outcome == "Rejected"
        assert agent.incoming == []
        (cdr,) = house.records.cdrs
        assert (cdr.outcome, cdr.answered_by_system) == (Outcome.CLOSED, None)
        house.assert_nothing_left()
