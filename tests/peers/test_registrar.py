"""Flows, paths and restarts, with SIPp as the phones."""

from __future__ import annotations

import signal
import socket
import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest

from ims_core.transport.stun import binding_response
from tests.peers.conftest import Bench
from tests.peers.kit import WAYS, Server, Sipp, wait_until

pytestmark = pytest.mark.peer("sipp")

NOTHING = "X-Nothing: 1"
INSTANCE = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'
FAMILIES = [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")]


def serve(bench: Bench, **settings: object) -> Server:
    """Start the server on IPv4 and IPv6."""
    port = bench.port()
    listen = [f"{transport}:{host}:{port}" for transport in ("udp", "tcp") for _, host in FAMILIES]
    return bench.serve(sip_port=port, settings={"sip.listen": listen, **settings})


def register(
    bench: Bench, server: Server, contact: str, *, user: str = "bob", vias: str = NOTHING, more: str = NOTHING,
    host: str = "127.0.0.1", **options: Any,
) -> Sipp:  # fmt: skip
    """Register a user with any contact and see that it succeeds."""
    shown = f"[{host}]" if ":" in host else host
    phone = bench.sipp(
        "register_contact",
        remote=(host, server.sip[1]),
        keys={"caller": user, "contact": contact, "vias": vias, "more": more},
        options=["-i", host, "-au", user, "-ap", "demo", "-auth_uri", f"{shown}:{server.sip[1]}"],
        **options,
    )
    phone.succeed()
    return phone


def stored(server: Server) -> int:
    """How many bindings are on disk."""
    with closing(sqlite3.connect(server.storage / "bindings.sqlite")) as database:
        try:
            return int(database.execute("SELECT count(*) FROM bindings").fetchone()[0])
        except sqlite3.OperationalError:  # not made yet
            return 0


@pytest.mark.rfc("5626-6")
@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"], ids=["ipv4", "ipv6"])
def test_a_flow_is_registered_and_replaced(bench: Bench, tcp: bool, host: str) -> None:
    server = serve(bench)
    for contact in ("<sip:bob@192.0.2.1;ob>", "<sip:bob@192.0.2.2;ob>"):
        phone = register(bench, server, f"{contact};{INSTANCE};reg-id=1", host=host, tcp=tcp)
        (bound,) = phone.said("bound")
        assert bound.startswith(f"{contact};expires=3600;")
        assert bound.endswith(f"{INSTANCE};reg-id=1")
        assert (phone.said("required"), phone.said("timer")) == (["outbound"], ["120"])
    wait_until(lambda: server.metrics()["acd_sip_bindings"] == (0 if tcp else 1), what="the binding")
    assert server.metrics()["acd_sip_authentications_total{outcome=accepted}"] == 2


@pytest.mark.rfc("3327-5.3", "5626-6", "3608-6.3")
def test_from_behind_an_edge_path_and_service_route_are_told(bench: Bench) -> None:
    server = serve(bench, **{"registrar.service_route": ["sip:proxy.ims.example;transport=tcp"]})
    phone = register(
        bench,
        server,
        f"<sip:bob@192.0.2.1;ob>;{INSTANCE};reg-id=1",
        vias="Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKphone",
        more="Path: <sip:edge@192.0.2.9;lr;ob>",
    )
    assert phone.said("path") == ["<sip:edge@192.0.2.9;lr;ob>"]
    assert phone.said("route") == ["<sip:proxy.ims.example;transport=tcp;lr>"]
    assert (phone.said("required"), phone.said("timer")) == (["outbound"], [""])


@pytest.mark.rfc("3327-5.3")
def test_a_call_takes_the_path_that_was_registered(bench: Bench) -> None:
    server = serve(bench)
    edge = bench.sipp("agent", keys={"caller": "bob"})
    path = f"<sip:edge@127.0.0.1:{edge.port};lr>"
    register(
        bench, server, "<sip:bob@192.0.2.1>", vias="Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", more=f"Path: {path}"
    )
    bench.visit(server, "alice", number="bob", pause=0.3).succeed()
    edge.succeed()
    assert edge.received("INVITE sip:bob@192.0.2.1 ") == 1


def test_after_a_crash_phones_are_reached_without_registering_again(bench: Bench) -> None:
    server = serve(bench)
    port = bench.port()
    users = [f"caller{number}" for number in range(1, len(WAYS) + 1)]
    for way, user in zip(WAYS, users, strict=True):
        from_port = 0 if way.tcp else port  # over TCP the phone listens at another port
        register(bench, server, f"<{way.uri(user, port)}>", user=user, host=way.host, tcp=way.tcp, port=from_port)
    registered = time.monotonic()
    wait_until(lambda: stored(server) == len(users), what="the bindings on disk")
    assert time.monotonic() - registered < 5, "what is at risk is a second; a busy machine may let a thread wait"
    server.signal(signal.SIGKILL)
    server.wait(10)

    again = bench.serve(sip_port=server.sip[1])
    assert again.metrics()["acd_sip_bindings"] == len(users)
    phones = [
        bench.sipp("agent", port=port, way=way, keys={"caller": user}) for way, user in zip(WAYS, users, strict=True)
    ]
    for way in WAYS:
        way.wait_for_listener(port)
    callers = [
        bench.sipp(
            "call_digest",
            remote=again.sip,
            number=user,
            keys={"caller": "alice"},
            options=["-au", "alice", "-ap", "demo", "-auth_uri", f"{user}@{again.uri_host}"],
            pause=0.1,
        )
        for user in users
    ]
    for sipp in (*callers, *phones):
        sipp.succeed()
    again.stop()


def test_without_survival_nobody_is_known_after_a_restart(bench: Bench) -> None:
    forgetful = {"registrar.survive_restart": False}
    server = bench.serve(settings=forgetful)
    bench.register(server, "bob")
    assert server.metrics()["acd_sip_bindings"] == 1
    server.stop()
    assert not (server.storage / "bindings.sqlite").exists()
    again = bench.serve(sip_port=server.sip[1], settings=forgetful)
    assert again.metrics()["acd_sip_bindings"] == 0


@pytest.mark.rfc("5626-3.5.2")
def test_a_keep_alive_by_stun_is_answered(bench: Bench) -> None:
    server = serve(bench)
    request = bytes.fromhex("000100002112a442") + b"keepalive 01"
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as phone:
            phone.settimeout(5)
            phone.bind((host, 0))
            phone.sendto(request, (host, server.sip[1]))
            assert phone.recv(2048) == binding_response(request, phone.getsockname()[:2])


@pytest.mark.rfc("7616-3.4.3")
def test_the_body_is_protected_where_that_is_asked_for(bench: Bench) -> None:
    server = bench.serve(settings={"registrar.qop": ["auth-int"]})
    register(bench, server, "<sip:bob@192.0.2.1>")
    assert server.metrics()["acd_sip_authentications_total{outcome=accepted}"] == 1
