"""Changes while calls wait and talk, through the whole server on virtual time: they count at once, and none is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from acd import facts
from acd.cdr import Outcome
from acd.config import ConfigError
from acd.control import NotNow, NotThere
from acd.core.profiles import AgentProfile, QueueProfile
from acd.policy import agent_profiles, queue_profiles
from tests.acd.house import House

BASE = """
[server]
domain = "ims.example"
[queues.sales]
name = "Sales"
wrap_up_seconds = 0
announce_agent = false
[queues.other]
name = "Other"
wrap_up_seconds = 0
announce_agent = false
[numbers.100]
queue = "sales"
[numbers.200]
queue = "other"
"""
AGENTS = '[agents."a1..a3"]\nqueues = "sales"\n[agents.b1]\nqueues = "other"\n'


class Changing:
    """A house with a configuration file of its own."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.write(AGENTS)
        self.house = House(config=file)

    def write(self, text: str, base: str = BASE) -> None:
        self.file.write_text(base + text, encoding="utf-8")

    def reload(self, text: str, base: str = BASE) -> None:
        self.write(text, base)
        self.house.do(lambda: self.house.engine.install(self.house.source.read(), "reload"))

    def patch(self, section: Any, which: str, **values: object) -> None:
        asyncio.get_event_loop().run_until_complete(self.house.control.change(section, which, values))

    @property
    def policies(self) -> list[tuple[int, str]]:
        told = [entry.fact for entry in self.house.journal.entries]
        return [(fact.policy, fact.cause) for fact in told if isinstance(fact, facts.PolicyInstalled)]


@pytest.fixture
def changing(tmp_path: Path) -> Changing:
    return Changing(tmp_path / "acd.toml")


def test_a_queue_and_its_agents_are_exchanged_under_the_callers(changing: Changing) -> None:
    with changing.house as house:
        callers = [house.phone(f"c{index}") for index in range(4)]
        busy, free = house.agent("a1"), house.agent("b1")
        for caller in callers:
            caller.dial("100")
            house.run(2.0)
        assert (len(busy.incoming), len(free.incoming)) == (1, 0)
        changing.reload(AGENTS.replace('[agents.b1]\nqueues = "other"', '[agents.b1]\nqueues = "*"'))
        house.run(2.0)
        assert [call.request.from_.uri.user for call in free.incoming] == ["c1"], "the first who waits"
        assert changing.policies == [(2, "reload")]
        for _ in callers:
            house.run(3.0)
            for agent in (busy, free):
                agent.hang_up()
        house.settle()
        assert [cdr.outcome for cdr in house.records.cdrs] == [Outcome.ANSWERED] * 4
        house.assert_nothing_left()


def test_who_waits_in_a_queue_that_is_taken_away_is_still_served(changing: Changing) -> None:
    with changing.house as house:
        agent, talking, waiting = house.agent("a1"), house.phone("ann"), house.phone("ben")
        talking.dial("100")
        house.run(2.0)
        waiting.dial("100")
        house.run(2.0)
        base = BASE.replace("[queues.sales]", "[queues.new]").replace('queue = "sales"', 'queue = "new"')
        changing.reload(AGENTS.replace('"sales"', '"new"'), base)
        late = house.phone("cat")
        late.dial("100")
        house.run(2.0)
        for _ in range(3):
            agent.hang_up()
            house.run(3.0)
        house.settle()
        talks = {cdr.caller: (cdr.outcome, cdr.queue) for cdr in house.records.cdrs}
        assert talks == {
            "ann": (Outcome.ANSWERED, "sales"),
            "ben": (Outcome.ANSWERED, "sales"),
            "cat": (Outcome.ANSWERED, "new"),
        }
        house.assert_nothing_left()


