"""One RTP socket for both families of addresses: phones of IPv4 are told an address of theirs, though IPv6 is first."""

from __future__ import annotations

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import level, loudest_part, read_wav, wait_until
from tests.peers.kit.ways import has_ipv6

pytestmark = [pytest.mark.peer("baresip"), pytest.mark.skipif(not has_ipv6(), reason="this host has no IPv6")]

CALLER_HZ, AGENT_HZ = 440.0, 620.0
CLEAR_DB = -1.0


@pytest.mark.rfc("4291-2.5.5.2")
def test_phones_of_ipv4_hear_each_other(bench: Bench) -> None:
    addresses = {"listen": "::", "advertise": "::1", "advertise_other": "127.0.0.1"}
    settings = {f"media.{key}": value for key, value in addresses.items()}
    server = bench.serve(settings={**settings, "queues.support.announce_agent": False})
    agent = bench.baresip("1001", server, tone=AGENT_HZ, answers=True).wait_until_registered()
    caller = bench.baresip("caller1", server, tone=CALLER_HZ).wait_until_registered()
    server.wait_for_agent("1001", "ready")
    caller.dial("10001")
    server.wait_for_call("talking", 15)
    wait_until(lambda: agent.heard_bytes() > 48_000, 10, "three seconds of talk")
    caller.hang_up()
    (cdr,) = server.wait_for_cdrs()
    server.wait_until_idle()
    assert cdr["outcome"] == "answered"
    for phone, hertz in ((agent, CALLER_HZ), (caller, AGENT_HZ)):
        part = loudest_part(read_wav(phone.heard())[0], hertz, 1.0)
        assert level(part, hertz) > CLEAR_DB
    server.stop()
