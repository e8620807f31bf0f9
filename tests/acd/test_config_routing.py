"""Queues, agents, hours and callers in the configuration: what is read, and the line that each mistake gets."""

from datetime import date
from pathlib import Path

import pytest

from acd.config import (
    CallerProfile,
    Config,
    ConfigError,
    Membership,
    Needs,
    Overflowing,
    RefuseDelays,
    Ring,
    ToFlow,
    ToQueue,
    UnderLoad,
    load,
    loads,
)
from acd.config.values import Hours

BASE = """
[server]
domain = "ims.example"
[calendars.office]
timezone = "Asia/Shanghai"
weekly = { mon-fri = ["08:30-12:00", "13:30-18:00"], sat = "22:00-06:00" }
holidays = { 2026-10-01 = [], 2026-10-10 = "09:00-24:00" }
[queues.sales]
name = "Sales"
[queues.support]
name = "Support"
"""
AGENT = 'contact = "sip:a@127.0.0.1"\nqueues = ["sales"]\n'


def read(text: str) -> Config:
    return loads(BASE + text, file="x.toml")


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return list(caught.value.mistakes)


def test_a_queue_says_whom_it_offers_calls_to() -> None:
    config = read(
        """
        [queues.vip]
        name = "VIP"
        strategy = ["best_skills", "least_talk"]
        ring_all = true
        ageing_seconds = 30
        weight = 2
        hours = "office"
        prefer_last_agent_seconds = 12
        rings = [{ after_seconds = 20, drop = "french", relax = 1 }, { after_seconds = 40, levels = 2 }]
        under_load = { from_waiting = 20, to_waiting = 5, strategy = "random", ring = 1 }
        overflow = [
            { when = "length", above = 30, to = "queue:sales" },
            { when = "closed", to = "announcement:en/closed" },
            { when = "expected_wait", above = 120, to = "external:sip:+8610@127.0.0.1:5080;transport=tcp" },
            { when = "waited", above = 300, to = "callback" },
            { when = "no_agent", to = "release" },
        ]
        [agents.a1]
        contact = "sip:a@127.0.0.1"
        queues = ["vip"]
        skills = { french = 2 }
        """
    )
    queue = config.queues["vip"]
    assert queue.strategy == ("best_skills", "least_talk")
    assert (queue.ring_all, queue.ageing_seconds, queue.weight, queue.hours) == (True, 30, 2, "office")
    assert queue.rings == (Ring(after_seconds=20, drop=("french",), relax=1), Ring(after_seconds=40, levels=2))
    assert queue.under_load == UnderLoad(from_waiting=20, to_waiting=5, strategy=("random",), ring=1)
    assert [(rule.when, rule.above, str(rule.to)) for rule in queue.overflow] == [
        ("length", 30, "queue:sales"),
        ("closed", 0, "announcement:en/closed"),
        ("expected_wait", 120, "external:sip:+8610@127.0.0.1:5080;transport=tcp"),
        ("waited", 300, "callback"),
        ("no_agent", 0, "release"),
    ]
    assert queue.overflow[0].to == Overflowing("queue", "sales")


def test_hours_are_those_of_a_week_and_of_dates() -> None:
    calendar = read("").calendars["office"]
    assert calendar.timezone == "Asia/Shanghai"
    by_day = {day: hours for days, hours in calendar.weekly.items() for day in days}
    assert by_day == {**dict.fromkeys(range(5), (Hours(510, 720), Hours(810, 1080))), 5: (Hours(1320, 1800),)}
    assert calendar.holidays == {date(2026, 10, 1): (), date(2026, 10, 10): (Hours(540, 1440),)}
    assert [str(hours) for hours in by_day[5]] == ["22:00-06:00"]


