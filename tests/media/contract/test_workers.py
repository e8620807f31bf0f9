"""What only the built-in workers are asked: legs of different workers in one conversation, workers that come and go."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from media.api import Digit, Media, MediaError
from media.builtin.supervisor import MediaSupervisor
from media.conference import listen, together, whisper
from media.settings import PROMPT_DIRECTORY
from tests.media.conftest import until, write_wav

from .conftest import Backend, Parties, Party, builtin, eventually, sine, talking

HIGH, LOW, MIDDLE = 1500, 500, 1000


@pytest.fixture
async def backend(ports: Any, tmp_path: Path) -> AsyncIterator[Backend]:
    write_wav(tmp_path / "prompts" / "long.wav", list(sine(1000, 10_000)))
    async for each in builtin(ports, (str(tmp_path / "prompts"), PROMPT_DIRECTORY), tmp_path):
        yield each


@pytest.fixture
def workers(media: Media) -> MediaSupervisor:
    assert isinstance(media, MediaSupervisor)
    return media


async def apart(party: Parties, *codecs: str) -> list[Party]:
    """Parties of which each is in another worker than the one before: legs go where the fewest are."""
    return [await party(codec) for codec in codecs]


async def test_three_of_two_workers_hear_each_other(workers: MediaSupervisor, party: Parties) -> None:
    one, other, third = parties = await apart(party, "PCMU", "PCMA", "PCMU")
    assert len({workers.pid_of(each.leg) for each in parties}) == 2  # type: ignore[arg-type]
    workers.connect(together(*(each.leg for each in parties)))
    speech = (one, LOW), (other, HIGH), (third, MIDDLE)
    await talking(lambda: all(each.phone.says(LOW, HIGH) for each in (third,)), *speech)
    await talking(lambda: one.phone.says(HIGH, MIDDLE) and other.phone.says(LOW, MIDDLE), *speech)


async def test_a_supervisor_of_another_worker_listens_and_whispers(workers: MediaSupervisor, party: Parties) -> None:
    caller, supervisor = await apart(party, "PCMU", "PCMU")
    agent = await party(answers=True, like=caller)
    speech = (caller, LOW), (agent, HIGH), (supervisor, MIDDLE)
    workers.connect(listen(caller.leg, agent.leg, supervisor.leg))
    await talking(lambda: supervisor.phone.says(LOW, HIGH) and caller.phone.hears(HIGH), *speech)
    await talking(lambda: agent.phone.hears(LOW), *speech)
    workers.connect(whisper(caller.leg, agent.leg, supervisor.leg))
    await talking(lambda: agent.phone.says(LOW, MIDDLE) and caller.phone.hears(HIGH), *speech)


async def test_keys_are_told_once_across_workers(party: Parties) -> None:
    one, other = await apart(party, "PCMU", "PCMU")
    one.leg.bridge(other.leg)
    await talking(lambda: other.phone.hears(LOW), (one, LOW), (other, HIGH))
    one.press(7)
    await until(lambda: [header for header in other.phone.headers() if header[1] & 0x7F == 101], "the event")
    await until(lambda: one.events)
    assert (one.events, other.events) == ([Digit("7")], [])


async def test_what_joins_workers_is_counted_as_no_leg_and_leaves_nothing(
    workers: MediaSupervisor, party: Parties
) -> None:
    one, other = await apart(party, "PCMU", "PCMU")
    one.leg.bridge(other.leg)
    await talking(lambda: other.phone.hears(LOW), (one, LOW), (other, HIGH))
    await until(lambda: workers.counters().ports_in_use == 4, "the cord")
    assert workers.counters().legs == 2
    other.leg.unbridge()
    await until(lambda: workers.counters().ports_in_use == 2, "the end of the cord")
    await one.leg.close()
    await other.leg.close()
    await until(lambda: workers.counters().ports_in_use == 0, "the end of the legs")


async def test_the_end_of_one_worker_takes_the_cord_away(
    backend: Backend, workers: MediaSupervisor, party: Parties
) -> None:
    one, other = await apart(party, "PCMU", "PCMU")
    one.leg.bridge(other.leg)
    await talking(lambda: other.phone.hears(LOW), (one, LOW), (other, HIGH))
    backend.lose(one.leg)
    await until(lambda: one.events, "the loss")
    await until(lambda: workers.counters().ports_in_use == 1, "the end of the cord")
    other.leg.play(["long"])
    await until(lambda: other.phone.hears(MIDDLE), "a prompt")


async def test_a_worker_is_added_while_calls_go_on(workers: MediaSupervisor, party: Parties) -> None:
    one, other = await apart(party, "PCMU", "PCMU")
    one.leg.bridge(other.leg)
    await talking(lambda: other.phone.hears(LOW), (one, LOW), (other, HIGH))
    added = workers.add()
    assert (added.name, added.state, added.legs) == ("2", "starting", 0)
    speech = (one, LOW), (other, HIGH)
    await eventually(lambda: workers.members()[-1].state == "serving", "the third worker")
    third = await party()
    assert workers.members()[-1].legs == 1
    assert len({workers.pid_of(each.leg) for each in (one, other, third)}) == 3  # type: ignore[arg-type]
    third.leg.play(["long"])
    await talking(lambda: third.phone.hears(MIDDLE) and other.phone.hears(LOW), *speech)
    await until(lambda: workers.counters().ports_total == 40, "the heartbeats")


async def test_a_worker_is_drained_while_calls_go_on(workers: MediaSupervisor, party: Parties) -> None:
    one, _ = await apart(party, "PCMU", "PCMU")
    first, second = workers.members()
    assert (first.legs, second.legs) == (1, 1)
    assert workers.drain(first.name).state == "draining"
    with pytest.raises(MediaError, match="only worker"):
        workers.drain(second.name)
    third = await party(like=one)
    assert [member.legs for member in workers.members()] == [1, 2]
    one.leg.bridge(third.leg)
    await talking(lambda: third.phone.hears(LOW) and one.phone.hears(HIGH), (one, LOW), (third, HIGH))
    received = (await one.leg.close()).packets_received
    assert received > 0
    await eventually(lambda: [member.name for member in workers.members()] == [second.name], "the end of the first")
    assert not third.events
    await until(lambda: workers.counters().ports_total == 40, "its ports with the other")
    assert workers.counters().packets_received >= received
    assert workers.counters().workers == 1


async def test_there_are_as_many_workers_as_are_asked_for(workers: MediaSupervisor, party: Parties) -> None:
    one = await party()
    busy = next(member.name for member in workers.members() if member.legs)
    workers.follow(1)
    await eventually(lambda: [member.name for member in workers.members()] == [busy], "the end of the idle one")
    workers.follow(3)
    await eventually(lambda: [member.state for member in workers.members()] == ["serving"] * 3, "three workers")
    one.leg.play(["long"])
    await until(lambda: one.phone.hears(MIDDLE), "a prompt")
    await until(lambda: workers.counters().ports_total == 40, "the heartbeats")


async def test_a_worker_that_drains_may_be_used_again(workers: MediaSupervisor, party: Parties) -> None:
    one = await party()
    (name,) = (member.name for member in workers.members() if member.legs)
    workers.drain(name)
    assert workers.add().name == name
    await one.leg.close()
    again = [await party(), await party()]
    assert [member.legs for member in workers.members()] == [1, 1]
    assert all(not each.events for each in again)
