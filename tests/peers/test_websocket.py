"""Web pages as phones: JsSIP under Node, over WebSockets (RFC 7118)."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import wait_until
from tests.peers.kit.browser import INSTALLED, BrowserPhone
from tests.peers.kit.secure import SecureServer

pytestmark = [
    pytest.mark.peer("node"),
    pytest.mark.skipif(not INSTALLED, reason="jssip and ws of npm are not installed: make browser-phones"),
]


def open_page(bench: Bench, secure: SecureServer, user: str, transport: str, **options: str) -> BrowserPhone:
    host, port = secure.address(transport)
    url = f"{transport}://{host}:{port}/sip"
    page = BrowserPhone(user, bench.directory, url=url, ca=secure.authority.file, **options)
    bench.keep(page)
    return page


@pytest.mark.rfc("7118-4.1", "7118-5", "5626-5.3")
@pytest.mark.parametrize(("one", "other"), [("ws", "wss"), ("wss", "ws")])
def test_two_pages_register_and_write_to_each_other(bench: Bench, one: str, other: str) -> None:
    secure = SecureServer(bench)
    alice, bob = open_page(bench, secure, "alice", one), open_page(bench, secure, "bob", other)
    for page in (alice, bob):
        page.wait_for("registered")
    metrics = secure.server.metrics()
    assert metrics["acd_sip_bindings"] == 2
    assert metrics["acd_sip_connections{transport=ws}"] == metrics["acd_sip_connections{transport=wss}"] == 1
    alice.do("message", "bob", "hello, Bob")
    alice.wait_for("message succeeded")
    assert bob.wait_for("message")["text"] == "hello, Bob"
    bob.do("message", "alice", "hello, Alice")
    assert alice.wait_for("message")["from"] == "bob"

    bob.do("leave")
    wait_until(lambda: secure.server.metrics()["acd_sip_bindings"] == 1, what="the binding goes with its connection")
    alice.do("options", "bob")
    assert alice.wait_for("options failed")["status"] == 480
    alice.do("unregister")
    alice.wait_for("unregistered")
    assert secure.server.metrics()["acd_sip_bindings"] == 0


@pytest.mark.rfc("7118-5", "3261-13.2.2.4")
def test_a_page_calls_a_number_and_hangs_up(bench: Bench) -> None:
    secure = SecureServer(bench)
    alice = open_page(bench, secure, "alice", "wss")
    alice.wait_for("registered")
    alice.do("call", "10002")
    alice.wait_for("confirmed")
    alice.do("bye")
    assert alice.wait_for("ended")["originator"] == "local"
    secure.server.wait_until_idle()


@pytest.mark.rfc("7118-6", "6455-5.5.2")
def test_keep_alives_of_a_page_are_answered(bench: Bench) -> None:
    secure = SecureServer(bench)
    alice = open_page(bench, secure, "alice", "ws")
    alice.wait_for("registered")
    alice.do("ping")
    assert alice.wait_for("pong")["data"] == "are you there"
    alice.do("crlf")
    wait_until(lambda: {"event": "wire", "start": ""} in alice.told("wire"), what="a pong of RFC 5626")
    secure.server.stop()
    assert alice.wait_for("closed")["code"] == 1001


@pytest.mark.rfc("6455-4.2.2")
def test_pages_of_other_origins_are_kept_out(bench: Bench) -> None:
    secure = SecureServer(bench, settings={"sip.websocket.origins": ["https://phone.example"]})
    stranger = open_page(bench, secure, "bob", "ws", origin="https://stranger.example")
    assert "403" in stranger.wait_for("error")["message"]
    open_page(bench, secure, "alice", "ws").wait_for("registered")
