"""Dead air, talk-over and troubles of silence, of a worker's bridged legs."""

import pytest

from media.api import Talk, Trouble
from media.codecs.g711 import SILENCE, encode
from media.rtp.stream import Format
from media.worker import control
from tests.media.conftest import Bench, Phone, stream, until

LOUD = bytes(range(160))
QUIET = bytes([SILENCE["PCMU"]]) * 160


class Talkers:
    """Two phones of one bridge, who say something each tenth of a second."""

    def __init__(self, bench: Bench, clock: list[float], codec: str = "PCMU") -> None:
        self.bench, self.clock = bench, clock
        self.phones: list[tuple[Phone, int, int]] = [bench.leg(codec), bench.leg(codec)]
        self.legs = [leg for _, leg, _ in self.phones]

    def bridge(self, record: str | None = None) -> None:
        first, second = self.legs
        self.bench.handle(control.Bridge(first, second, record))

    async def say(self, seconds: float, *payloads: bytes | None) -> None:
        for _ in range(round(seconds * 10)):
            self.clock[0] += 0.1
            sessions = [self.bench.worker._sessions[leg] for leg in self.legs]
            before = [session.reception.received for session in sessions]
            for (phone, _, port), payload in zip(self.phones, payloads, strict=True):
                if payload is not None:
                    phone.send(port, payload)
                    phone.timestamp += 640
            for session, count, payload in zip(sessions, before, payloads, strict=True):
                if payload is not None:
                    await until(lambda session=session, count=count: session.reception.received > count)  # type: ignore[misc]
            if round(self.clock[0] * 10) % 10 == 0:
                self.bench.worker.heartbeat()

    def close(self) -> list[Talk]:
        for leg in self.legs:
            self.bench.handle(control.Close(leg))
        return [closed.report.talk for closed in self.bench.of(control.Closed)]


async def test_the_report_of_each_leg_tells_who_spoke(bench: Bench, clock: list[float]) -> None:
    talkers = Talkers(bench, clock)
    await talkers.say(1, LOUD, LOUD)
    talkers.bridge()
    await talkers.say(5, LOUD, QUIET)
    await talkers.say(2, LOUD, LOUD)
    await talkers.say(3, QUIET, QUIET)
    await talkers.say(2, None, LOUD)
    caller, agent = talkers.close()
    assert caller.connected == pytest.approx(12, abs=0.3)
    assert caller.spoken == pytest.approx(7, abs=0.3)
    assert caller.heard == pytest.approx(4, abs=0.3)
    assert caller.both == pytest.approx(2, abs=0.3)
    assert caller.dead == caller.longest_dead == pytest.approx(3, abs=0.3)
    assert (agent.spoken, agent.heard) == (caller.heard, caller.spoken)


async def test_it_is_told_of_recorded_calls_too(bench: Bench, clock: list[float], tmp_path: object) -> None:
    talkers = Talkers(bench, clock)
    talkers.bridge(f"{tmp_path}/call.wav")
    await talkers.say(3, LOUD, QUIET)
    for leg in talkers.legs:
        bench.handle(control.Close(leg))
    await until(lambda: len(bench.of(control.Closed)) == 2)
    by_leg = {closed.leg: closed.report.talk for closed in bench.of(control.Closed)}
    assert by_leg[talkers.legs[0]].spoken == pytest.approx(3, abs=0.3)


async def test_each_call_on_a_leg_that_stays_has_its_own(bench: Bench, clock: list[float]) -> None:
    talkers = Talkers(bench, clock)
    talkers.bridge()
    await talkers.say(3, LOUD, QUIET)
    bench.handle(control.Measure(talkers.legs[0]))
    bench.handle(control.Unbridge(talkers.legs[0]))
    await talkers.say(2, LOUD, QUIET)
    bench.handle(control.Measure(talkers.legs[0]))
    talkers.bridge()
    await talkers.say(4, QUIET, LOUD)
    bench.handle(control.Close(talkers.legs[0]))
    first, second = (measured.report.talk for measured in bench.of(control.Measured))
    assert first.spoken == pytest.approx(2.5, abs=0.3)
    assert second is None or second.connected < 1
    (closed,) = bench.of(control.Closed)
    assert closed.report.talk.heard == pytest.approx(4, abs=0.3)


async def test_a_leg_without_company_has_no_talk(bench: Bench, clock: list[float]) -> None:
    talkers = Talkers(bench, clock)
    bench.handle(control.Echo(talkers.legs[0]))
    await talkers.say(2, LOUD, None)
    assert talkers.close() == [None, None]


async def test_who_was_silent_for_too_long_is_told(bench: Bench, clock: list[float]) -> None:
    talkers = Talkers(bench, clock)
    talkers.bridge()
    await talkers.say(61, LOUD, QUIET)
    (worse,) = bench.of(control.Worsened)
    assert (worse.leg, worse.trouble) == (talkers.legs[1], Trouble.SILENCE)
    await talkers.say(2, LOUD, LOUD)
    (better,) = bench.of(control.Bettered)
    assert (better.leg, better.trouble) == (talkers.legs[1], Trouble.SILENCE)


async def test_who_is_not_heard_while_the_other_talks_has_audio_one_way(bench: Bench, clock: list[float]) -> None:
    talkers = Talkers(bench, clock)
    talkers.bridge()
    await talkers.say(2, LOUD, LOUD)
    await talkers.say(8, LOUD, None)
    (worse,) = bench.of(control.Worsened)
    assert (worse.leg, worse.trouble) == (talkers.legs[1], Trouble.ONE_WAY_AUDIO)
    await talkers.say(2, LOUD, LOUD)
    (better,) = bench.of(control.Bettered)
    assert better.trouble is Trouble.ONE_WAY_AUDIO


async def test_who_is_not_heard_and_hears_nobody_has_no_rtp(bench: Bench, clock: list[float]) -> None:
    talkers = Talkers(bench, clock)
    talkers.bridge()
    await talkers.say(2, LOUD, LOUD)
    await talkers.say(8, None, None)
    assert [worse.trouble for worse in bench.of(control.Worsened)] == [Trouble.NO_RTP] * 2


async def test_comfort_noise_is_silence_and_not_a_lack_of_rtp(bench: Bench, clock: list[float]) -> None:
    phone = bench.phone()
    receive = {0: Format(0, "PCMU"), 13: Format(13, "CN")}
    leg, port = bench.open(stream(phone.port, receive=receive))
    session = bench.worker._sessions[leg]
    phone.send(port)
    await until(lambda: session.reception.received == 1)
    phone.send(port, b"\x46", payload_type=13)
    await until(lambda: session.reception.received == 2)
    for _ in range(20):
        clock[0] += 1
        bench.worker.heartbeat()
    assert bench.of(control.Worsened) == []
    phone.send(port)
    await until(lambda: session.reception.received == 3)
    for _ in range(7):
        clock[0] += 1
        bench.worker.heartbeat()
    (worse,) = bench.of(control.Worsened)
    assert worse.trouble is Trouble.NO_RTP


def test_the_payloads_of_these_tests() -> None:
    assert encode(bytes(320), "PCMU") == QUIET