@pytest.mark.parametrize(
    ("queues", "memberships"),
    [
        ('["sales"]', {"sales": (1, 1.0)}),
        ('"*"', {"sales": (1, 1.0), "support": (1, 1.0)}),
        ("{ sales = 2, support = { level = 3, weight = 0.5 } }", {"sales": (2, 1.0), "support": (3, 0.5)}),
        ('{ support = 1, "*" = 2 }', {"sales": (2, 1.0), "support": (1, 1.0)}),
    ],
)
def test_an_agent_serves_queues_each_in_its_way(queues: str, memberships: dict[str, tuple[int, float]]) -> None:
    agent = read(f'[agents.a1]\ncontact = "sip:a@127.0.0.1"\nqueues = {queues}').agents["a1"]
    assert agent.queues == {queue: Membership(level=at, weight=weight) for queue, (at, weight) in memberships.items()}


def test_an_agent_has_skills_and_rests_after_offers_in_vain() -> None:
    text = f"[agents.a1]\n{AGENT}skills = {{ french = 3 }}\npause_after_missed = 3\ncapacity = 2\n"
    agent = read(text + "refuse_delay_seconds = { no_answer = 60 }").agents["a1"]
    assert (agent.skills, agent.pause_after_missed, agent.capacity) == ({"french": 3}, 3, 2)
    assert agent.refuse_delays == RefuseDelays(no_answer=60)
    assert read(text + "refuse_delay_seconds = 1").agents["a1"].refuse_delays == RefuseDelays.of(1)


def test_an_open_leg_carries_one_call_in_whichever_worker() -> None:
    text = f"[agents.a1]\n{AGENT}open_leg = true\n"
    assert read(text).agents["a1"].open_leg
    (mistake,) = mistakes(f"{text}capacity = 2\n")
    assert mistake.startswith("x.toml: agents.a1.capacity: expected 1, because open_leg is true")
    assert read(f"{text}[media]\nworkers = 2\n").agents["a1"].open_leg


def test_a_number_asks_for_skills() -> None:
    config = read(
        f"""
        [agents.a1]
        {AGENT}
        skills = {{ french = 3, patience = 1, trainee = 1 }}
        [flows.hotline]
        menu = "en/menu"
        choices = {{ 1 = "sales" }}
        default = "sales"
        [numbers.100]
        queue = "sales"
        priority = -2
        needs = {{ required = {{ french = 2 }}, preferred = {{ patience = 3 }}, excluded = "trainee" }}
        [numbers.101]
        flow = "hotline"
        priority = 5
        """
    )
    needs = Needs(required={"french": 2}, preferred={"patience": 3}, excluded=("trainee",))
    assert config.numbers["100"] == ToQueue(queue="sales", priority=-2, needs=needs)
    assert config.numbers["101"] == ToFlow(flow="hotline", priority=5)


def test_callers_are_known_by_table_and_file(tmp_path: Path) -> None:
    file = tmp_path / "callers.csv"
    file.write_text("number,vip,segment,agent\n100,yes,large,a1\n101,,,\n102,0,,\n", encoding="utf-8")
    text = f'[callers]\nfile = "{file}"\nknown = {{ 102 = {{ vip = true, age_group = "elder" }} }}\n'
    callers = read(text + f"[agents.a1]\n{AGENT}").callers
    assert callers.known == {
        "100": CallerProfile(vip=True, segment="large", agent="a1"),
        "101": CallerProfile(),
        "102": CallerProfile(vip=True, age_group="elder"),
    }


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ("number,vip\n100,perhaps\n", ':2: vip: expected true or false, found "perhaps"'),
        ("number,wip\n100,1\n", ":2: wip: expected vip (did you mean that?); this key is unknown"),
        ("vip\n1\n", ':2: number: expected a number or name that can be dialled, found ""'),
        ("number\n100\n100\n", ':3: number: expected a number that is not there before, found "100"'),
        ("number,segment\n100,\udcff\n", ": expected a CSV file in UTF-8"),
        ("number,segment\n100,Large Customers\n", ":2: segment: expected a name of a-z, 0-9, _ and - (32 at most)"),
    ],
)
def test_a_mistake_in_the_file_of_callers_names_its_line(tmp_path: Path, rows: str, wrong: str) -> None:
    file = tmp_path / "callers.csv"
    file.write_bytes(rows.encode(errors="surrogatepass"))
    (line,) = mistakes(f'[callers]\nfile = "{file}"')
    at, _, rest = line.partition(": expected")
    if "CSV" in wrong:
        assert line.startswith("x.toml: callers.file: expected a CSV file in UTF-8")
    else:
        assert f"{at}: expected{rest}".startswith(f"{file}{wrong}")


