"""What a registration costs in memory and a look-up in time, with `BINDINGS` users registered.

Run as a process of its own, ``python -m benchmarks.bindings DIRECTORY BINDINGS``: a registrar, its location service and
the store on disk are fed with REGISTER requests as they come from the network.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from benchmarks import machine
from benchmarks.processes import BenchmarkError, helper
from ims_core.flow import Flow
from ims_core.ids import Ids
from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.messages.uri import parse_uri
from ims_core.registrar.bindings_store import BindingsStore
from ims_core.registrar.location import Domains, Location
from ims_core.registrar.registrar import Registrar

BINDINGS = 100_000
MARK = 2048  # bytes per binding
BATCH = 1000
LOOK_UPS, CHOSEN = 200_000, 5000
SECONDS = 120.0

REGISTER = """\
REGISTER sip:ims.example SIP/2.0
Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{number:08x}
Max-Forwards: 70
From: <sip:u{number:06d}@ims.example>;tag={number:x}
To: <sip:u{number:06d}@ims.example>
Call-ID: {number}-{port}@{host}
CSeq: 1 REGISTER
Contact: <sip:u{number:06d}@{host}:{port}>
Expires: 3600
User-Agent: bench
Content-Length: 0

""".replace("\n", "\r\n")


Key = TypeVar("Key")


class Costs(NamedTuple):
    """Bytes per binding, and microseconds per look-up by user and by contact."""

    memory: float
    by_user: float
    by_contact: float


def _address(number: int) -> tuple[str, int]:
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 5060 + number % 7


def _measure(directory: Path, count: int) -> Costs:
    location = Location()
    registrar = Registrar(Domains("ims.example"), location, Ids(random.Random(1).getrandbits))
    store = BindingsStore(directory / "bindings.sqlite", interval=0.2)
    store.start()
    _load(registrar, location, store, range(BATCH))  # so that what there is once is there
    _wait_until_written(store, BATCH)
    before = machine.proportional_memory(os.getpid())
    _load(registrar, location, store, range(BATCH, BATCH + count))
    _wait_until_written(store, BATCH + count)
    memory = (machine.proportional_memory(os.getpid()) - before) / count
    chosen = random.Random(2).sample(range(BATCH + count), min(count, CHOSEN))
    users = [f"sip:u{number:06d}@ims.example" for number in chosen]
    contacts = [parse_uri(f"sip:u{number:06d}@{host}:{port}") for number in chosen for host, port in [_address(number)]]
    costs = Costs(memory, _time(location.bindings, users), _time(location.binding_at, contacts))
    store.close()
    return costs


def _load(registrar: Registrar, location: Location, store: BindingsStore, numbers: range) -> None:
    for number in numbers:
        host, port = _address(number)
        request = parse_message(REGISTER.format(number=number, host=host, port=port).encode())
        assert isinstance(request, Request)
        flow = Flow("UDP", ("192.0.2.1", 5060), (host, port))
        if registrar.handle(request, flow, time.monotonic()).status != 200:
            raise BenchmarkError("a registration failed")
        while (event := location.next_event()) is not None:
            store.note(event)


def _wait_until_written(store: BindingsStore, rows: int) -> None:
    deadline = time.monotonic() + SECONDS / 2
    while store.written < rows:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"only {store.written} bindings are stored")
        time.sleep(0.05)


def _time(look_up: Callable[[Key], object], keys: Sequence[Key]) -> float:
    rounds = LOOK_UPS // len(keys)
    started = time.process_time()
    for _ in range(rounds):
        for key in keys:
            look_up(key)
    return (time.process_time() - started) * 1e6 / (rounds * len(keys))


def costs(directory: Path) -> Costs:
    """Measure in a process of its own."""
    with helper("bindings", directory, BINDINGS, directory=directory) as process:
        return Costs(*json.loads(process.hear(SECONDS)))


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), int(sys.argv[2]))))
