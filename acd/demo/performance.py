"""The whole demonstration, from the start of the engine to the verdict on every call."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from acd.config import ConfigError, load
from acd.demo import phones as handsets
from acd.demo.phones import Phone, Place, Wanted
from acd.demo.processes import DemoError, control_ports
from acd.demo.screen import Screen, open_screen, table
from acd.demo.server import EngineProcess, listen_elsewhere
from acd.demo.show import Show
from acd.demo.story import AGENTS, CALLERS, SETTINGS, fault

if TYPE_CHECKING:
    from acd.cdr import Cdr, Quality
    from acd.config import Config

FAILED, WRONG, INTERRUPTED = 1, 2, 130
TAIL_LINES = 12
LINE_LENGTH = 300
_PHONES_TOLD = {
    "baresip": "baresip, seven processes of it",
    "own": "of our own, seven processes of them",
}
LEFT_BEHIND = ("bindings.sqlite", "bindings.sqlite-shm", "bindings.sqlite-wal")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration with these arguments and return the exit status."""
    given = _parser().parse_args(argv)
    try:
        config = load(given.config, [*SETTINGS, *given.set])
    except ConfigError as error:
        print(error, file=sys.stderr)
        return WRONG
    try:
        return asyncio.run(_run(config, given))
    except DemoError as error:
        print(f"ims-acd demo: {error}", file=sys.stderr)
        if error.log is not None and error.log.exists():
            lines = error.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
            shortened = (line if len(line) <= LINE_LENGTH else f"{line[:LINE_LENGTH]} ..." for line in lines)
            print(f"The end of {error.log}:", *shortened, sep="\n  ", file=sys.stderr)
        return FAILED
    except asyncio.CancelledError:
        print("ims-acd demo: stopped", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ims-acd demo", description="Five callers and two agents phone through an engine on this host."
    )
    parser.add_argument("--config", default="configs/demo.toml", metavar="FILE", help="default: %(default)s")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="as for ims-acd serve")
    parser.add_argument("--phones", choices=("auto", "baresip", "own"), default="auto", help="default: baresip if any")
    parser.add_argument("--plain", action="store_true", help="lines, even on a terminal")
    return parser


async def _run(config: Config, given: argparse.Namespace) -> int:
    _stop_on_signals()
    directory = config.storage.path / "demo"
    kind = handsets.choose(given.phones)
    async with AsyncExitStack() as cleanup:
        cleanup.enter_context(_alone_in(directory))
        screen = open_screen(plain=given.plain)
        cleanup.callback(screen.close)
        settings, moves = listen_elsewhere(config)
        for move in moves:
            screen.write(move)
        engine = EngineProcess(directory / "engine.log", config.http.token)
        cleanup.push_async_callback(engine.stop)
        own = (*settings, f'storage.dir="{directory}"', 'log.format="json"')
        await engine.start(given.config, [*SETTINGS, *given.set, *own])
        listeners = " and ".join(f"{transport}:{address}" for transport, address in engine.sip.items())
        screen.write(f"engine: {config.server.domain} on {listeners}")
        screen.write(f"HTTP:   http://{engine.http}/api/v1/calls, /metrics, /schema")
        missing = "; baresip is not installed" if kind == "own" and given.phones == "auto" else ""
        screen.write(f"phones: {_PHONES_TOLD[kind]}{missing}")
        phones: dict[str, Phone] = {}
        cleanup.push_async_callback(_close_all, phones)
        await _open_phones(kind, config, Place(config.server.domain, engine.sip, directory / "phones"), phones)
        show = Show(engine, phones, screen)
        await show.log_in()
        screen.say(f"agents {' and '.join(agent.user for agent in AGENTS)} are logged in")
        since = datetime.now(UTC)
        await show.play()
        records = await show.records(since)
        screen.close()
        ladder = await _ladder(engine, records)
        await _close_all(phones)
        status = await engine.stop()
    screen.write(f"\n{table(_rows(config, records))}")
    screen.write("MOS: the voice received from the caller / from the agent, 1 bad to 4.5 best.\n")
    screen.write(ladder)
    _tell_files(screen, config, directory, records)
    return _verdict(records, status, engine.log)


