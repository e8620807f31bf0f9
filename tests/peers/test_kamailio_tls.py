"""Kamailio as neighbour over TLS: its proxy, which shows a certificate, in front of ours, which demands one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import LOOPBACK, Kamailio, wait_until
from tests.peers.kit.secure import SecureServer

FRONT = Path(__file__).with_name("kamailio_front.cfg")
TLS = """\
enable_tls=yes
tcp_async=yes
listen=tls:{host}:{port}
loadmodule "tls.so"
modparam("tls", "config", "{file}")
"""
SETTINGS = """\
[server:default]
method = TLSv1.2+
certificate = {certificate}
private_key = {certificate}
ca_list = {ca}
[client:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
certificate = {certificate}
private_key = {certificate}
ca_list = {ca}
"""

pytestmark = [
    pytest.mark.peer("kamailio"),
    pytest.mark.peer("sipp"),
    pytest.mark.skipif(
        not any(Path("/usr/lib").glob("*/kamailio/modules/tls.so")),
        reason="Kamailio has no TLS: scripts/system-packages says how",
    ),
]


def front(bench: Bench, secure: SecureServer) -> Kamailio:
    """Run Kamailio in front of the server, known to it by a certificate."""
    file = bench.directory / "kamailio-tls.cfg"
    certificate = secure.authority.issue("front.example", LOOPBACK)
    file.write_text(SETTINGS.format(certificate=certificate, ca=secure.authority.file))
    changes = {
        'loadmodule "tm.so"': TLS.format(host=LOOPBACK, port=bench.port(), file=file) + 'loadmodule "tm.so"',
        "NEXT": "{}:{};transport=tls".format(*secure.address("tls")),
    }
    program = Kamailio(FRONT, bench.directory, bench.port(), changes)
    bench.keep(program)
    return program.wait_until_ready()


@pytest.mark.rfc("3261-26.3.2.2", "5658-3.3", "5922-7")
def test_its_proxy_reaches_ours_by_tls_and_calls_come_back_by_it(bench: Bench) -> None:
    secure = SecureServer(bench, client_certificates="required", settings={"trunks.front.sources": [LOOPBACK]})
    theirs = front(bench, secure)
    ports = {user: bench.port() for user in ("alice", "bob")}
    for user, port in ports.items():
        digest = ["-au", user, "-ap", "demo", "-auth_uri", "ims.example"]
        bench.sipp("register", remote=theirs.address, port=port, keys={"caller": user}, options=digest).succeed()
    wait_until(lambda: secure.server.metrics()["acd_sip_bindings"] == 2, what="bindings")
    assert secure.server.metrics()["acd_sip_connections{transport=tls}"] >= 1
    bob = bench.sipp("agent", port=ports["bob"], keys={"caller": "bob"}, options=["-trace_msg"])
    keys = {"caller": "alice"}
    alice = bench.sipp("call", remote=theirs.address, port=ports["alice"], number="bob", keys=keys, pause=0.2)
    alice.succeed()
    bob.succeed()
    (invite,) = bob.heard("INVITE ")
    vias = [line.split()[1] for line in invite.splitlines() if line.startswith("Via:")]
    assert "SIP/2.0/TLS" in vias, invite
    assert invite.count("transport=tls") >= 1, "Record-Route says TLS where it was"
    secure.server.wait_until_idle()
