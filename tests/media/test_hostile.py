"""A peer, or who pretends to be it, sends whatever it likes for long: nothing grows, nobody else is disturbed."""

import gc
import random
import sys
import types

import pytest

from tests.fuzz.rtp_corpus import rtp
from tests.fuzz.rtp_lab import FORMATS, Lab
from tests.fuzz.rtp_target import MODULES, STRANGERS, check

_SHARED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, Lab)


def weight(root: object) -> int:
    """Return the octets of everything that is reached from an object."""
    seen = {id(root)}
    found, total = [root], 0
    while found:
        item = found.pop()
        total += sys.getsizeof(item)
        for inner in gc.get_referents(item):
            if id(inner) not in seen and not isinstance(inner, _SHARED):
                seen.add(id(inner))
                found.append(inner)
    return total


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    lab = Lab()
    for module in MODULES:
        monkeypatch.setattr(f"{module}._monotonic", lab.clock)
    return lab


def abuse(lab: Lab, chance: random.Random, packets: int, spared: int | None = None) -> None:
    """Send packets of every number, SSRC, time and length, from all peers but a spared one and from strangers."""
    for number in range(packets):
        leg = number % 5
        source = lab.phone(leg) if chance.random() < 0.7 and leg != spared else STRANGERS[number % len(STRANGERS)]
        payload_type = chance.choice([each.payload for each in FORMATS] + [chance.randrange(128)])
        first = chance.choice([0x80, 0x80, 0x80, 0x90, 0xA0, 0x85, 0x40, chance.randrange(256)])
        data = rtp(payload_type, chance.randrange(65536), chance.randrange(1 << 32), b"", first)
        ssrc = chance.randrange(1 << 32).to_bytes(4, "big") if chance.random() < 0.3 else data[8:12]
        lab.deliver(leg, data[:8] + ssrc + chance.randbytes(chance.choice([0, 1, 4, 33, 160, 1400])), source)
        lab.deliver(leg, chance.randbytes(chance.randrange(200)), source, rtcp=True)
        if number % 25 == 0:
            lab.tick()
        for wire in lab.wires.values():
            wire.sent.clear()
        lab.reports.clear()


def test_nothing_grows_with_what_is_received(lab: Lab) -> None:
    chance = random.Random(3550)
    abuse(lab, chance, 1500)
    before = weight(lab.worker)
    abuse(lab, chance, 3000)
    check(lab)
    assert weight(lab.worker) < before * 1.1 + 20_000


def test_a_call_goes_on_beside_all_that(lab: Lab) -> None:
    chance = random.Random(4961)
    lab.deliver(0, rtp(0, 0xFFFF, -160, b"u" * 160), lab.phone(0))
    for number in range(40):
        abuse(lab, chance, 10, spared=0)
        lab.deliver(0, rtp(0, number, 160 * number, b"v" * 160), lab.phone(0))
        heard = [data for data, _ in lab.sent(1) if data.endswith(b"v" * 160)]
        assert len(heard) == 1, number