def test_an_agent_who_is_taken_away_finishes_the_talk(changing: Changing) -> None:
    with changing.house as house:
        agent, caller = house.agent("a1"), house.phone("ann")
        caller.dial("100")
        house.run(2.0)
        changing.reload(AGENTS.replace("a1..a3", "a2..a3"))
        house.run(2.0)
        assert caller.outcome == "Answered"
        agent.hang_up()
        house.settle()
        assert house.records.cdrs[0].outcome is Outcome.ANSWERED
        assert "a1" not in house.agent_states
        changing.reload(AGENTS)
        assert house.agent_states["a1"] == "ready", "the phone is registered still"
        house.assert_nothing_left()


def test_numbers_and_remote_agents_come_and_go(changing: Changing) -> None:
    remote = '[agents.r1]\nqueues = "sales"\ncontact = "sip:r1@127.0.0.1:6001"\n[numbers.300]\nqueue = "sales"\n'
    with changing.house as house:
        caller, phone, elsewhere = house.phone("ann"), house.phone("r1"), house.phone("r1")
        caller.dial("300")
        house.run(2.0)
        assert caller.outcome == "Rejected"
        changing.reload(AGENTS + remote)
        assert house.agent_states["r1"] == "ready"
        caller.dial("300")
        house.run(2.0)
        assert len(phone.incoming) == 1
        caller.hang_up()
        house.run(2.0)
        changing.reload(AGENTS + remote.replace("6001", "6002"))
        assert house.agent_states["r1"] == "ready"
        caller.dial("300")
        house.run(2.0)
        assert (len(phone.incoming), len(elsewhere.incoming)) == (1, 1)
        caller.hang_up()
        house.settle()
        changing.reload(AGENTS)
        assert "r1" not in house.agent_states
        assert list(house.location) == []
        house.assert_nothing_left()


def test_all_of_a_policy_can_be_told_to_the_log(changing: Changing) -> None:
    everything = """
        strategy = ["tiers", "random"]
        ring_all = true
        rings = [{ after_seconds = 5, levels = 2, drop = "french" }]
        under_load = { from_waiting = 5, strategy = "ordered", ring = 1 }
        overflow = [{ when = "closed", to = "queue:other" }]
        hours = "office"
        [calendars.office]
        timezone = "Asia/Shanghai"
        weekly = { mon-fri = "08:00-18:00" }
        holidays = { 2026-10-01 = [], 2026-10-02 = "22:00-02:00" }
        """
    agents = AGENTS + "skills = { french = 1 }\nrefuse_delay_seconds = { busy = 1 }\npause_after_missed = 2\n"
    with changing.house as house:
        changing.reload(agents, BASE + everything.replace("strategy", '[queues.new]\nname = "New"\nstrategy', 1))
        (fact,) = [entry.fact for entry in house.journal.entries if isinstance(entry.fact, facts.PolicyInstalled)]
        document = msgspec.json.decode(fact.document)
        queues = msgspec.convert(document["queues"], list[QueueProfile])
        assert queues == queue_profiles(house.engine.config)
        assert msgspec.convert(document["agents"], list[AgentProfile]) == agent_profiles(house.engine.config)


def test_what_needs_a_restart_is_named_and_left_as_it_is(changing: Changing) -> None:
    with changing.house as house:
        changing.write(
            f"{AGENTS}\n[sip]\nt1_seconds = 1.0\nreservation_seconds = 9\n[limits]\ncalls = 7\ntcp_connections = 8\n"
        )
        installed = house.engine.install(house.source.read(), "reload")
        assert installed.needs_restart == ("sip.t1_seconds", "limits.tcp_connections")
        assert installed.changed == ("sip", "limits")
        config = house.engine.config
        assert (config.sip.t1_seconds, config.sip.reservation_seconds) == (0.5, 9.0)
        assert (config.limits.calls, config.limits.tcp_connections) == (7, 2000)


