"""What only the built-in workers are asked: legs of different workers in one conversation, workers that come and go."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from media.api import Digit, Media
from media.builtin.supervisor import MediaSupervisor
from media.conference import listen, together, whisper
from media.settings import PROMPT_DIRECTORY
from tests.media.conftest import until, write_wav

from .conftest import Backend, Parties, Party, builtin, sine, talking

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
