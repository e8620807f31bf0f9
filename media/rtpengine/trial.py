"""A call with ourselves, which shows before any other that an rtpengine does what is expected of it."""

from __future__ import annotations

import asyncio
from typing import Final

from media.api import MediaError
from media.codecs.names import EVENTS, PCMU
from media.rtp.packet import HEADER, MARKER, PLAIN
from media.rtp.stream import Format, Stream
from media.rtpengine.description import LINK, PEER, describe, place_in
from media.rtpengine.ng import NgClient, Refused
from media.rtpengine.spool import Spool

SILENCE: Final = ("tones/silence",) * 2  # which are put together, so that files of ours are tried as well
ATTEMPTS: Final = 5
HEAR_SECONDS: Final = 0.3
_STREAM: Final = Stream(None, 0, Format(0, PCMU), {}, Format(101, EVENTS))
_EVENT_MS: Final = 400
_END: Final = 0x80


class Trial:
    """One trial; `heard` is to be set when rtpengine tells of a digit in the call `call_id`."""

    def __init__(self, client: NgClient, call_id: str, spool: Spool) -> None:
        self.call_id = call_id
        self.heard = asyncio.Event()
        self._client = client
        self._spool = spool

    async def run(self) -> str:
        """Return the address that rtpengine receives RTP at.

        Raises MediaError, one sentence, for one that does not answer, cannot play our prompts or tells of no digits.
        """
        loop = asyncio.get_running_loop()
        host = self._client.local_host
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=(host, 0))
        try:
            return await self._call(transport, *transport.get_extra_info("sockname")[:2])
        finally:
            transport.close()

    async def _call(self, transport: asyncio.DatagramTransport, host: str, port: int) -> str:
        ask, call_id = self._client.ask, self.call_id
        await ask("ping")
        stream = Stream(host, port, _STREAM.send, {}, _STREAM.send_events)
        told = describe(stream, host, None, None)
        await ask("offer", call_id=call_id, from_tag=PEER, to_tag=LINK, sdp=told.peer)
        answer = await ask("answer", call_id=call_id, from_tag=PEER, to_tag=LINK, sdp=told.link)
        try:
            place = place_in(str(answer.get("sdp", "")))
            await self._play()
            for attempt in range(ATTEMPTS):
                _press(transport, place, attempt)
                try:
                    async with asyncio.timeout(HEAR_SECONDS):
                        await self.heard.wait()
                except TimeoutError:
                    continue
                return place.host
            raise MediaError("rtpengine tells us of no digits: its dtmf-log-dest must be the address of media.digits.")
        finally:
            await ask("delete", call_id=call_id, from_tag=PEER, delete_delay=0)

    async def _play(self) -> None:
        sound, mistakes = await asyncio.to_thread(self._spool.sound, SILENCE)
        if sound is None:
            raise MediaError(mistakes[0] if mistakes else "The prompt of silence is empty.")
        try:
            await self._client.ask("play media", call_id=self.call_id, from_tag=PEER, file=sound.path)
        except Refused as error:
            raise MediaError(f"rtpengine cannot play {sound.path}, which it must be able to read: {error}") from None


def _press(transport: asyncio.DatagramTransport, place: tuple[str, int], number: int) -> None:
    """Press a key: its first packet, and its last."""
    payload, timestamp = 101, number * 8000
    for sequence, end in ((0, 0), (1, _END)):
        marker = 0 if end else MARKER
        header = HEADER.pack(PLAIN, payload | marker, number * 2 + sequence, timestamp, 1)
        transport.sendto(header + bytes((0, end | 10)) + _EVENT_MS.to_bytes(2, "big"), place)
