"""How long talks may take: reminders, who hears them, and the end, through the whole server on virtual time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import pytest

from acd.cdr import Cdr, EndedBy, Outcome
from acd.config import ConfigError, TalkTime, load, loads
from acd.talktime import reminders
from ims_core.flow import Flow
from ims_core.registrar.location import Binding
from ims_core.ua.session_events import Ended
from media.testing import FakeLeg
from tests.acd.house import CONFIG, SERVER, House, Phone

TONE = ("tones/reminder",)
QUEUE = "queues.support."


def talk(**keys: object) -> list[str]:
    """What sets these keys for the queue of number 10001, in which nobody is announced."""
    return [f"{QUEUE}announce_agent=false", *(f"{QUEUE}talk.{key}={value}" for key, value in keys.items())]


def talking(house: House) -> tuple[Phone, Phone]:
    """Let a caller and an agent talk, from now on."""
    agent, caller = house.agent("1001"), house.phone("alice")
    caller.dial("10001")
    while house.agent_states["1001"] != "talking":
        house.run(0.01)
    return agent, caller


def legs(house: House) -> tuple[FakeLeg, FakeLeg]:
    caller = house.caller_leg
    assert caller.bridged_to is not None
    return caller, caller.bridged_to


def played(leg: FakeLeg) -> list[object]:
    """What the leg played, in order."""
    return [call.arguments[0] for call in leg.calls if call.method == "play"]


def end(house: House) -> Cdr:
    house.settle()
    (cdr,) = house.records.cdrs
    house.assert_nothing_left()
    return cdr


def reminded(cdr: Cdr) -> list[float]:
    assert cdr.connected is not None
    return [
        pytest.approx((step.at - cdr.connected).total_seconds(), abs=0.05)  # type: ignore[misc]
        for step in cdr.timeline
        if step.event == "talk.reminded"
    ]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, []),
        ({"reminder_seconds": 60}, [60]),
        ({"reminder_seconds": 60, "reminder_repeat_seconds": 15}, [60, 75, 90, 105, 120]),
        ({"reminder_seconds": 60, "reminder_repeat_seconds": 15, "longest_seconds": 90}, [60, 75]),
        ({"reminder_seconds": 60, "reminder": ()}, []),
        ({"longest_seconds": 90}, []),
    ],
)
def test_when_there_is_a_reminder(keys: dict[str, object], expected: list[float]) -> None:
    assert list(islice(reminders(TalkTime(**keys)), 5)) == expected  # type: ignore[arg-type]


def test_both_hear_the_reminder_while_they_talk_on() -> None:
    with House(*talk(reminder_seconds=60)) as house:
        _, caller = talking(house)
        house.run(59.9)
        one, other = legs(house)
        assert [leg.playing for leg in (one, other)] == [(), ()]
        house.run(0.2)
        assert [leg.playing for leg in (one, other)] == [TONE, TONE]
        assert one.bridged_to is other, "the bridge stands"
        house.run(200.0)
        assert [leg.playing for leg in (one, other)] == [(), ()]
        assert one.bridged_to is other
        assert played(other) == [TONE], "once"
        caller.hang_up()
        cdr = end(house)
        assert (cdr.outcome, cdr.ended_by) == (Outcome.ANSWERED, EndedBy.CALLER)
        assert reminded(cdr) == [60.0]


@pytest.mark.parametrize(("who", "caller_hears", "agent_hears"), [("caller", True, False), ("agent", False, True)])
def test_one_side_alone_may_hear_it(who: str, caller_hears: bool, agent_hears: bool) -> None:
    with House(*talk(reminder_seconds=30, reminder_for=who)) as house:
        _, caller = talking(house)
        house.run(30.1)
        one, other = legs(house)
        assert (one.playing == TONE, other.playing == TONE) == (caller_hears, agent_hears)
        caller.hang_up()
        end(house)


def test_it_is_repeated_until_somebody_hangs_up() -> None:
    prompts = '["tones/reminder", "en/closing"]'
    with House(*talk(reminder_seconds=60, reminder_repeat_seconds=30, reminder=prompts)) as house:
        agent, _ = talking(house)
        house.run(130.0)
        _, other = legs(house)
        assert played(other) == [("tones/reminder", "en/closing")] * 3
        agent.hang_up()
        cdr = end(house)
        assert (cdr.outcome, cdr.ended_by) == (Outcome.ANSWERED, EndedBy.AGENT)
        assert reminded(cdr) == [60.0, 90.0, 120.0]


@pytest.mark.rfc("3326-2")
def test_a_talk_that_is_over_is_ended_with_a_word_and_a_reason() -> None:
    with House(*talk(reminder_seconds=60, longest_seconds=90, farewell='["en/goodbye"]')) as house:
        agent, caller = talking(house)
        house.run(90.1)
        one = house.caller_leg
        (other,) = [leg for name, leg in house.media.legs.items() if "agent" in name]
        assert one.playing == other.playing == ("en/goodbye",)
        assert one.bridged_to is None
        assert caller.outcome == "Answered"
        house.run(1.0)
        assert caller.outcome == agent.outcome == "Ended"
        ends = [event for phone in (agent, caller) for event in phone.events if isinstance(event, Ended)]
        assert [event.reason for event in ends] == ['SIP;cause=408;text="talk time over"'] * 2
        cdr = end(house)
        assert (cdr.outcome, cdr.ended_by, cdr.reason) == (Outcome.TIME_LIMIT, EndedBy.SYSTEM, "talk time over")
        assert cdr.talked_seconds == pytest.approx(90.0, abs=0.1)
        assert reminded(cdr) == [60.0]
        assert house.agent_states["1001"] == "ready", "after his wrap-up"


def test_without_a_farewell_it_ends_at_once() -> None:
    with House(*talk(longest_seconds=20)) as house:
        talking(house)
        house.run(20.1)
        cdr = end(house)
        assert cdr.outcome is Outcome.TIME_LIMIT
        assert cdr.talked_seconds == pytest.approx(20.0, abs=0.1)


def test_a_caller_who_leaves_during_the_farewell_is_not_kept() -> None:
    with House(*talk(longest_seconds=20, farewell='["en/goodbye"]')) as house:
        house.media.default_seconds = 8.0
        _, caller = talking(house)
        house.run(21.0)
        caller.hang_up()
        house.run(0.2)
        assert len(house.records.cdrs) == 1
        assert end(house).outcome is Outcome.TIME_LIMIT


def hang_up(_: House, caller: Phone, __: Phone) -> None:
    caller.hang_up()


def agent_hangs_up(_: House, __: Phone, agent: Phone) -> None:
    agent.hang_up()


def lose_media(house: House, _: Phone, __: Phone) -> None:
    house.lose_media()


@pytest.mark.parametrize("disturb", [hang_up, agent_hangs_up, lose_media])
def test_whatever_happens_at_any_turn_of_the_talk_nothing_is_left(
    disturb: Callable[[House, Phone, Phone], None],
) -> None:
    keys = {"reminder_seconds": 0.5, "reminder_repeat_seconds": 0.3, "longest_seconds": 1.2, "farewell": "en/goodbye"}
    outcomes = set()
    for turn in range(1, 120):
        with House(*talk(**keys), seed=turn) as house:
            agent, caller = talking(house)
            house.loop.at_iteration[house.loop.iterations + turn] = partial(disturb, house, caller, agent)
            house.run(4.0)
            for phone in (caller, agent):
                phone.hang_up()
            outcomes.add(end(house).outcome)
            if house.loop.at_iteration:
                break
    assert turn < 119, "it came to the end of the talk"
    assert Outcome.TIME_LIMIT in outcomes
    assert outcomes <= {Outcome.TIME_LIMIT, Outcome.ANSWERED, Outcome.MEDIA_LOST}


def test_the_time_of_a_talk_does_not_count_while_the_agent_is_announced() -> None:
    keys = [key for key in talk(reminder_seconds=5) if "announce" not in key]
    with House(*keys) as house:
        _, caller = talking(house)
        house.run(6.0)
        assert TONE not in played(house.caller_leg)
        house.run(3.0)
        caller.hang_up()
        cdr = end(house)
        (bridged,) = [step.at for step in cdr.timeline if step.event == "call.bridged"]
        (at,) = [step.at for step in cdr.timeline if step.event == "talk.reminded"]
        assert (at - bridged).total_seconds() == pytest.approx(5.0, abs=0.05)


def test_an_agent_on_an_open_leg_is_reminded_too_and_stays_for_the_next() -> None:
    with House(*talk(reminder_seconds=30, longest_seconds=40), "agents.1001.open_leg=true") as house:
        house.agent("1001")
        house.run(2.0)
        caller = house.phone("alice")
        caller.dial("10001")
        house.run(3.0)
        one, other = legs(house)
        house.run(28.5)
        assert TONE in played(one)
        assert TONE in played(other)
        assert house.agent_states["1001"] == "talking"
        house.run(15.0)
        cdr = end(house)
        assert cdr.outcome is Outcome.TIME_LIMIT
        assert house.agent_states["1001"] == "ready"


OUTSIDE = """
[server]
domain = "ims.example"
[[accounts]]
user = "ann"
password = "p"
may_call_outside = true
[accounts.talk]
reminder_seconds = 30
reminder_for = "caller"
longest_seconds = 60
[trunks.one]
servers = ["sip:127.0.0.1:6999"]
ping_seconds = 0
[[outbound]]
match = ["9."]
trunks = ["one"]
"""


def test_an_account_that_calls_outside_has_its_own_time(tmp_path: Path) -> None:
    file = tmp_path / "acd.toml"
    file.write_text(OUTSIDE, encoding="utf-8")
    with House("sip.authentication=digest", config=file) as house:
        carrier, ann = house.phone_at("carrier", 6999), house.phone("ann")
        flow = Flow("UDP", SERVER, ann.address)
        contact = f"sip:ann@127.0.0.1:{ann.address[1]}"
        house.location.add(Binding("sip:ann@ims.example", contact, flow=flow))
        ann.dial("95555")
        house.run(31.0)
        assert ann.outcome == "Answered"
        one, other = legs(house)
        assert played(one) == [TONE]
        assert played(other) == []
        house.run(30.0)
        assert ann.outcome == carrier.outcome == "Ended"
        cdr = end(house)
        assert (cdr.outcome, cdr.reason, cdr.trunk_out) == (Outcome.TIME_LIMIT, "talk time over", "one")


def test_who_overflows_to_the_outside_has_the_time_of_the_queue() -> None:
    overflow = f'{QUEUE}overflow=[{{ when = "no_agent", to = "external:sip:desk@ims.example" }}]'
    with House(*talk(reminder_seconds=10), overflow) as house:
        desk, caller = house.agent("desk"), house.phone("alice")
        caller.dial("10001")
        house.run(11.0)
        _, other = legs(house)
        assert played(other) == [TONE]
        desk.hang_up()
        assert end(house).outcome is Outcome.EXTERNAL


@pytest.mark.parametrize(
    ("keys", "mistake"),
    [
        ("reminder_seconds = 60\nlongest_seconds = 60", "reminder_seconds: expected less than longest_seconds (60)"),
        ("reminder_repeat_seconds = 5", "reminder_seconds: expected when to remind first, because"),
        ('farewell = ["en/goodbye"]', "longest_seconds: expected when a talk ends, because there is a farewell"),
        (
            'reminder = ["tones/gong"]',
            "reminder: expected prompts that exist; there is no media/prompts/tones/gong.wav",
        ),
        ('reminder_for = "all"', 'reminder_for: expected "both" or "caller" or "agent", found "all"'),
    ],
)
@pytest.mark.parametrize("table", ["queues.sales.talk", "accounts[0].talk"])
def test_a_mistake_is_told(table: str, keys: str, mistake: str) -> None:
    account = '[[accounts]]\nuser = "ann"\npassword = "p"\n'
    text = f'[server]\ndomain = "ims.example"\n[queues.sales]\nname = "Sales"\n{account}'
    with pytest.raises(ConfigError) as caught:
        loads(f"{text}[{table.replace('[0]', '')}]\n{keys}\n", file="x.toml")
    (line,) = caught.value.mistakes
    assert line.startswith(f"x.toml: {table}.{mistake}")


def test_the_demonstration_reminds_nobody() -> None:
    config = load(CONFIG)
    assert {queue.talk for queue in config.queues.values()} == {TalkTime()}
