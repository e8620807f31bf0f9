"""An rtpengine that is drained, used again and drained anew, without its process."""

import asyncio
from typing import Any

from media.rtpengine.backend import RtpengineMedia
from media.rtpengine.report import Tally
from media.rtpengine.settings import Node, RtpengineSettings

ONE, OTHER = Node(host="127.0.0.1", port=1), Node(host="127.0.0.1", port=2)


async def test_what_it_counted_is_counted_once(tmp_path: Any) -> None:
    media = RtpengineMedia(RtpengineSettings(nodes=(ONE, OTHER), digits=("127.0.0.1", 0), spool=str(tmp_path)))
    node: Any = media._nodes[ONE.name]
    node.legs["a"] = leg = type("Leg", (), {"call_id": "a", "tally": Tally(received=5)})()
    media.drain(ONE.name)
    await asyncio.sleep(0)
    media.add(ONE)
    media.drain(ONE.name)
    await asyncio.sleep(0)
    node.forget(leg)
    await asyncio.gather(*media._leaving)
    assert [member.name for member in media.members()] == [OTHER.name]
    assert media.counters().packets_received == 5