def test_a_file_of_callers_must_be_there(tmp_path: Path) -> None:
    (line,) = mistakes(f'[callers]\nfile = "{tmp_path}/none.csv"')
    assert line.startswith("x.toml: callers.file: expected a readable file: No such file or directory")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('strategy = "fastest"', 'queues.q.strategy[0]: expected "longest_idle" or "round_robin"'),
        ("weight = 0", "queues.q.weight: expected a weight from 0.001 to 1000, found 0"),
        ("ageing_seconds = -1", "queues.q.ageing_seconds: expected a number of seconds, 0 for off, found -1"),
        ('hours = "never"', 'queues.q.hours: expected a calendar (defined: office), found "never"'),
        (
            "rings = [{ drop = [] }]",
            "queues.q.rings[0].after_seconds: expected a number of seconds above 0; the key is",
        ),
        (
            "rings = [{ after_seconds = 9 }, { after_seconds = 9 }]",
            "queues.q.rings[1].after_seconds: expected more than 9, found 9",
        ),
        (
            "rings = [{ after_seconds = 9, drop = 'dutch' }]",
            'queues.q.rings[0].drop: expected a skill of an agent (none is defined), found "dutch"',
        ),
        ("under_load = { from_waiting = 3, to_waiting = 3 }", "queues.q.under_load.to_waiting: expected less than 3"),
        ("under_load = { from_waiting = 3, ring = 1 }", "queues.q.under_load.ring: expected at most 0, how many rings"),
        ("overflow = [{ when = 'full', to = 'release' }]", 'queues.q.overflow[0].when: expected "length" or "expected'),
        (
            "overflow = [{ when = 'length', to = 'queue:x' }]",
            "queues.q.overflow[0].to: expected another queue (defined",
        ),
        (
            "overflow = [{ when = 'length', to = 'queue:q' }]",
            "queues.q.overflow[0].to: expected another queue (defined",
        ),
        (
            "overflow = [{ when = 'length', to = 'moon' }]",
            'queues.q.overflow[0].to: expected "queue:ID", "announcement',
        ),
        ("overflow = [{ when = 'length', to = 'external:110' }]", 'queues.q.overflow[0].to: expected "queue:ID"'),
        (
            "overflow = [{ when = 'length', to = 'announcement:en/nope' }]",
            "queues.q.overflow[0].to: expected prompts that exist; there is no media/prompts/en/nope.wav",
        ),
        (
            "overflow = [{ when = 'no_agent', above = 3, to = 'release' }]",
            'queues.q.overflow[0].above: expected no number, because there is nothing to count when "no_agent"',
        ),
        (
            "overflow = [{ when = 'length', to = 'external:sip:110@pbx.example;transport=tls' }]",
            "queues.q.overflow[0].to: expected a transport that sip.listen has",
        ),
        (
            "overflow = [{ when = 'length', to = 'external:sips:110@127.0.0.1' }]",
            "queues.q.overflow[0].to: expected a transport and a version of IP that sip.listen has",
        ),
        (
            "overflow = [{ when = 'closed', to = 'release' }]",
            "queues.q.hours: expected a calendar, because overflow[0] speaks of closed hours",
        ),
    ],
)
def test_a_mistake_in_a_queue(text: str, mistake: str) -> None:
    (line,) = mistakes(f'[queues.q]\nname = "Q"\n{text}')
    assert line.startswith(f"x.toml: {mistake}")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("timezone = 'Mars/Base'\nweekly = {}", 'calendars.c.timezone: expected a time zone, like "Asia/Shanghai"'),
        ("timezone = '../etc'\nweekly = {}", 'calendars.c.timezone: expected a time zone, like "Asia/Shanghai"'),
        ("", "calendars.c.weekly: expected a table; the key is missing"),
        (
            "weekly = { monday = [] }",
            "calendars.c.weekly.monday: expected the key to be a day or days of the week, like",
        ),
        ("weekly = { fri-mon = [] }", "calendars.c.weekly.fri-mon: expected the key to be a day or days of the week"),
        ("weekly = { mon-fri = [], fri = [] }", "calendars.c.weekly.fri: expected days that are not named before; mon"),
        ("weekly = { mon = '8-18' }", 'calendars.c.weekly.mon[0]: expected hours, like "08:30-18:00", found "8-18"'),
        ("weekly = { mon = '08:00-25:00' }", "calendars.c.weekly.mon[0]: expected hours, like"),
        ("weekly = { mon = ['08:00-12:00', '11:00-13:00'] }", "calendars.c.weekly.mon[1]: expected hours after those"),
        (
            "weekly = {}\nholidays = { xmas = [] }",
            'calendars.c.holidays.xmas: expected the key to be a date, like "2026',
        ),
    ],
)
def test_a_mistake_in_a_calendar(text: str, mistake: str) -> None:
    (line,) = mistakes(f"[calendars.c]\n{text}")
    assert line.startswith(f"x.toml: {mistake}")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("[agents.a2]\nqueues = 3", "agents.a2.queues: expected a list, each item the id of a queue"),
        (
            "[agents.a2]\nqueues = ['sales', 'x']",
            "agents.a2.queues[1]: expected a queue (defined: sales, support), found",
        ),
        (
            "[agents.a2]\nqueues = { x = 1 }",
            'agents.a2.queues.x: expected a queue (defined: sales, support), found "x"',
        ),
        ("[agents.a2]\nqueues = { sales = 0 }", "agents.a2.queues.sales: expected a level, a whole number from 1 to"),
        ("[agents.a2]\nqueues = []\nskills = { French = 1 }", "agents.a2.skills.French: expected the key to be a name"),
        (
            "[agents.a2]\nqueues = []\nrefuse_delay_seconds = { missed = 3 }",
            "agents.a2.refuse_delay_seconds.missed: expected one of refused, busy",
        ),
        (
            "[numbers.1]\nqueue = 'sales'\nneeds = { required = { dutch = 1 } }",
            'numbers.1.needs.required.dutch: expected a skill of an agent (defined: french), found "dutch"',
        ),
        (
            "[numbers.1]\nqueue = 'sales'\nneeds = { excluded = ['french', 'dutch'] }",
            "numbers.1.needs.excluded[1]: expected a skill of an agent",
        ),
        (
            "[agents.a2]\nqueues = []\ncontact = 'sips:a2@far.example'",
            "agents.a2.contact: expected a transport that sip.listen has",
        ),
        ("[agents.a2]\nqueues = []\ncontact = 'sip:a2@[::1]:5060'", "agents.a2.contact: expected a transport and a"),
        ("[callers]\nurl = 'http://127.0.0.1/'", "callers.url: expected a URL with {number} in it"),
        ("[callers]\nurl = 'ftp://127.0.0.1/{number}'", "callers.url: expected an HTTP URL, like"),
        ("[callers.known.1]\nagent = 'x'", 'callers.known.1.agent: expected an agent (defined: a1), found "x"'),
        ("[[callers.rules]]\npriority = 1", "callers.rules[0].when: expected at least one of vip"),
        ("[[callers.rules]]\nwhen = {}", "callers.rules[0].when: expected at least one of vip, segment, language"),
        ("[[callers.rules]]\nwhen = { vip = true }\nqueue = 'x'", "callers.rules[0].queue: expected a queue"),
    ],
)
def test_a_mistake_about_agents_and_callers(text: str, mistake: str) -> None:
    found = mistakes(
        f"[agents.a1]\n{AGENT}skills = {{ french = 1 }}\n[[accounts]]\nuser = 'a2'\npassword = 'p'\n{text}"
    )
    assert found[0].startswith(f"x.toml: {mistake}")


def test_a_configuration_from_disk_may_name_all_queues(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(f'{BASE}[agents."a1..a3"]\ncontact = "sip:{{agent}}@127.0.0.1"\nqueues = "*"', encoding="utf-8")
    assert {tuple(agent.queues) for agent in load(file).agents.values()} == {("sales", "support")}
