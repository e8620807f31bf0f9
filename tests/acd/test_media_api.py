"""The media workers by HTTP, with real ones: shown, added, drained; and rtpengines, which need not be there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
from openapi_spec_validator import validate

from acd.config import loads
from acd.http import create_app
from acd.mediaapi import media_routes
from acd.mediaside import Backend, Follower
from acd.metrics import Metrics, Readings
from media.builtin.supervisor import MediaSupervisor
from media.rtpengine.backend import RtpengineMedia
from media.rtpengine.settings import Node, RtpengineSettings
from media.settings import MediaSettings
from tests.acd.test_http import FakeFloor
from tests.media.conftest import until

WORKERS = "/api/v1/media/workers"


def client_of(media: Backend) -> httpx.AsyncClient:
    app = create_app(FakeFloor(), Metrics({}, Readings), None, media_routes(media))
    return httpx.AsyncClient(transport=httpx.ASGITransport(cast("Any", app)), base_url="http://acd")


@pytest.fixture
async def workers(ports: Any) -> AsyncIterator[MediaSupervisor]:
    first = ports.block(8)
    media = MediaSupervisor(MediaSettings(port_min=first + first % 2, port_max=first + 6, prompt_directories=()))
    await media.start()
    yield media
    await media.stop()


@pytest.fixture
async def rtpengines(ports: Any, tmp_path: Any) -> AsyncIterator[RtpengineMedia]:
    """One that is not there."""
    digits, port = ports.block(1), ports.block(1)
    media = RtpengineMedia(
        RtpengineSettings(nodes=(Node(host="127.0.0.1", port=port),), digits=("127.0.0.1", digits), spool=str(tmp_path))
    )
    yield media
    await media.stop()


async def test_a_worker_is_added_and_another_drained(workers: MediaSupervisor) -> None:
    async with client_of(workers) as client:
        (shown,) = (await client.get(WORKERS)).json()["items"]
        assert shown == {
            "backend": "builtin", "name": "0", "state": "serving", "legs": 0, "weight": 1, "restarts": 0, "reason": "",
        }  # fmt: skip
        refused = await client.delete(f"{WORKERS}/0")
        assert (refused.status_code, refused.json()["detail"]) == (409, "It is the only worker that is not draining.")
        added = await client.post(WORKERS)
        assert (added.status_code, added.json()["name"], added.json()["state"]) == (201, "1", "starting")
        await until(lambda: workers.members()[-1].state == "serving", "the second worker")
        drained = await client.delete(f"{WORKERS}/0")
        assert (drained.status_code, drained.json()["state"]) == (202, "draining")
        await until(lambda: [member.name for member in workers.members()] == ["1"], "the end of the first")


async def test_what_cannot_be_had_is_refused(workers: MediaSupervisor) -> None:
    async with client_of(workers) as client:
        answers = [
            await client.delete(f"{WORKERS}/7"),
            await client.post(WORKERS, json={"address": "127.0.0.1:2223"}),
            await client.post(WORKERS, json={"adress": "127.0.0.1:2223"}),
        ]
        assert [answer.status_code for answer in answers] == [404, 400, 400]


async def test_another_rtpengine_is_used_and_drained(rtpengines: RtpengineMedia) -> None:
    (first,) = rtpengines.members()
    async with client_of(rtpengines) as client:
        for words in ({}, {"address": "rtpengine"}, {"address": "127.0.0.1:2223", "weight": 0}):
            assert (await client.post(WORKERS, json=words)).status_code == 400
        added = await client.post(WORKERS, json={"address": "127.0.0.1:2223", "weight": 5})
        assert (added.json()["name"], added.json()["weight"]) == ("127.0.0.1:2223", 5)
        assert (await client.delete(f"{WORKERS}/{first.name}")).status_code == 202
        await until(lambda: [member.weight for member in rtpengines.members()] == [5], "the end of the first")


async def test_a_reload_is_followed_where_it_names_others(workers: MediaSupervisor) -> None:
    def config(count: int) -> Any:
        return loads(f'[server]\ndomain = "ims.example"\n[media]\nworkers = {count}\n')

    follower = Follower(workers, config(1))
    workers.add()
    follower(config(1))
    assert len(workers.members()) == 2  # as the API left it
    await until(lambda: all(member.state == "serving" for member in workers.members()))
    follower(config(3))
    assert len(workers.members()) == 3
    follower(config(9))  # there are not so many ports
    assert len(workers.members()) == 3


async def test_the_routes_are_valid_openapi(workers: MediaSupervisor) -> None:
    async with client_of(workers) as client:
        validate((await client.get("/schema/openapi.json")).json())