def test_one_agent_of_a_range_is_changed(changing: Changing) -> None:
    with changing.house as house:
        changing.patch("agents", "a2", queues={"other": 2}, skills={"french": 1})
        agents = house.engine.config.agents
        assert [list(agents[name].queues) for name in ("a1", "a2", "a3")] == [["sales"], ["other"], ["sales"]]
        changing.patch("agents", "a2", name="Zoe")
        assert (house.engine.config.agents["a2"].name, list(house.engine.config.agents["a2"].queues)) == (
            "Zoe",
            ["other"],
        )
        assert changing.policies == [(2, "api"), (3, "api")]
        changing.reload(AGENTS)
        assert house.engine.config.agents["a2"].name == "a2", "the file is what counts in the end"


def test_a_wrong_change_changes_nothing_and_is_told(changing: Changing) -> None:
    with changing.house as house:
        before = house.engine.config
        with capture_logs() as logs, pytest.raises(ConfigError) as caught:
            changing.patch("agents", "a2", queues="nowhere", skils={})
        assert caught.value.mistakes == (
            "request: agents.a2.skils: expected skills (did you mean that?); this key is unknown",
            'request: agents.a2.queues[0]: expected a queue (defined: sales, other), found "nowhere"',
        )
        refused = [line["mistake"] for line in logs if line["event"] == "config.refused"]
        assert refused == list(caught.value.mistakes)
        with pytest.raises(NotThere, match="no agent 'a9'"):
            changing.patch("agents", "a9", name="x")
        with pytest.raises(NotThere, match="no queue 'nowhere'"):
            changing.patch("queues", "nowhere", name="x")
        assert house.engine.config is before
        assert changing.policies == []
        changing.patch("agents", "a2", name="Zoe")  # what was refused is not in the way of what comes next
        assert house.engine.config.agents["a2"].name == "Zoe"


def test_an_agent_is_forced_to_a_state(changing: Changing) -> None:
    with changing.house as house:
        agent, caller = house.agent("a1"), house.phone("ann")
        house.do(lambda: house.control.force("a1", "paused", "meeting"))
        assert house.agent_states["a1"] == "paused"
        caller.dial("100")
        house.run(2.0)
        assert agent.incoming == []
        house.do(lambda: house.control.force("a1", "ready"))
        house.run(2.0)
        assert house.agent_states["a1"] == "talking"
        house.do(lambda: house.control.force("a1", "logged_out"))
        house.run(2.0)
        assert caller.outcome == "Answered", "a talk is finished first"
        caller.hang_up()
        house.run(2.0)
        assert house.agent_states["a1"] == "logged_out"
        with pytest.raises(NotThere):
            house.control.force("a9", "ready")
        house.settle()
        house.assert_nothing_left()


def test_a_waiting_caller_is_moved(changing: Changing) -> None:
    with changing.house as house:
        house.agent("a1")
        other = house.agent("b1")
        other.on_invite = other.ring_for_ever
        talking, first, second = (house.phone(name) for name in ("ann", "ben", "cat"))
        talking.dial("100")
        house.run(2.0)
        first.dial("100")  # waits for a1
        house.run(2.0)
        second.dial("200")  # rings at b1
        house.run(2.0)
        ids = {call.record.caller: call.id for call in house.engine.calls.values()}
        with pytest.raises(NotThere, match="no queue"):
            house.control.move(ids["ben"], "nowhere")
        with pytest.raises(NotThere, match="no call"):
            house.control.move("c0", "other")
        with pytest.raises(NotNow):
            house.control.move(ids["ann"], "other")
        house.do(lambda: house.control.move(ids["ben"], "other"))
        position = house.engine.dispatcher.distributor.position
        assert (position(ids["ben"]), position(ids["cat"])) == (1, 2), "the place is that of the arrival"
        other.on_invite = other.answer
        second.hang_up()
        house.run(8.0)
        assert [call.request.from_.uri.user for call in other.incoming][-1] == "ben"
        for phone in (talking, first):
            phone.hang_up()
        house.settle()
        assert {cdr.caller: cdr.queue for cdr in house.records.cdrs}["ben"] == "other"
        house.assert_nothing_left()