def _stop_on_signals() -> None:
    """Let the first SIGINT or SIGTERM stop the demonstration in good order, which takes a bounded time."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def stop() -> None:
        if not task.cancelling():
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)


@contextlib.contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Keep the directory for this run. Raises ``DemoError``."""
    with contextlib.ExitStack() as locked:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            lock = locked.enter_context((directory / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _tidy(directory)
        except BlockingIOError:
            raise DemoError(f"another demonstration is using {directory}") from None
        except OSError as error:
            raise DemoError(f"{directory} cannot be used: {error.strerror}") from None
        yield


def _tidy(directory: Path) -> None:
    """Remove what an earlier run left there, but its records and recordings: phones that are gone among it."""
    shutil.rmtree(directory / "phones", ignore_errors=True)
    for name in LEFT_BEHIND:
        (directory / name).unlink(missing_ok=True)


async def _open_phones(kind: handsets.Kind, config: Config, place: Place, phones: dict[str, Phone]) -> None:
    """Add all phones to ``phones``, each as soon as it has registered. Raises ``DemoError``."""
    people = [(agent.user, agent.transport, agent.hertz) for agent in AGENTS]
    people += [(caller.user, "udp", caller.hertz) for caller in CALLERS]
    missing = [user for user, _, _ in people if user not in config.accounts]
    if missing:
        raise DemoError(f"the configuration has no account {missing[0]}")

    async def add(wanted: Wanted) -> None:
        phones[wanted.user] = await handsets.open_phone(kind, wanted, place)

    results = await asyncio.gather(
        *(
            add(Wanted(user, str(config.accounts[user].password), transport, hertz, port))
            for (user, transport, hertz), port in zip(people, control_ports(len(people)), strict=True)
        ),
        return_exceptions=True,
    )
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _close_all(phones: dict[str, Phone]) -> None:
    await asyncio.gather(*(phone.close() for phone in phones.values()))
    phones.clear()


# What is told at the end ------------------------------------------------------------------------------------


def _rows(config: Config, records: Mapping[str, Cdr]) -> list[tuple[str, ...]]:
    """Return the summary as cells: a line for each call."""
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for caller in CALLERS:
        cdr = records.get(caller.user)
        if cdr is None:
            rows.append((caller.user, caller.dials, "-", "-", "-", "-", "-", "-", "no record"))
            continue
        queue = config.queues.get(cdr.queue or "")
        rows.append(
            (
                cdr.caller,
                f"{cdr.dialled} {caller.key}".rstrip(),
                queue.name if queue else "-",
                cdr.agent or "-",
                f"{cdr.waited_seconds:4.1f} s",
                f"{cdr.talked_seconds:4.1f} s",
                f"{_mos(cdr.quality_caller)}/{_mos(cdr.quality_agent)}",
                cdr.ended_by,
                cdr.outcome,
            )
        )
    return rows


_COLUMNS = ("caller", "dialled", "queue", "agent", "waited", "talked", "MOS", "hung up", "outcome")


def _mos(quality: Quality | None) -> str:
    return "-" if quality is None or quality.mos is None else f"{quality.mos:.2f}"


async def _ladder(engine: EngineProcess, records: Mapping[str, Cdr]) -> str:
    cdr = records.get(CALLERS[0].user)
    if cdr is None:
        return ""
    return f"The SIP messages of {cdr.caller}'s call:\n\n{await engine.ladder(cdr.id)}"


def _tell_files(screen: Screen, config: Config, directory: Path, records: Mapping[str, Cdr]) -> None:
    screen.write(f"call records: {config.storage.cdr or directory / 'cdr.sqlite'}")
    first = records.get(CALLERS[0].user)
    if first is not None and first.recording:
        screen.write(f"recording:    {first.recording}")
        screen.write(f"              {first.caller} left, {first.agent} right; the other calls' lie beside it")
    screen.write(f"engine's log: {directory / 'engine.log'}")


def _verdict(records: Mapping[str, Cdr], status: int, log: Path) -> int:
    """Return the exit status; what went wrong is told on standard error."""
    faults = [
        f"the call of {caller.user} {wrong}" for caller in CALLERS if (wrong := fault(caller, records.get(caller.user)))
    ]
    if status:
        faults.append(f"the engine ended with status {status}")
    if faults:
        raise DemoError("; ".join(faults), log)
    return 0
