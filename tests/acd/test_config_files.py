"""The shipped files: complete, true about the defaults, and as the contract has them."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

import pytest
from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo, fields

from acd.config import Config, ToAnnouncement, ToEcho, ToFlow, ToQueue, load
from acd.config.model import Document
from acd.config.reader import read

CONFIGS = Path(__file__).parents[2] / "configs"
DEMO, LAB = CONFIGS / "demo.toml", CONFIGS / "lab.toml"
SET = re.compile(r"(# )?([a-z0-9_]+) = (.*)")


def tables_in(kind: Any) -> list[type[Struct]]:
    """The structures that a key of this kind may hold as tables."""
    if get_origin(kind) is Annotated or kind in (None, type(None)):
        return []
    if get_args(kind):
        inner = get_args(kind)[-1:] if get_origin(kind) is Mapping else get_args(kind)
        return [table for arm in inner for table in tables_in(arm)]
    return [kind] if isinstance(kind, type) and issubclass(kind, Struct) and not hasattr(kind, "parse") else []


def keys_of(table: type[Struct]) -> Iterator[tuple[type[Struct], FieldInfo]]:
    for info in fields(table):
        if info.name != "id":
            yield table, info
            for inner in tables_in(info.type):
                yield from keys_of(inner)


def is_line(kind: Any) -> bool:
    """Whether a key of this kind can be written as a line, and not as a table only."""
    arms = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return any(not tables_in(arm) for arm in arms if arm is not type(None))


def keys() -> dict[tuple[str, str], FieldInfo]:
    """Every key there is, by the structure that holds it and its name."""
    return {(table.__name__, info.name): info for table, info in keys_of(Document) if is_line(info.type)}


class Shown(NamedTuple):
    """A key of the demonstration: `is_comment` when it is not set, `told` when it is explained."""

    is_comment: bool
    value: str
    told: bool


def tables_under(header: list[str]) -> list[type[Struct]]:
    """The structures that a table of the file may be, as [queues.sales.under_load] is an `UnderLoad`."""
    kind: Any = Document
    for part in header:
        for arm in get_args(kind) if get_origin(kind) in (Union, UnionType) else [kind]:
            if get_origin(arm) is Mapping:
                kind = get_args(arm)[1]
            elif (table := tables_in(arm)) and part in (known := {info.name: info.type for info in fields(table[0])}):
                kind = known[part]
    return tables_in(kind)


def documented() -> dict[tuple[str, str], list[Shown]]:
    found: dict[tuple[str, str], list[Shown]] = {}
    tables: list[type[Struct]] = []
    before = ""
    for line in DEMO.read_text(encoding="utf-8").splitlines():
        header = re.match(r"(?:# )?\[+([a-z_]+(?:\.[a-z0-9_]+)*)\]+( |$)", line)
        if header:
            tables = tables_under(header[1].split("."))
            assert tables, line
            if header[2]:
                continue
        elif match := SET.match(line):
            told = " # " in match[3] or (before.startswith("# ") and not SET.match(before))
            for table in tables:
                found.setdefault((table.__name__, match[2]), []).append(Shown(match[1] is not None, match[3], told))
        before = line
    return found


@pytest.mark.parametrize(("table", "key"), keys())
def test_every_key_is_in_the_demonstration_with_a_comment(table: str, key: str) -> None:
    shown = documented().get((table, key), [])
    assert shown, f"{table}.{key} is not documented"
    assert shown[0].told, f"{table}.{key} has no comment"


@pytest.mark.parametrize(("table", "key"), keys())
def test_a_key_in_a_comment_shows_its_default(table: str, key: str) -> None:
    info = keys()[table, key]
    default = info.default if info.default_factory is NODEFAULT else info.default_factory()
    if info.required or default is None:
        return
    for shown in documented().get((table, key), []):
        if shown.is_comment:
            value = tomllib.loads(f"value = {shown.value}")["value"]
            assert read(info.type, value, (), lambda *mistake: pytest.fail(str(mistake))) == default


def test_the_demonstration_is_the_one_of_the_contract() -> None:
    config = load(DEMO)
    assert config.server.domain == "ims.example"
    assert config.server.drain_seconds == 2
    assert [str(listener) for listener in config.sip.listen] == ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]
    assert str(config.http.listen) == "127.0.0.1:8080"
    assert config.sip.authentication == "digest"
    callers = {"alice", "bob", "caller1", "caller2", "caller3", "caller4", "caller5"}
    agents = {"1001", "1002", "1003", "1004"}
    assert {user: (str(account.password), set(account.roles)) for user, account in config.accounts.items()} == {
        **dict.fromkeys(callers, ("demo", {"subscriber"})),
        **dict.fromkeys(agents, ("demo", {"agent"})),
    }
    assert set(config.agents) == agents
    assert set(config.numbers) == {"10000", "10001", "10002", "10003"}
    assert config.numbers["10001"] == ToQueue(queue="support")
    assert config.numbers["10002"] == ToEcho(echo=True)
    assert isinstance(config.numbers["10003"], ToAnnouncement)
    assert config.numbers["10000"] == ToFlow(flow="hotline")
    menu = config.flows["hotline"]
    assert menu.choices == {"1": "sales", "2": "support", "0": "anybody"}
    assert (menu.default, menu.repeats) == ("anybody", 2)
    codes = config.feature_codes
    assert (codes.log_in, codes.log_out, codes.pause, codes.ready) == ("*11", "*12", "*13", "*14")


def test_two_agents_of_the_demonstration_serve_every_queue() -> None:
    config = load(DEMO)
    assert set(config.agents["1001"].queues) == set(config.agents["1002"].queues) == set(config.queues)
    assert all("anybody" in agent.queues for agent in config.agents.values())


def test_the_lab_is_the_one_of_the_contract() -> None:
    config = load(LAB)
    demo = load(DEMO)
    assert config.server == demo.server
    assert (config.sip.listen, config.http.listen) == (demo.sip.listen, demo.http.listen)
    assert config.sip.authentication == "off"
    assert config.media.rtp_timeout_seconds == 0
    assert config.numbers == {"10001": ToQueue(queue="lab")}
    queue = config.queues["lab"]
    assert (queue.wrap_up_seconds, queue.announce_position_seconds) == (0, 0)
    assert (queue.record, queue.announce_agent, queue.welcome) == (False, False, ())
    assert list(config.agents) == [f"a{number:03d}" for number in range(1, 201)]
    for name, agent in config.agents.items():
        assert (list(agent.queues), agent.always_ready) == (["lab"], True)
        assert agent.contact == f"sip:{name}@127.0.0.1:16060"


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.toml")), ids=lambda file: file.name)
def test_a_shipped_file_binds_and_names_loopback_only(file: Path) -> None:
    config: Config = load(file)
    hosts: list[Any] = [listener.host for listener in config.sip.listen]
    hosts += [config.media.listen.host, config.http.listen.host if config.http.listen else "127.0.0.1"]
    assert set(hosts) == {"127.0.0.1"}


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.toml")), ids=lambda file: file.name)
def test_a_shipped_file_asks_every_phone_for_md5_alone(file: Path) -> None:
    """Widespread clients give up on any challenge with SHA-256."""
    config: Config = load(file)
    assert config.registrar.algorithms == ("MD5",)
    assert {account.algorithms for account in config.accounts.values()} <= {()}
