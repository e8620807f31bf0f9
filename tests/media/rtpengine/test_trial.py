"""What an rtpengine is tried with before calls come."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from media.api import MediaError
from media.rtpengine.ng import Refused
from media.rtpengine.spool import Spool
from media.rtpengine.trial import Trial
from media.settings import PROMPT_DIRECTORY


class Blind:
    """An rtpengine that cannot read what lies in the spool."""

    local_host = "127.0.0.1"

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self.commands: list[str] = []

    async def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        self.commands.append(command)
        if command == "play media" and Path(arguments["file"]).parent == self.spool:
            raise Refused("Failed to open media file for playback")
        return {
            "sdp": "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
        }


async def test_what_cannot_read_prompts_that_are_put_together_is_not_used(tmp_path: Path) -> None:
    blind: Any = Blind(tmp_path)
    trial = Trial(blind, "trial", Spool((PROMPT_DIRECTORY,), "", str(tmp_path)))
    trial.heard.set()
    async with asyncio.timeout(10):
        with pytest.raises(MediaError, match="must be able to read"):
            await trial.run()
    assert blind.commands[-1] == "delete"
