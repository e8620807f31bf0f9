"""Wrong, unknown and malicious input: the right status or silence, and nothing else disturbed."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import LOOPBACK, Message, Phone, Server, Voice, media_port, sdp, wait_until

SEED = 20


def registered(bench: Bench, server: Server) -> Phone:
    """A phone that is not challenged, because caller1 is registered from its address."""
    return Phone(server.sip, bench.register(server, "caller1"))


@pytest.mark.peer("sipp")
@pytest.mark.rfc("3261-8.2.1", "3261-21.4.5", "3261-21.4.26", "3261-21.5.2", "3261-8.2.2.1", "3261-22.3")
def test_what_is_asked_wrongly_gets_the_status_that_says_so(bench: Bench) -> None:
    server = bench.serve()
    host = f"sip:{server.uri_host}"
    with registered(bench, server) as phone:
        offer = sdp(9)
        assert phone.ask("INVITE", phone.uri("5555"), body=offer).status == 404
        assert phone.ask("INVITE", phone.uri("bob"), body=offer).status == 480, "known, not there"
        assert phone.ask("INVITE", "sip:10001@elsewhere.example", body=offer).status in {403, 404}
        assert phone.dial("10002", sdp(9, "18 96")).status == 488
        assert phone.ask("INVITE", phone.uri("10002"), body=b"no session description").status == 488
        assert phone.ask("FROBNICATE", host).status == 501
        for method in ("SUBSCRIBE", "PUBLISH"):
            response = phone.ask(method, host)
            assert response.status == 405
            assert response.get("Allow")
        assert phone.ask("OPTIONS", host).status == 200
        assert phone.ask("BYE", phone.uri("10002"), to="<sip:10002@ims.example>;tag=none").status == 481
        got = {name: without(phone, name, offer) for name in ("From", "To", "Call-ID", "CSeq", "Contact")}
        assert set(got.values()) == {400}, got
    with Phone(server.sip, bench.port(), "alice") as stranger:
        response = stranger.ask("INVITE", stranger.uri("10002"), body=offer)
        assert response.status == 407
        bad = ('Digest username="alice", realm="ims.example", nonce="made-up", uri="sip:x", response="0"',)
        again = stranger.ask(
            "INVITE", stranger.uri("10002"), body=offer, headers=[("Proxy-Authorization", answer) for answer in bad]
        )
        assert again.status == 407
    wait_until(lambda: not server.calls, 5, "no call")
    assert {cdr["outcome"] for cdr in server.cdrs} <= {"rejected"}
    server.stop()


def without(phone: Phone, name: str, offer: bytes) -> int:
    """The status that an INVITE without this header field gets, 0 for none."""
    phone.new_call()
    phone.send(phone.write("INVITE", phone.uri("10002"), body=offer, without=[name]))
    response = phone.receive(1.0)
    if response is not None and response.status == 100:
        response = phone.receive(1.0)
    return response.status if response is not None else 0


@contextmanager
def talking(bench: Bench, server: Server) -> Iterator[tuple[Phone, Voice, Message]]:
    """Hold a call to the echo service during the block, and see that it went on undisturbed."""
    with registered(bench, server) as phone, Voice(bench.port(2)) as voice:
        answer = phone.dial("10002", sdp(voice.port))
        assert answer.status == 200
        voice.start(media_port(answer))
        wait_until(lambda: voice.received > 10, 5, "the echo")
        yield phone, voice, answer
        heard = voice.received
        wait_until(lambda: voice.received > heard + 25, 5, "the echo afterwards")
        assert [call["stage"] for call in server.calls] == ["echo"]
        phone.hang_up()
    (cdr,) = [cdr for cdr in server.wait_for_cdrs() if cdr["dialled"] == "10002"]
    assert (cdr["outcome"], cdr["ended_by"]) == ("served", "caller")
    assert cdr["quality_caller"]["lost"] == 0
    assert cdr["quality_caller"]["mos"] > 4, cdr["quality_caller"]
    server.wait_until_idle()


@pytest.mark.peer("sipp")
def test_random_bytes_on_every_port_disturb_no_call(bench: Bench) -> None:
    server = bench.serve()
    chance = random.Random(SEED)
    with talking(bench, server) as (_, _, answer), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thrower:
        before = server.resident_kilobytes()
        for _ in range(3000):
            thrower.sendto(chance.randbytes(chance.randrange(1400)), server.sip)
            thrower.sendto(chance.randbytes(chance.randrange(400)), (LOOPBACK, media_port(answer)))
        for port in (server.sip[1], server.http_port):
            for _ in range(20):
                throw_at_stream(port, chance.randbytes(20_000))
        dropped = {name: count for name, count in server.metrics().items() if name.startswith("acd_sip_dropped")}
        assert sum(dropped.values()) > 0
        assert server.resident_kilobytes() - before < 20_000
        assert server.get("/healthz")[0] == 200
    assert not [line for line in server.logged("library.logged") if line["level"] == "error"]
    server.stop()


def throw_at_stream(port: int, data: bytes) -> None:
    """Connect, send and go."""
    with socket.create_connection((LOOPBACK, port), 5) as connection:
        try:
            connection.sendall(data)
        except OSError:
            return  # it has been closed already, as it may


@pytest.mark.peer("sipp")
@pytest.mark.rfc("3261-18.3")
def test_malformed_and_oversized_sip_disturbs_no_call(bench: Bench) -> None:
    server = bench.serve()
    with talking(bench, server) as _, Phone(server.sip, bench.port(), "mallory") as mallory:
        mallory.new_call()
        good = mallory.write("INVITE", mallory.uri("10002"), body=sdp(9))
        chance = random.Random(SEED)
        for _ in range(300):
            broken = bytearray(good)
            for _ in range(chance.randrange(1, 8)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            mallory.send(bytes(broken[: chance.randrange(40, len(broken) + 1)]))
        big = mallory.write("OPTIONS", f"sip:{server.uri_host}", headers=[("X-Filler", "x" * 60_000)])
        mallory.send(big)
        many = [("X-Many", "y")] * 4000
        mallory.send(mallory.write("OPTIONS", f"sip:{server.uri_host}", headers=many))
        for claimed in (b"-1", b"99999999999999999999", b"4294967297", b"x"):
            mallory.send(good.replace(b"Content-Length: ", b"Content-Length: " + claimed + b" ", 1))
    assert not [line for line in server.logged("library.logged") if line["level"] == "error"]


@pytest.mark.rfc("3261-18.3")
def test_a_stream_that_stalls_in_a_message_is_closed_and_holds_nobody_up(bench: Bench) -> None:
    server = bench.serve(settings={"limits.tcp_stall_seconds": 1})
    with Phone(server.sip, bench.port()) as phone:
        phone.new_call()
        whole = phone.write("OPTIONS", f"sip:{server.uri_host}", transport="TCP")
    with (
        socket.create_connection(server.sip, 5) as stalled,
        socket.create_connection(server.sip, 5) as other,
    ):
        stalled.sendall(whole[: len(whole) // 2])
        for start in range(0, len(whole), 7):
            other.sendall(whole[start : start + 7])
        other.settimeout(5)
        assert Message.parse(other.recv(65535)).status == 200
        stalled.settimeout(10)
        while stalled.recv(65535):
            pass  # an answer is allowed; then the end
        assert server.metrics()["acd_sip_connections{transport=tcp}"] >= 1


def test_one_host_cannot_hold_every_connection_with_lively_ones(bench: Bench) -> None:
    server = bench.serve(settings={"limits.tcp_connections": 20})
    with Phone(server.sip, bench.port()) as phone, ExitStack() as flood:
        phone.new_call()
        asked = phone.write("OPTIONS", f"sip:{server.uri_host}", transport="TCP")

        def connect(host: str) -> socket.socket:
            connection = flood.enter_context(socket.create_connection(server.sip, 5, (host, 0)))
            connection.settimeout(5)
            connection.sendall(asked)
            return connection

        for connection in [connect("127.0.0.66") for _ in range(20)]:
            assert Message.parse(connection.recv(65535)).status == 200
        for _ in range(3):
            assert Message.parse(connect(LOOPBACK).recv(65535)).status == 200
        metrics = server.metrics()
        assert metrics["acd_sip_connections{transport=tcp}"] == 20
        assert metrics["acd_sip_connections_turned_away_total{reason=displaced}"] == 3


@pytest.mark.rfc("3261-18.3")
def test_an_oversized_message_on_a_stream_is_refused_within_bounds(bench: Bench) -> None:
    server = bench.serve()
    before = server.resident_kilobytes()
    with Phone(server.sip, bench.port()) as phone:
        phone.new_call()
        head = phone.write("OPTIONS", f"sip:{server.uri_host}", transport="TCP")
    endless = head.replace(b"Content-Length: 0", b"Content-Length: 2000000000")
    with socket.create_connection(server.sip, 5) as connection:
        connection.settimeout(10)
        try:
            connection.sendall(endless)
            for _ in range(500):
                connection.sendall(os.urandom(65536))
        except OSError:
            pass  # closed, as it should be
        else:
            pytest.fail("32 MB of one message were taken")
    assert server.resident_kilobytes() - before < 20_000
    assert server.get("/readyz")[0] == 200


@pytest.mark.rfc("3261-17.2.1", "3261-8.2.2.2")
def test_a_repeated_invite_makes_one_call(bench: Bench) -> None:
    server, agents = bench.serve_lab()
    del agents
    with Phone(server.sip, bench.port()) as phone:
        phone.new_call()
        invite = phone.write("INVITE", phone.uri("10001"), body=sdp(9))
        for _ in range(5):
            phone.send(invite)
        phone.take(phone.final("INVITE"))
        wait_until(lambda: server.calls, 5, "the call")
        assert len(server.calls) == 1
        phone.hang_up()
    server.wait_for_cdrs(1)
    assert server.metrics()["acd_calls_arrived_total"] == 1
    server.stop()
