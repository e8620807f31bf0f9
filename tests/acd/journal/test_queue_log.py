"""The log as Asterisk's queue_log: each line means what Asterisk's documentation says of its event."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from acd import facts
from acd.journal.port import Entry
from acd.journal.queue_log import QueueLog, told
from acd.journal.queue_log_file import QueueLogFile
from tests.acd.house import House
from tests.acd.journal.test_folds import live_through

NOON = 1_740_830_400.0

# What follows each event, by its name in Asterisk's documentation of the queue log; in capitals what is no number.
FIELDS = {
    "QUEUESTART": [""],
    "CONFIGRELOAD": [""],
    "ENTERQUEUE": ["URL", "CALLERID", "position"],
    "CONNECT": ["holdtime", "CHANNEL", "ringtime"],
    "COMPLETECALLER": ["holdtime", "calltime", "origposition"],
    "COMPLETEAGENT": ["holdtime", "calltime", "origposition"],
    "ABANDON": ["position", "origposition", "waittime"],
    "EXITWITHTIMEOUT": ["position", "origposition", "waittime"],
    "EXITEMPTY": ["position", "origposition", "waittime"],
    "RINGNOANSWER": ["ringtime"],
    "RINGCANCELED": ["ringtime"],
    "ADDMEMBER": [""],
    "REMOVEMEMBER": [""],
    "PAUSE": ["REASON"],
    "UNPAUSE": ["REASON"],
    "PAUSEALL": [""],
    "UNPAUSEALL": [""],
}


class Line(msgspec.Struct):
    """One line, read as a reporting tool reads it."""

    at: int
    call: str
    queue: str
    agent: str
    event: str
    data: dict[str, str | int]


def parse(text: str) -> Line:
    at, call, queue, agent, event, *data = text.split("|")
    names = FIELDS[event]
    assert len(data) == len(names), text
    values = {
        name: value if name.isupper() or not name else int(value) for name, value in zip(names, data, strict=True)
    }
    return Line(int(at), call, queue, agent, event, values)


def lines(*steps: tuple[float, facts.Fact]) -> list[str]:
    return list(told(Entry(seq, NOON + at, fact) for seq, (at, fact) in enumerate(steps)))


POLICY = facts.PolicyInstalled(
    1, '{"queues":[{"id":"sales"}],"agents":[{"id":"1001","queues":["sales",{"queue":"support","level":2}]}]}'
)
CALLER = (0.0, facts.CallArrived("c1", "x", "10001", "alice"))
QUEUED = (1.0, facts.CallQueued("c1", "sales"))
OFFERED = (2.0, facts.OfferMade("c1", "1001", 7, "sales"))


def test_a_call_that_is_answered() -> None:
    assert lines(
        (0.0, facts.ServerStarted("n", "1")),
        CALLER,
        QUEUED,
        OFFERED,
        (5.9, facts.CallConnected("c1", "1001", 7, "sales", 4.9)),
        (65.9, facts.TalkEnded("c1", "1001", "sales", 60.0)),
        (65.8, facts.CallEnded("c1", "answered", "caller")),
    ) == [
        "1740830400|NONE|NONE|NONE|QUEUESTART|",
        "1740830401|c1|sales|NONE|ENTERQUEUE||alice|1",
        "1740830405|c1|sales|SIP/1001|CONNECT|4|c1-7|3",
        "1740830465|c1|sales|SIP/1001|COMPLETECALLER|4|60|1",
    ]


@pytest.mark.parametrize(
    ("ended_by", "event"), [("caller", "COMPLETECALLER"), ("agent", "COMPLETEAGENT"), ("system", "COMPLETEAGENT")]
)
def test_who_hung_up_is_told(ended_by: str, event: str) -> None:
    connected = (3.0, facts.CallConnected("c1", "1001", 7, "sales", 2.0))
    talk = ((9.0, facts.TalkEnded("c1", "1001", "sales", 6.0)), (9.0, facts.CallEnded("c1", "answered", ended_by)))
    assert parse(lines(CALLER, QUEUED, OFFERED, connected, *talk)[-1]).event == event


def test_a_caller_who_gives_up_behind_another() -> None:
    other = [(0.0, facts.CallArrived("c0", "y", "10001", "bob")), (0.5, facts.CallQueued("c0", "sales"))]
    gone = (1.8, facts.CallLeft("c0", "sales", "abandoned", 1.3))
    left = (31.0, facts.CallLeft("c1", "sales", "abandoned", 30.0))
    assert lines(*other, CALLER, QUEUED, gone, left)[1:] == [
        "1740830401|c1|sales|NONE|ENTERQUEUE||alice|2",
        "1740830401|c0|sales|NONE|ABANDON|1|1|1",
        "1740830431|c1|sales|NONE|ABANDON|1|2|30",
    ]


def test_a_caller_of_priority_enters_before_the_others() -> None:
    first = [(0.0, facts.CallArrived("c0", "y", "10001", "bob")), (0.5, facts.CallQueued("c0", "sales"))]
    vip = (1.0, facts.CallQueued("c1", "sales", priority=5))
    assert parse(lines(*first, CALLER, vip)[-1]).data["position"] == 1


@pytest.mark.parametrize(
    ("last", "event"),
    [
        (facts.CallLeft("c1", "sales", "overflowed", 9.0), "EXITWITHTIMEOUT"),
        (facts.CallLeft("c1", "sales", "released", 9.0), "EXITWITHTIMEOUT"),
        (facts.CallDiverted("c1", "sales", "no_agent", "announcement", "en/nobody"), "EXITEMPTY"),
        (facts.CallDiverted("c1", "sales", "waited", "external", "100"), "EXITWITHTIMEOUT"),
    ],
)
def test_a_caller_who_is_sent_elsewhere(last: facts.Fact, event: str) -> None:
    assert lines(CALLER, QUEUED, (10.0, last), (10.0, facts.CallLeft("c1", "sales", "overflowed", 9.0)))[1:] == [
        f"1740830410|c1|sales|NONE|{event}|1|1|9"
    ]


def test_a_caller_who_moves_to_another_queue() -> None:
    assert lines(CALLER, QUEUED, (10.0, facts.CallMoved("c1", "sales", "support", "waited")))[1:] == [
        "1740830410|c1|sales|NONE|EXITWITHTIMEOUT|1|1|9",
        "1740830410|c1|support|NONE|ENTERQUEUE||alice|1",
    ]


def test_offers_that_come_to_nothing_tell_for_how_long_the_phone_rang() -> None:
    failed = (2.25, facts.OfferFailed("c1", "1001", 7, "busy", "486 Busy Here"))
    again = (4.0, facts.OfferMade("c1", "1001", 8, "sales"))
    withdrawn = (5.5, facts.OfferWithdrawn("c1", "1001", 8, "caller_left"))
    assert lines(CALLER, QUEUED, OFFERED, failed, again, withdrawn)[1:] == [
        "1740830402|c1|sales|SIP/1001|RINGNOANSWER|250",
        "1740830405|c1|sales|SIP/1001|RINGCANCELED|1500",
    ]


def test_an_agents_day() -> None:
    states = ["logged_out", "ready", "paused", "ready", "paused", "logged_out"]
    changes = [
        (float(number), facts.AgentChanged("1001", old, new, 1.0, "lunch" if new == "paused" else ""))
        for number, (old, new) in enumerate(pairwise(states))
    ]
    found = [parse(line) for line in lines((0.0, POLICY), *changes)]
    assert [(line.queue, line.event, line.data.get("REASON")) for line in found] == [
        ("sales", "ADDMEMBER", None),
        ("support", "ADDMEMBER", None),
        ("sales", "PAUSE", "lunch"),
        ("support", "PAUSE", "lunch"),
        ("NONE", "PAUSEALL", None),
        ("sales", "UNPAUSE", ""),
        ("support", "UNPAUSE", ""),
        ("NONE", "UNPAUSEALL", None),
        ("sales", "PAUSE", "lunch"),
        ("support", "PAUSE", "lunch"),
        ("NONE", "PAUSEALL", None),
        ("sales", "UNPAUSE", ""),
        ("support", "UNPAUSE", ""),
        ("NONE", "UNPAUSEALL", None),
        ("sales", "REMOVEMEMBER", None),
        ("support", "REMOVEMEMBER", None),
    ]
    assert {line.agent for line in found} == {"SIP/1001"}


def test_an_agent_who_is_moved_to_other_queues_while_he_works() -> None:
    other = facts.PolicyInstalled(2, '{"agents":[{"id":"1001","queues":["support","new"]}]}', "reload")
    ready = facts.AgentChanged("1001", "logged_out", "ready", 0.0)
    assert [line.split("|", 1)[1] for line in lines((0.0, POLICY), (0.0, ready), (5.0, other))[2:]] == [
        "NONE|NONE|NONE|CONFIGRELOAD|",
        "NONE|sales|SIP/1001|REMOVEMEMBER|",
        "NONE|new|SIP/1001|ADDMEMBER|",
    ]


def test_no_caller_can_forge_a_field_or_a_line() -> None:
    forged = (0.0, facts.CallArrived("c1", "x", "10001", "a|b\n1|2|3"))
    assert parse(lines(forged, QUEUED)[0]).data["CALLERID"] == "a_b 1_2_3"


def test_what_came_before_is_known_but_not_told() -> None:
    entries = [Entry(seq, NOON + at, fact) for seq, (at, fact) in enumerate([CALLER, QUEUED, OFFERED])]
    entries.append(Entry(4, NOON + 8, facts.CallConnected("c1", "1001", 7, "sales", 7.0)))
    assert list(told(entries, since=NOON + 5)) == ["1740830408|c1|sales|SIP/1001|CONNECT|7|c1-7|6"]


def test_a_day_read_back_counts_what_the_engine_counted(tmp_path: Path) -> None:
    with House() as house:
        live_through(house, 100, seed=11)
        entries, cdrs = house.journal.entries, house.records.cdrs
    file = QueueLogFile(tmp_path / "queue_log")
    for entry in entries:
        file.write([(entry.at, entry.fact)])
    read = [parse(line) for line in (tmp_path / "queue_log").read_text().splitlines()]
    assert [parse(line) for line in told(entries)] == read
    events = Counter(line.event for line in read)
    kinds = Counter(type(entry.fact) for entry in entries)
    assert events["ENTERQUEUE"] == kinds[facts.CallQueued] == sum(cdr.queued is not None for cdr in cdrs)
    assert events["CONNECT"] == kinds[facts.CallConnected] == sum(cdr.connected is not None for cdr in cdrs)
    assert events["COMPLETECALLER"] + events["COMPLETEAGENT"] == events["CONNECT"]
    assert events["ENTERQUEUE"] == sum(events[name] for name in ("CONNECT", "ABANDON", "EXITWITHTIMEOUT", "EXITEMPTY"))
    assert events["RINGNOANSWER"] == kinds[facts.OfferFailed] > 0
    assert events["RINGCANCELED"] == kinds[facts.OfferWithdrawn]
    by_call = {(line.call, line.event): line for line in read}
    for cdr in cdrs:
        if cdr.connected is not None:
            assert abs(int(by_call[cdr.id, "CONNECT"].data["holdtime"]) - cdr.waited_seconds) < 1.0
            talk = by_call.get((cdr.id, "COMPLETECALLER")) or by_call[cdr.id, "COMPLETEAGENT"]
            assert abs(int(talk.data["calltime"]) - cdr.talked_seconds) < 1.0


def test_a_file_that_cannot_be_written_costs_lines_only(tmp_path: Path) -> None:
    file = QueueLogFile(tmp_path)
    file.write([(NOON, facts.ServerStarted("n", "1")), (NOON, facts.ServerStarted("n", "1"))])
    assert file.lost == 2


def test_facts_about_nobody_known_are_passed_over() -> None:
    fold = QueueLog()
    for fact in (
        QUEUED[1],
        OFFERED[1],
        facts.CallConnected("c1", "1001", 7, "sales", 1.0),
        facts.CallEnded("c1", "x", "y"),
    ):
        assert fold.lines(fact, NOON) == []
