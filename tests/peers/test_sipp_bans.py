"""SIPp guesses passwords by each way: its source is not heard until it is pardoned, and 127.0.0.1 is unhurt."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import SIX, Server, Sipp, Way, by_each_way, wait_until
from tests.peers.test_scanners import SCANNER, assert_unhurt, bans

pytestmark = pytest.mark.peer("sipp")

GUESSES = 10  # as many as protection.wrong_credentials
CALLS = GUESSES // 2 + 1  # each asks for a challenge, guesses, and guesses again


def dropped(server: Server) -> float:
    """How much of what banned sources sent was not read."""
    return server.metrics().get("acd_sip_dropped_total{reason=banned}", 0)


@by_each_way
def test_who_guesses_passwords_is_banned_until_he_is_pardoned(bench: Bench, way: Way) -> None:
    server = bench.serve()
    place = way if way.host == SIX else Way(SCANNER, way.tcp)

    def register(scenario: str, password: str, calls: int = 1) -> Sipp:
        options = ["-au", "1001", "-ap", password, "-auth_uri", f"{way.written}:{server.sip[1]}", "-l", "1"]
        keys = {"caller": "1001"}
        return bench.sipp(scenario, remote=server.at(way), way=place, calls=calls, keys=keys, options=options)

    guessing = register("register_refused", "wrong", CALLS)
    wait_until(lambda: dropped(server), 10, "one call too many")
    assert guessing.received("SIP/2.0 401") == 3 * (CALLS - 1)
    guessing.end()
    ((address, why),) = bans(server).items()
    assert (address, why) == ("::" if place.host == SIX else SCANNER, ("credentials", True))
    assert server.metrics()["acd_sip_bans{reason=credentials}"] == 1
    assert server.metrics()["acd_sip_authentications_total{outcome=wrong}"] == GUESSES

    before = dropped(server)
    knowing = register("register", "demo")
    wait_until(lambda: dropped(server) > before, 10, "who knows the password comes from there too late")
    knowing.end()
    assert knowing.received("SIP/2.0") == 0
    assert_unhurt(bench, server)

    assert server.change("DELETE", f"bans/{address}") == (200, {"done": True})
    assert bans(server) == {}
    assert server.metrics()["acd_sip_bans{reason=credentials}"] == 0
    register("register", "demo").succeed()
