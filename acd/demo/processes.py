"""Processes that the demonstration starts: each in a group of its own, each ended by its id within a bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

HOST = "127.0.0.1"
CONTROL_PORTS = range(32_010, 32_760)


class DemoError(Exception):
    """The demonstration cannot go on; the message is one sentence, ``log`` the file that says more."""

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log


async def start(
    command: Sequence[str], *, output: IO[bytes] | int, environment: Mapping[str, str] | None = None
) -> asyncio.subprocess.Process:
    """Start a process whose standard output and error go to ``output``. Raises ``DemoError``."""
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            limit=1024 * 1024,
        )
    except OSError as error:
        raise DemoError(f"{command[0]} cannot be started: {error.strerror}") from None


async def end(process: asyncio.subprocess.Process, seconds: float, *, ask: bool = True) -> int:
    """Return the exit status; SIGTERM first when ``ask``, and after ``seconds`` SIGKILL for the whole group."""
    if process.returncode is None and ask:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    try:
        async with asyncio.timeout(seconds):
            return await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return await process.wait()


def is_free(kind: str, host: str, port: int) -> bool:
    """Say whether a ``udp`` or ``tcp`` port can be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM) as probe:
        if kind == "tcp":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            if kind == "tcp":
                probe.listen(1)
        except OSError:
            return False
    return True


def free_port(host: str = HOST) -> int:
    """Return a port that is free for both UDP and TCP now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(100):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
            port: int = probe.getsockname()[1]
        if is_free("udp", host, port):
            return port
    raise DemoError(f"no port of {host} is free for both UDP and TCP")


def control_ports(count: int) -> list[int]:
    """Return different TCP ports of loopback that are free, of those the kernel does not give to clients."""
    start = os.getpid() * 11
    ports = (CONTROL_PORTS[(start + step) % len(CONTROL_PORTS)] for step in range(len(CONTROL_PORTS)))
    free = list(islice((port for port in ports if is_free("tcp", HOST, port)), count))
    if len(free) < count:
        raise DemoError(f"no {count} ports from {CONTROL_PORTS[0]} to {CONTROL_PORTS[-1]} are free for the phones")
    return free
