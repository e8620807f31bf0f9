"""A small call centre for tests of the command: a configuration file, and days of it in an event log."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec

from acd import facts
from acd.config import load
from acd.journal.store import SqliteJournal
from acd.policy import agent_profiles, queue_profiles
from acd.simulation.chance import Chance
from acd.simulation.command import options
from acd.simulation.plans import Drawn, Plan, Replayed
from acd.simulation.run import Run, live
from acd.simulation.world import MONDAY

CONFIG = """
[server]
domain = "ims.example"

[[accounts]]
users = ["s01..s06", "b01..b04"]
password = "secret"
roles = ["agent"]

[queues.sales]
name = "Sales"
wrap_up_seconds = 5

[queues.support]
name = "Support"
wrap_up_seconds = 0

[agents."s01..s06"]
queues = ["sales"]

[agents."b01..b04"]
queues = ["sales", "support"]
skills = { en = 2 }

[numbers.100]
queue = "sales"

[numbers.112]
queue = "support"
priority = 2
needs = { required = { en = 1 } }

[numbers.114]
flow = "hotline"

[numbers.115]
echo = true

[flows.hotline]
menu = ["en/menu"]
choices = { 1 = "sales", 2 = "support" }
default = "support"
"""

DAY = [
    "--arrivals", "poisson:rate=140/h,number=100", "--arrivals", "poisson:50/h,number=112",
    "--patience", "exponential:120", "--hours", "3",
]  # fmt: skip


def write_config(directory: Path, change: Callable[[str], str] = str) -> str:
    file = directory / "centre.toml"
    file.write_text(change(CONFIG), encoding="utf-8")
    return str(file)


def chance(replication: int = 1) -> Chance:
    return lambda name: Random(f"test {replication} {name}")


def plan(*arguments: str) -> Plan:
    given = options(arguments)
    config = load(given.config, given.set)
    return Drawn(config, given) if given.replay is None else Replayed(config, given)


class Recorder:
    """Keeps every fact with its time."""

    kinds = tuple(facts.KINDS)

    def __init__(self) -> None:
        self.told: list[tuple[float, facts.Fact]] = []

    def append(self, fact: facts.Fact, at: float) -> None:
        self.told.append((at, fact))


def record(directory: Path, *arguments: str) -> tuple[Run, Path]:
    """Live through a day of a plan and leave its event log behind."""
    recorder, file = Recorder(), directory / "journal.sqlite"
    config = load(arguments[arguments.index("--config") + 1])
    policy = msgspec.json.encode({"queues": queue_profiles(config), "agents": agent_profiles(config)})
    recorder.append(facts.PolicyInstalled(1, policy.decode()), MONDAY)
    run = live(plan(*arguments).day(chance()), observers=[recorder])
    journal = SqliteJournal(file)
    journal.open()
    journal.write(recorder.told)
    journal.close()
    return run, file
