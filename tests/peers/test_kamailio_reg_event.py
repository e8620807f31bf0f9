"""A P-CSCF of Kamailio watches the registrations of its handsets at ours, and believes what it is told."""

from __future__ import annotations

import asyncio
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ims_core.host import Host
from ims_core.messages.message import Response
from ims_core.messages.parser import parse_message
from ims_core.registrar.location import Removal
from ims_core.security.digest import answer_challenge
from tests.kit import DOMAIN, PASSWORD, Network
from tests.kit.home import ALICE, Home
from tests.peers.conftest import Bench
from tests.peers.kit import LOOPBACK, Kamailio
from tests.peers.kit.elements import until

if TYPE_CHECKING:
    from ims_core.flow import Address
    from ims_core.node import Node
    from ims_core.transactions.endpoint import Endpoint

WATCHER = Path(__file__).with_name("kamailio_reg_watcher.cfg")
TABLES = Path("/usr/share/kamailio/dbtext/kamailio")
MODULES = ("ims_registrar_pcscf.so", "pua.so", "db_text.so")

pytestmark = [
    pytest.mark.peer("kamailio"),
    pytest.mark.skipif(
        not all(any(Path("/usr/lib").glob(f"*/kamailio/modules/{name}")) for name in MODULES),
        reason="kamailio-ims-modules and kamailio-presence-modules are not installed: scripts/system-packages says how",
    ),
]


class Running(Host):
    """A home network on real sockets, which tells watchers of every change at once."""

    def _core(self, endpoint: Endpoint, advertised: dict[tuple[str, Address], str], secret: bytes) -> Node:
        self.home = Home(Network(), listeners=advertised, clock=endpoint.clock)
        self.home.notifier._packages["reg"].least_interval = 0.0
        return self.home.node


class Handset:
    """Alice's, at ``port``, with ``first_hop`` as its P-CSCF."""

    def __init__(self, port: int, first_hop: Address) -> None:
        self._port = port
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, port))
        self._socket.connect(first_hop)
        self._socket.setblocking(False)
        self._sent = 0

    def close(self) -> None:
        self._socket.close()

    async def register(self) -> Response:
        path = "Supported: path", "Expires: 600"
        challenge = (await self.ask("REGISTER", f"sip:{DOMAIN}", *path)).require("WWW-Authenticate")
        answer = answer_challenge(
            challenge, "REGISTER", f"sip:{DOMAIN}", f"alice@{DOMAIN}", PASSWORD, cnonce=f"c{self._sent}"
        )
        return await self.ask("REGISTER", f"sip:{DOMAIN}", *path, f"Authorization: {answer}")

    async def ask(self, method: str, uri: str, *headers: str) -> Response:
        """Send a request and return its final response."""
        self._sent += 1
        lines = (
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {LOOPBACK}:{self._port};branch=z9hG4bKh{self._sent}",
            "Max-Forwards: 70",
            f"From: <{ALICE}>;tag=1",
            f"To: <{ALICE}>",
            f"Call-ID: handset-{self._port}",
            f"CSeq: {self._sent} {method}",
            f"Contact: <sip:alice@{LOOPBACK}:{self._port}>",
            *headers,
            "Content-Length: 0",
        )
        self._socket.send("\r\n".join((*lines, "", "")).encode())
        while True:
            message = parse_message(await asyncio.get_running_loop().sock_recv(self._socket, 65536))
            if isinstance(message, Response) and message.status >= 200 and message.cseq.number == self._sent:
                return message


@pytest.mark.rfc("TS24.229-5.2.3", "TS24.229-5.2.5.2", "TS24.229-5.4.1.5", "TS24.229-5.4.2.1.2", "3680-5.1")
async def test_kamailio_forgets_a_handset_that_the_network_has_taken_off(bench: Bench) -> None:
    port = bench.port()
    tables = bench.directory / "tables"
    tables.mkdir()
    for name in ("pua", "version"):
        shutil.copy(TABLES / name, tables)
    changes = {"NEXT": f"{LOOPBACK}:{port}", "TABLES": str(tables)}
    kamailio = Kamailio(WATCHER, bench.directory, bench.port(), changes)
    bench.keep(kamailio)
    await asyncio.to_thread(kamailio.wait_until_ready)
    handset = Handset(bench.port(), kamailio.address)
    async with asyncio.timeout(30.0), Running(f"udp:{LOOPBACK}:{port}", f"tcp:{LOOPBACK}:{port}") as host:
        home = host.home

        def has_been_told() -> bool:
            watching = home.notifier.subscriptions("reg", ALICE)
            return bool(watching) and all(subscription._under_way is None for subscription in watching)

        for reason in (Removal.DEACTIVATED, Removal.EXPIRED):  # Kamailio 5.6 does not know "rejected"
            assert (await handset.register()).status == 200
            await until(has_been_told, "Kamailio watches and has been told")
            (subscription,) = home.notifier.subscriptions("reg", ALICE)
            assert subscription.terms.subscriber == f"sip:{LOOPBACK} for {ALICE}", "as itself, whose URI is in the Path"
            assert (await handset.ask("OPTIONS", ALICE)).status == 200
            home.deregister(ALICE, reason)
            host.stack.flush()
            await until(lambda: not len(home.notifier), "Kamailio has been told of the end")
            assert (await handset.ask("OPTIONS", ALICE)).status == 403
    handset.close()
