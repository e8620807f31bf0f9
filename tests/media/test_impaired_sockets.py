"""What a worker measures on real sockets is what a host between it and the phone did to the packets."""

from collections.abc import Iterator

import pytest

from media.worker import control
from tests.kit.impairment import GilbertElliott, Impairments, LossModel, RandomLoss, Relay

from .conftest import Bench, Phone, stream, until

PACKETS = 600
BATCH = 20


class Wire:
    """A phone and a leg with a bad host between them."""

    def __init__(self, bench: Bench, phone: Phone, relay: Relay, port: int, leg: int) -> None:
        self.bench, self.phone, self.relay, self.port, self.leg = bench, phone, relay, port, leg
        self.session = bench.worker._sessions[leg]

    async def talk(self, packets: int) -> None:
        """Speak; the last packets come through, so that it is known what was lost before."""
        path = self.relay.paths["127.0.0.1", self.phone.port]
        for number in range(packets):
            self.phone.send(self.port)
            if number % BATCH == BATCH - 1:
                await until(lambda: path.sent == number + 1)  # noqa: B023
        await until(lambda: path.sent == packets)
        path._impairments = Impairments()
        self.relay._reorder = 0.0
        for _ in range(5):
            self.phone.send(self.port)
        expected = packets + 5 - len(path.lost) + len(path.doubled)
        await until(lambda: self.session.reception.received == expected)


async def wire(bench: Bench, impairments: Impairments, seed: int) -> Wire:
    phone = bench.phone()
    (port,) = bench.provide(1)
    relay = Relay(("127.0.0.1", phone.port), ("127.0.0.1", port), impairments, seed)
    between = await relay.start()
    bench._legs += 1
    bench.worker.handle(control.Open(bench._legs, port, stream(between)))
    return Wire(bench, phone, relay, between, bench._legs)


@pytest.fixture
def relays() -> Iterator[list[Relay]]:
    made: list[Relay] = []
    yield made
    for relay in made:
        relay.close()


@pytest.mark.parametrize(
    ("loss", "reorder", "duplicate"),
    [
        (RandomLoss(0.0), 0.0, 0.0),
        (RandomLoss(0.05), 0.0, 0.0),
        (RandomLoss(0.0), 0.2, 0.0),
        (RandomLoss(0.0), 0.0, 0.1),
        (RandomLoss(0.05), 0.1, 0.05),
        (GilbertElliott(0.02, 0.3), 0.0, 0.0),
        (GilbertElliott(0.05, 0.2), 0.1, 0.05),
    ],
    ids=["nothing", "random loss", "reordering", "duplicates", "all", "bursts", "bursts and all"],
)
async def test_the_report_tells_what_was_done(
    bench: Bench, relays: list[Relay], loss: LossModel, reorder: float, duplicate: float
) -> None:
    made = await wire(bench, Impairments(loss, reorder=reorder, duplicate=duplicate), seed=8)
    relays.append(made.relay)
    await made.talk(PACKETS)
    path = made.relay.paths["127.0.0.1", made.phone.port]
    before = sum(number == index for index, number in enumerate(path.lost))  # nobody knows of those before the first
    lost = path.lost[before:]
    expected = PACKETS + 5 - before
    bench.handle(control.Close(made.leg))
    (closed,) = bench.of(control.Closed)
    report = closed.report
    assert report.lost == len(lost)
    assert report.loss_percent == pytest.approx(100 * len(lost) / expected, abs=0.001)
    assert report.duplicates == len(path.doubled)
    if not lost:
        assert report.burst_ratio is None
        return
    path.lost = lost
    runs = path.runs()
    assert report.burst_ratio == pytest.approx(sum(runs) / len(runs) * (1 - len(lost) / expected), abs=0.001)
    assert bench.counters().packets_lost == len(lost)


async def test_the_other_direction_is_as_bad(bench: Bench, relays: list[Relay]) -> None:
    made = await wire(bench, Impairments(), seed=3)
    relays.append(made.relay)
    bench.handle(control.Echo(made.leg))
    path = made.relay.paths["127.0.0.1", made.session.port]
    path._impairments = Impairments(RandomLoss(0.1))
    await made.talk(200)
    await until(lambda: path.sent == 205)
    await until(lambda: len(made.phone.read()) == 205 - len(path.lost))
    sequences = [header[2] for header in made.phone.headers()]
    assert (sequences[-1] - sequences[0]) & 0xFFFF >= len(sequences) - 1
    assert len(path.lost) > 5
