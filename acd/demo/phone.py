"""`python -m acd.demo.phone`: a phone of ours as a process of its own, for hosts without baresip.

It is controlled as baresip is (``acd.demo.netstring``), with the commands dial, accept, hangup, sndcode and quit, and
registers as soon as somebody controls it. The password comes by the environment, so that no list of processes shows
it. It ends with ``quit`` or when its controller goes away.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from acd.demo import netstring
from acd.demo.softphone import Account, SoftPhone, Told
from acd.demo.talker import Talker
from ims_core.flow import Address, format_address
from ims_core.ids import Ids
from ims_core.transactions.endpoint import Endpoint
from media.codecs.g711 import PCMA, PCMU
from media.playing.prompts import FRAME_MS, Prompt
from media.playing.sound import read_sound

HOST = "127.0.0.1"
PASSWORD = "IMS_ACD_PHONE_PASSWORD"  # noqa: S105 - the name of a variable


class _Socket(asyncio.DatagramProtocol):
    """Hands datagrams to the phone; what comes before there is one, and RTP, is heard by nobody."""

    def __init__(self) -> None:
        self.phone: PhoneProcess | None = None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.phone is not None and len(data) > 4:
            self.phone.soft.receive(data, (addr[0], addr[1]))
            self.phone.flush()


class PhoneProcess:
    """A phone on its sockets; made by ``open``."""

    def __init__(self, account: Account, voice: Path, sip: asyncio.DatagramTransport, rtp: asyncio.DatagramTransport):
        self._loop = asyncio.get_running_loop()
        self._sip = sip
        self._rtp = rtp
        self._timer: asyncio.TimerHandle | None = None
        self._controller: asyncio.StreamWriter | None = None
        self._quit = asyncio.Event()
        randomness = random.Random(secrets.randbits(128))
        sound = Prompt(*read_sound(voice))
        self._talker = Talker({law: sound.companded(law) for law in (PCMU, PCMA)}, randomness.getrandbits(32))
        local: Address = sip.get_extra_info("sockname")[:2]
        sent_by = {("UDP", local): format_address(local)}
        endpoint = Endpoint(clock=self._loop.time, ids=Ids(randomness.getrandbits), sent_by=sent_by)
        rtp_address: Address = rtp.get_extra_info("sockname")[:2]
        self.soft = SoftPhone(account, endpoint, local=local, advertised=sent_by, rtp=rtp_address, tell=self._tell)

    @classmethod
    async def open(cls, account: Account, voice: Path) -> PhoneProcess:
        """Open the sockets on loopback."""
        loop = asyncio.get_running_loop()
        sip, protocol = await loop.create_datagram_endpoint(_Socket, (HOST, 0))
        rtp, _ = await loop.create_datagram_endpoint(_Socket, (HOST, 0))
        protocol.phone = cls(account, voice, sip, rtp)
        return protocol.phone

    async def serve(self, control_port: int) -> None:
        """Do as the controller says until it has enough."""
        server = await asyncio.start_server(self._obey, HOST, control_port)
        talking = asyncio.create_task(self._talk())
        try:
            await self._quit.wait()
            self.soft.hang_up()
            self.soft.register(expires=0)
            self.flush()
            await asyncio.sleep(0.3)  # for the challenge of the last REGISTER and its answer
        finally:
            talking.cancel()
            server.close()

    def flush(self) -> None:
        """Send what there is to send, and set the timer."""
        endpoint = self.soft.endpoint
        for flow, data in endpoint.data_to_send():
            self._sip.sendto(data, flow.remote)
        deadline = endpoint.next_deadline()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self.soft.handle_timer()
        self.flush()

    async def _obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._controller = writer
        self.soft.register()
        self.flush()
        try:
            while True:
                message = await netstring.read(reader)
                known = self._command(str(message.get("command")), str(message.get("params") or ""))
                self.flush()
                writer.write(netstring.encode({"response": True, "ok": known, "token": message.get("token")}))
        except (OSError, EOFError, asyncio.LimitOverrunError, netstring.ControlError):
            self._quit.set()
        finally:
            self._controller = None
            writer.close()

    def _command(self, command: str, parameter: str) -> bool:
        match command:
            case "dial":
                self._talker.restart()
                self.soft.dial(parameter)
            case "accept":
                self._talker.restart()
                self.soft.accept()
            case "hangup":
                self.soft.hang_up()
            case "sndcode":
                self._talker.press(parameter)
            case "quit":
                self._quit.set()
            case _:
                return False
        return True

    def _tell(self, told: Told) -> None:
        if self._controller is not None:
            event = {"event": True, "type": told.type, "peeruri": told.peer, "param": told.param}
            self._controller.write(netstring.encode(event))

    async def _talk(self) -> None:
        """Send a packet every 20 ms while a call is up; a late one is followed at once by the next."""
        due = self._loop.time()
        while True:
            due += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            stream = self.soft.stream
            if stream is not None and stream.host is not None and stream.sends:
                self._rtp.sendto(self._talker.packet(stream), (stream.host, stream.port))


def main(argv: Sequence[str] | None = None) -> int:
    """Run a phone until its controller has enough."""
    parser = argparse.ArgumentParser(prog="python -m acd.demo.phone", description="A phone for the demonstration.")
    parser.add_argument("--user", required=True)
    parser.add_argument("--domain", required=True)
    parser.add_argument("--server", required=True, metavar="HOST:PORT", help="where SIP is sent by UDP")
    parser.add_argument("--control", required=True, type=int, metavar="PORT", help="where it is controlled by TCP")
    parser.add_argument("--voice", required=True, type=Path, metavar="FILE", help="what it says: 8 kHz mono WAV")
    given = parser.parse_args(argv)
    host, _, port = given.server.rpartition(":")
    account = Account(given.user, given.domain, os.environ.get(PASSWORD, ""), (host.strip("[]"), int(port)))
    asyncio.run(_run(account, given.voice, given.control))
    return 0


async def _run(account: Account, voice: Path, control_port: int) -> None:
    await (await PhoneProcess.open(account, voice)).serve(control_port)


if __name__ == "__main__":
    sys.exit(main())
