"""The import contract: one direction between the packages, and cores that touch no world of their own.

    acd ──► ims_core
     └────► media

Every module that is not named in `SHELLS` is a core: time, ids and randomness are given to it, and it does
no input or output but what it is called for.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("ims_core", "media", "acd")
MAY_IMPORT = {"ims_core": set(), "media": set(), "acd": {"ims_core", "media"}}

# The modules that may import what `WORLD` names, and what of the world each owns.
SHELLS = {
    "ims_core.locate.dns": "the questions to nameservers",
    "ims_core.bridge": "the tasks of two calls made into one",
    "ims_core.calls": "the futures that a call's events are awaited by",
    "ims_core.element": "the tasks of the calls that a small element serves",
    "ims_core.exchanges": "the futures that pings, messages and transfers are awaited by",
    "ims_core.host": "the process of a small element: its loop, clock and ids",
    "ims_core.registrar.bindings_store": "a thread that writes registrations to disk",
    "ims_core.subscribers.database": "the file of subscribers",
    "ims_core.transport.connections": "the SIP connections",
    "ims_core.transport.datagrams": "a UDP socket",
    "ims_core.transport.stack": "the SIP sockets",
    "ims_core.transport.streams": "a connection",
    "ims_core.transport.tls": "OpenSSL, on memory, and the files of certificates",
    "media.builtin.credentials": "the chance in keys",
    "media.builtin.client": "the socket to a media worker",
    "media.worker.poller": "the readiness of the RTP sockets",
    "media.worker.ports": "a probe of which RTP ports are free",
    "media.recording.client": "the process that writes recordings, and the socket to it",
    "media.recording.output": "the files of recordings, and the chance in their keys",
    "media.recording.process": "the process that writes recordings, its socket and its signals",
    "media.recording.sidecar": "the file beside a recording",
    "media.recording.work": "which files a recording has",
    "media.worker.rtcp": "the socket of RTCP, and when a report came",
    "media.worker.rtpsocket": "how an RTP socket is opened",
    "media.worker.incoming": "when a packet came",
    "media.worker.session": "the sockets of one RTP session",
    "media.builtin.leg": "the futures of reports",
    "media.builtin.slot": "the worker processes",
    "media.playing.speech": "the programs that speak texts",
    "acd.speaking": "how long speech is waited for",
    "media.builtin.supervisor": "the tasks that drain workers",
    "media.rtpengine.backend": "the tasks that drain, and the chance in session ids",
    "media.rtpengine.digits": "the socket that digits are told to",
    "media.rtpengine.leg": "the task that has rtpengine follow",
    "media.rtpengine.ng": "the socket to an rtpengine, and how long it may take to answer",
    "media.rtpengine.node": "the task that watches an rtpengine",
    "media.rtpengine.player": "how long a prompt lasts",
    "media.rtpengine.spool": "the directory that an rtpengine records into",
    "media.rtpengine.trial": "the socket of a trial call",
    "media.testing": "tasks of a medium for tests",
    "media.worker.loop": "the event loop of a worker",
    "media.worker.process": "a process: its loop and signals",
    "media.worker.wire": "the calls that wait for packets and move them",
    "media.worker.worker": "the clock and the loop of a worker, and the chance in what it draws",
    "acd.app": "the process: its loop, clock, ids and signals",
    "acd.assembly": "the loop, clock and ids of an engine",
    "acd.call": "the task of one call",
    "acd.config.load": "the file of the configuration",
    "acd.config.profiles": "the table of callers",
    "acd.config.recordings": "the file of the key of recordings",
    "acd.context": "the event loop, by name",
    "acd.control": "the lock that has changes come one by one",
    "acd.demo.baresip": "the files of a baresip, and whether there is one",
    "acd.demo.netstring": "the stream that phones are controlled by",
    "acd.demo.performance": "the demonstration's process: its loop and signals",
    "acd.demo.phone": "a phone's process: its sockets, clock and ids",
    "acd.demo.phones": "the connections that control the phones",
    "acd.demo.processes": "processes of the demonstration, and which ports are free",
    "acd.demo.screen": "the clock of what is shown",
    "acd.demo.server": "the engine's process",
    "acd.demo.show": "the tasks of callers and agents",
    "acd.dispatcher": "the timer of the distributor",
    "acd.engine": "the tasks of all calls",
    "acd.externalleg": "the wait for an external number",
    "acd.http": "the HTTP socket",
    "acd.ims.hops": "the chance in identifiers",
    "acd.ims.process": "a process of CSCFs: its tasks and clock",
    "acd.ims.serving": "the keys of nonces, which are drawn at each start",
    "acd.ims.subscribed": "the file of subscribers, and the chance in their challenges",
    "acd.journal.reader": "the file of the log, to be read",
    "acd.journal.schema": "the file of the log",
    "acd.journal.tail": "the lines that are not in the log yet",
    "acd.journal.store": "a thread that writes facts to disk",
    "acd.kpi.api": "the thread that reads the log",
    "acd.kpi.command": "the clock that says which day is today",
    "acd.leg": "the task that calls somebody",
    "acd.live": "what runs now, for scrapes and the API",
    "acd.log": "the clock of log lines",
    "acd.openleg": "the task that answers a re-INVITE",
    "acd.openlegs": "the timers of legs that are to be opened",
    "acd.overflowing": "the wait for an external number",
    "acd.profilecommand": "the table of callers",
    "acd.recordingcommand": "the files of recordings",
    "acd.profiles": "the requests to a service that knows callers",
    "acd.reservation": "the wait for what a caller reserves",
    "acd.routekey": "the key that is drawn at the first start",
    "acd.sip": "the loop, clock and ids of the SIP element",
    "acd.services": "a coroutine for each kind of number dialled",
    "acd.siprec": "the task that begins a recording session",
    "acd.simulation.command": "the seeds of chance, and the CPU time of a simulation",
    "acd.simulation.plans": "the file of a plan",
    "acd.subscribercommand": "the file of subscribers",
    "acd.store": "a thread that writes CDRs to disk",
    "acd.talktime": "the wait until a talk has reached a length",
    "acd.uploader": "the task that sends CDRs",
}

WORLD = {
    "asyncio", "fcntl", "mmap", "multiprocessing", "random", "secrets", "select", "selectors", "shutil", "signal",
    "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "uuid", "uvloop",
}  # fmt: skip
# What is done with files, whoever calls it so.
FILES = {
    "exists",
    "iterdir",
    "mkdir",
    "read_bytes",
    "read_text",
    "rmdir",
    "touch",
    "unlink",
    "write_bytes",
    "write_text",
}
# The same reached through a module that cores may import for other things.
WORLD_CALLS = {
    "os": {"urandom", "getrandom"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "numpy": {"random"},
    "np": {"random"},
}


def modules() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


MODULES = dict(modules())


def imports(name: str, source: str, *, is_package: bool = False) -> Iterator[str]:
    """Every module that a module imports: anywhere in it, for type checkers only, or by a name in a string."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = name.split(".")
            base = base[: len(base) - node.level + is_package] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if called in {"__import__", "import_module"}:
                yield from (
                    arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
                )


