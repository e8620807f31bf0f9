"""What `make run` prints: numbers, feature codes, accounts, and passwords only on loopback."""

from pathlib import Path

import pytest

from acd.config import load
from acd.guide import guide

CONFIGS = Path(__file__).parents[2] / "configs"


def lines(file: str, *settings: str) -> list[str]:
    config = load(str(CONFIGS / file), list(settings))
    return guide(config, [str(listener) for listener in config.sip.listen], str(config.http.listen)).splitlines()


def test_the_demo_is_explained_whole() -> None:
    assert lines("demo.toml") == [
        "ims.example is served on udp:127.0.0.1:5060 and tcp:127.0.0.1:5060, HTTP on 127.0.0.1:8080",
        "",
        "Dial:",
        "  10000    a menu: 1 Sales, 2 Support, 0 Any agent",
        "  10001    straight into the queue Support",
        "  10002    your own voice back",
        "  10003    an announcement, then it hangs up",
        "  *11 *12 *13 *14  from an agent's phone: log in, log out, pause, ready",
        "  a user's name, to call another phone",
        "",
        "Accounts (with passwords, because SIP listens on loopback only):",
        "  alice, bob, caller1, caller2, caller3, caller4, caller5: subscriber, password demo",
        "  1001, 1002: agent of Sales, Support, Any agent, password demo",
        "  1003: agent of Sales, Any agent, password demo",
        "  1004: agent of Support, Any agent, password demo",
    ]


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "[2001:db8::1]"])
def test_passwords_are_not_shown_where_others_could_use_them(address: str) -> None:
    listen = f'sip.listen=["udp:127.0.0.1:5060", "udp:{address}:5070"]'
    told = "\n".join(lines("demo.toml", listen, "sip.advertise=192.0.2.1", "media.advertise=192.0.2.1"))
    assert "password demo" not in told
    assert "without passwords, because SIP does not listen on loopback only" in told
    assert "alice" in told


def test_the_lab_asks_for_no_password() -> None:
    assert lines("lab.toml")[-1] == "Any user may register; no password is asked for."
