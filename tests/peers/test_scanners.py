"""Scanners from 127.0.0.66 against the demonstration: they learn nothing and are banned; 127.0.0.1 is unhurt."""

from __future__ import annotations

import os
import re
import selectors
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Server
from tests.peers.kit.process import LOOPBACK

SCANNER = "127.0.0.66"
USERS = ("alice", "bob", "caller1", "1001", "1002", "1003", "1004")
DISGUISE = re.compile(rb"friendly-scanner|sipvicious", re.IGNORECASE)


class Elsewhere:
    """Stands for the server at 127.0.0.66, from where it passes on what comes: none of the scanners binds there itself.

    ``disguised``: without what gives sipvicious away.
    """

    def __init__(self, server: Server, *, disguised: bool) -> None:
        self._server = server.sip
        self._disguised = disguised
        self._inner = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._inner.bind((SCANNER, 0))
        self._outer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._outer.bind((SCANNER, 0))
        self._scanner: tuple[str, int] | None = None
        self._wake, self._waker = socket.socketpair()
        self.port: int = self._outer.getsockname()[1]
        self.heard = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            for sock in (self._inner, self._outer, self._wake):
                selector.register(sock, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._wake:
                        return
                    self._pass_on(key.fileobj is self._outer)

    def _pass_on(self, is_from_scanner: bool) -> None:
        if is_from_scanner:
            data, self._scanner = self._outer.recvfrom(65536)
            self._inner.sendto(DISGUISE.sub(b"softphone", data) if self._disguised else data, self._server)
        else:
            data = self._inner.recv(65536)
            self.heard += 1
            if self._scanner is not None:
                self._outer.sendto(data, self._scanner)

    def end(self) -> None:
        self._waker.send(b"x")
        self._thread.join()
        for sock in (self._inner, self._outer, self._wake, self._waker):
            sock.close()


@contextmanager
def elsewhere(server: Server, *, disguised: bool = False) -> Iterator[Elsewhere]:
    found = Elsewhere(server, disguised=disguised)
    try:
        yield found
    finally:
        found.end()


def run(command: Sequence[str | Path], directory: Path) -> str:
    """Run a scanner to its end and return what it says."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=directory,
        env={**os.environ, "HOME": str(directory)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def sipvicious(tool: str, bench: Bench, place: Elsewhere, *options: str | Path) -> str:
    program = Path(sys.executable).with_name(f"sipvicious_{tool}")
    return run([program, "-p", str(place.port), *options, SCANNER], bench.directory)


def bans(server: Server) -> dict[str, tuple[str, bool]]:
    return {ban["address"]: (ban["reason"], ban["proven"]) for ban in server.items("bans")}


def assert_unhurt(bench: Bench, server: Server) -> None:
    """At 127.0.0.1 a phone registers and calls."""
    bench.visit(server, "alice", number="10002", pause=0.3).succeed()
    assert LOOPBACK not in bans(server)


@pytest.mark.peer("sipvicious", "sipp")
def test_sipvicious_finds_nothing_and_is_suspected(bench: Bench) -> None:
    server = bench.serve()
    with elsewhere(server) as place:
        assert "found nothing" in sipvicious("svmap", bench, place)
        assert bans(server) == {SCANNER: ("scanner", False)}
        assert server.metrics()["acd_sip_bans{reason=scanner}"] == 1
        assert [line["address"] for line in server.logged("source.banned")] == [SCANNER]
        words = bench.directory / "users.txt"
        words.write_text("\n".join(USERS))
        for method in ("REGISTER", "INVITE", "OPTIONS"):
            said = sipvicious("svwar", bench, place, "--maximumtime", "2", "-m", method, "-d", words)
            assert not any(user in said for user in USERS), said
        assert place.heard == 0, "not a byte"
        assert_unhurt(bench, server)
        assert server.change("DELETE", f"bans/{SCANNER}") == (200, {"done": True})
        assert bans(server) == {}
        assert len(server.logged("source.pardoned")) == 1
    server.stop()


@pytest.mark.peer("sipvicious", "sipp")
@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS"])
def test_in_disguise_it_hears_the_same_of_every_user(bench: Bench, method: str) -> None:
    server = bench.serve()
    bench.register(server, "caller1")
    words = bench.directory / "users.txt"
    words.write_text("\n".join(USERS))
    with elsewhere(server, disguised=True) as place:
        said = sipvicious("svwar", bench, place, "--force", "-m", method, "-d", words)
        assert place.heard > 0
        assert not re.search(r"\|\s*\w+\s*\|\s*noauth", said), said
        told = {user for user in USERS if re.search(rf"\|\s*{user}\s*\|", said)}
        assert told in (set(), set(USERS)), said
        assert bans(server) == {}, "datagrams that guess no password prove nothing"
    assert_unhurt(bench, server)
    server.stop()


@pytest.mark.peer("sipvicious", "sipp")
def test_who_guesses_passwords_is_banned_before_he_has_guessed_it(bench: Bench) -> None:
    server = bench.serve()
    words = bench.directory / "passwords.txt"
    words.write_text("\n".join([*(f"guess{number}" for number in range(40)), "demo"]))
    with elsewhere(server, disguised=True) as place:
        said = sipvicious("svcrack", bench, place, "--maximumtime", "3", "-u", "1001", "-d", words)
        assert "demo" not in said, said
        assert bans(server) == {SCANNER: ("credentials", True)}
        heard = place.heard
        sipvicious("svmap", bench, place)
        assert place.heard == heard, "nothing is answered any more"
    assert server.metrics()["acd_sip_authentications_total{outcome=wrong}"] == 10
    assert_unhurt(bench, server)
    server.stop()


@pytest.mark.peer("sipsak", "sipp")
def test_sipsak_hears_the_same_of_every_user_and_is_banned_for_wrong_passwords(bench: Bench) -> None:
    server = bench.serve()
    bench.register(server, "caller1")
    with elsewhere(server) as place:

        def sipsak(user: str, *options: str) -> str:
            target = f"sip:{user}@{SCANNER}:{place.port}"
            said = run(["sipsak", "-vv", "-Z", "50", *options, "-s", target], bench.directory)
            return "\n".join(line for line in said.splitlines() if line.startswith("SIP/2.0 "))

        assert {sipsak(user) for user in ("caller1", "bob", "nobody")} == {"SIP/2.0 407 Proxy Authentication Required"}
        for _ in range(10):
            if not bans(server):
                sipsak("1001", "-U", "-a", "wrong")
        assert bans(server) == {SCANNER: ("credentials", True)}
        heard = place.heard
        sipsak("bob")
        assert place.heard == heard
    assert_unhurt(bench, server)
    server.stop()
