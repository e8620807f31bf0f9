"""What belonged to a leg is freed as soon as it is closed: the collector would keep the packets of others waiting."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from media.secure.surroundings import Shared
from media.worker import control
from tests.media.secure.conftest import CREDENTIALS, OURS, SecurePhone, dtls, sdes

from .conftest import Bench, Phone, stream, until

TALK = 10  # packets


async def talk(bench: Bench, *sides: tuple[Phone, int]) -> None:
    before = bench.counters().packets_received
    for _ in range(TALK):
        for phone, port in sides:
            phone.send(port)
    await until(lambda: bench.counters().packets_received == before + TALK * len(sides))


async def bridged(bench: Bench, _: Path) -> None:
    (a, first, port_a), (b, second, port_b) = bench.leg(), bench.leg()
    bench.handle(control.Bridge(first, second, None))
    await talk(bench, (a, port_a), (b, port_b))
    bench.handle(control.SendDigits(first, "12", 60), control.ReceiveDigit(second, "3", 80))
    bench.handle(control.Close(first), control.Close(second))


async def recorded(bench: Bench, path: Path) -> None:
    (a, first, port_a), (_, second, _) = bench.leg(), bench.leg()
    bench.handle(control.Bridge(first, second, str(path)))
    await talk(bench, (a, port_a))
    bench.handle(control.Close(second), control.Close(first))


async def mixed(bench: Bench, _: Path) -> None:
    legs = [bench.leg(codec) for codec in ("PCMU", "PCMA", "PCMU")]
    numbers = [number for _, number, _ in legs]
    gains = tuple((speaker, hearer, 0.5) for speaker in numbers for hearer in numbers if speaker != hearer)
    bench.handle(control.Mix(gains), control.Adjust(numbers[0], 0.5, 2.0))
    await talk(bench, *((phone, port) for phone, _, port in legs))
    bench.handle(*map(control.Close, numbers))


async def prompted(bench: Bench, _: Path) -> None:
    phone, number, port = bench.leg()
    bench.handle(control.Play(number, ("long",), True, True, 1))
    await talk(bench, (phone, port))
    await until(lambda: len(phone.read()) > 1)
    bench.handle(control.Close(number))


async def moved(bench: Bench, _: Path) -> None:
    phone, number, port = bench.leg()
    bench.handle(control.Echo(number))
    await talk(bench, (phone, port))
    other = bench.phone()
    bench.handle(control.Configure(number, stream(other.port)))
    await talk(bench, (other, port))
    bench.handle(control.Close(number))


async def with_keys(bench: Bench, _: Path) -> None:
    phone, number, port = bench.leg(security=sdes())
    caller = SecurePhone(phone, port)
    caller.use(sdes())
    bench.handle(control.Echo(number))
    caller.say(times=TALK)
    await until(lambda: len(caller.read()) == TALK)
    bench.handle(control.Close(number))


async def with_a_handshake(bench: Bench, _: Path) -> None:
    bench.worker.shared = Shared(OURS, asyncio.get_running_loop().call_later)
    phone, number, port = bench.leg(security=dtls(), ice=CREDENTIALS, mux=True)
    caller = SecurePhone(phone, port)
    caller.check()
    caller.begin()
    await until(lambda: caller.secured)
    bench.handle(control.Echo(number))
    caller.say(times=TALK)
    await until(lambda: len(caller.read()) == TALK)
    bench.handle(control.Close(number))
    caller.association = None  # which knows him


@pytest.mark.parametrize("course", [bridged, recorded, mixed, prompted, moved, with_keys, with_a_handshake])
async def test_a_leg_that_is_closed_leaves_nothing_for_the_collector(
    bench: Bench,
    tmp_path: Path,
    course: Callable[[Bench, Path], Awaitable[None]],
    uncollected: Callable[[], Counter[str]],
) -> None:
    for name in ("once", "again"):  # some things are made but once
        await course(bench, tmp_path / f"{name}.wav")
        await until(lambda: bench.counters().legs == 0 and not bench.worker._recordings.client._recordings)
        bench.reports.clear()
        if name == "once":
            uncollected()
    assert uncollected() == Counter()
