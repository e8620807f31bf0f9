"""The example of call forwarding as an application server of our IMS core, whose roles are hops of their own."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import LOOPBACK, WAYS, Server, Way
from tests.peers.test_examples import run

pytestmark = pytest.mark.peer("sipp")

DOMAIN = "ims.mnc001.mcc001.3gppnetwork.org"
BY_UDP = [way for way in WAYS if not way.tcp]  # a phone is known by its connection, which ends with each SIPp
USERS = ("ann", "bob", "eve")
SUBSCRIBER = """
[[subscribers]]
private = "{user}@{domain}"
public = ["sip:{user}@{domain}"]
password = "demo"
profile = "forwarded"
"""
PROFILE = """
[[profiles.forwarded.criteria]]
priority = 1
server = "sip:{host}:{port}"
all = [{{ method = "INVITE" }}, [{{ case = "terminating" }}, {{ case = "terminating_unregistered" }}]]
"""


def serve(bench: Bench, forwarding: int) -> tuple[Server, int]:
    """Start the core with three soft phones whose calls pass the example; returns the port of the P-CSCF as well."""
    pcscf, scscf = bench.port(), bench.port()
    tables = "".join(SUBSCRIBER.format(user=user, domain=DOMAIN) for user in USERS)
    settings = {
        "ims.pcscf.listen": [f"{way.name[:3]}:{way.written}:{pcscf}" for way in WAYS],
        "ims.scscf.listen": [f"udp:{LOOPBACK}:{scscf}", f"tcp:{LOOPBACK}:{scscf}"],
    }
    changes = {"[http]": f"{tables}{PROFILE.format(host=LOOPBACK, port=forwarding)}[http]"}
    return bench.serve("ims.toml", changes=changes, settings=settings), pcscf


@pytest.mark.rfc("TS24.229-5.4.3.3", "TS24.229-5.7.3", "TS23.218-6.5", "7044-10.3")
@pytest.mark.parametrize("way", BY_UDP, ids=[way.name for way in BY_UDP])
def test_a_call_to_one_subscriber_reaches_another(bench: Bench, way: Way) -> None:
    example, (_, forwarding) = run(bench, "call_forwarding", "bob", f"sip:eve@{DOMAIN}")
    server, pcscf = serve(bench, forwarding)
    keys = {user: {"caller": user, "domain": DOMAIN} for user in USERS}
    ports = {}
    for user in USERS:
        phone = bench.sipp(
            "register_home",
            remote=(way.host, pcscf),
            way=way,
            keys=keys[user],
            options=["-au", f"{user}@{DOMAIN}", "-ap", "demo", "-auth_uri", DOMAIN],
        )
        phone.succeed()
        ports[user] = phone.port
    eve = bench.sipp("agent_history", way=way, port=ports["eve"], keys=keys["eve"])
    way.wait_for_listener(eve.port)
    ann = bench.sipp(
        "call_by_name", remote=(way.host, pcscf), way=way, port=ports["ann"], number="bob", keys=keys["ann"]
    )
    for phone in (ann, eve):
        phone.succeed()
    called = f"<sip:bob@{DOMAIN}>"
    assert eve.said("diversion") == [f"{called};reason=unconditional;counter=1"]
    assert eve.said("history") == [f"{called};index=1, <sip:eve@{DOMAIN}>;index=1.1;mp=1"]
    assert "Traceback" not in example.output
    assert not server.logged("call.failed")
    server.stop()