def crossings(name: str, source: str, *, is_package: bool = False) -> set[str]:
    """The imports of a module that go against the direction."""
    package = name.partition(".")[0]
    allowed = MAY_IMPORT[package] | {package}
    found = {imported.partition(".")[0] for imported in imports(name, source, is_package=is_package)}
    return (found & {*PACKAGES, "tests", "benchmarks", "scripts"}) - allowed


def world_of(name: str, source: str, *, is_package: bool = False) -> set[str]:
    """What a module takes from the world by itself: imported modules and calls such as os.urandom."""
    found = {imported.partition(".")[0] for imported in imports(name, source, is_package=is_package)} & WORLD
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if node.attr in WORLD_CALLS.get(owner, ()):
                found.add(f"{owner}.{node.attr}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            found.add("open")
        elif isinstance(node, ast.ImportFrom) and node.module in WORLD_CALLS:
            found |= {f"{node.module}.{a.name}" for a in node.names if a.name in WORLD_CALLS[node.module]}
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return found | {call.attr for call in calls if isinstance(call, ast.Attribute) and call.attr in FILES}


@pytest.mark.parametrize("name", MODULES)
def test_no_module_imports_against_the_direction(name: str) -> None:
    path = MODULES[name]
    crossed = crossings(name, path.read_text(encoding="utf-8"), is_package=path.name == "__init__.py")
    assert not crossed, f"{name} imports {', '.join(sorted(crossed))}"


@pytest.mark.parametrize("name", sorted(MODULES.keys() - SHELLS))
def test_a_core_takes_nothing_from_the_world_by_itself(name: str) -> None:
    path = MODULES[name]
    taken = world_of(name, path.read_text(encoding="utf-8"), is_package=path.name == "__init__.py")
    assert not taken, f"{name} is a core (not named in SHELLS) and uses {', '.join(sorted(taken))}"


@pytest.mark.parametrize("name", sorted(SHELLS))
def test_a_module_is_a_shell_only_for_a_reason(name: str) -> None:
    assert name in MODULES, f"SHELLS names {name}, which does not exist"
    path = MODULES[name]
    source = path.read_text(encoding="utf-8")
    assert world_of(name, source, is_package=path.name == "__init__.py"), f"{name} is a core: take it off SHELLS"


@pytest.mark.parametrize(
    ("name", "source", "crossed"),
    [
        ("ims_core.flow", "import media.sdp.description", {"media"}),
        ("ims_core.flow", "def f():\n    from acd import cli", {"acd"}),
        (
            "media.sdp.description",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ims_core",
            {"ims_core"},
        ),
        ("media.sdp.description", "import importlib\nimportlib.import_module('acd.cli')", {"acd"}),
        ("media.sdp.description", "from . import rtp\nfrom .rtp import Packet", set()),
        ("acd.leg", "import ims_core.messages.uri\nfrom media import api\nimport mediation", set()),
        ("acd.leg", "from tests import peers", {"tests"}),
    ],
)
def test_crossings_are_seen(name: str, source: str, crossed: set[str]) -> None:
    assert crossings(name, source) == crossed


@pytest.mark.parametrize(
    ("source", "taken"),
    [
        ("import asyncio", {"asyncio"}),
        ("from time import monotonic", {"time"}),
        ("def f():\n    import random", {"random"}),
        ("import os\nos.urandom(4)", {"os.urandom"}),
        ("from os import urandom", {"os.urandom"}),
        ("import datetime\ndatetime.datetime.now(datetime.UTC)", {"datetime.now"}),
        ("from datetime import datetime\ndatetime.now(UTC)", {"datetime.now"}),
        ("import numpy as np\nnp.random.rand()", {"np.random"}),
        ("import os.path\nfrom datetime import UTC, datetime\ndatetime.fromtimestamp(0, UTC)", set()),
        ("def f(now, time): return time.ring + now", set()),
        ("import sqlite3", {"sqlite3"}),
        ("def f(path):\n    with open(path) as file: return file.read()", {"open"}),
        ("def f(path): path.parent.mkdir(); return path.read_text()", {"mkdir", "read_text"}),
        ("def f(door): return door.open()", set()),
    ],
)
def test_what_is_taken_from_the_world_is_seen(source: str, taken: set[str]) -> None:
    assert world_of("acd.core.queues", source) == taken
