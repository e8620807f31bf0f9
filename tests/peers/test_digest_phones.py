"""Phones by others answer our challenges: linphone knows SHA-256, baresip takes MD5 only."""

from __future__ import annotations

import re

import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import wait_until
from tests.peers.kit.linphone import Linphone

ACCEPTED = "acd_sip_authentications_total{outcome=accepted}"
WRONG = "acd_sip_authentications_total{outcome=wrong}"


@pytest.mark.peer("linphone")
@pytest.mark.rfc("8760-2.4", "7616-3.4.1")
@pytest.mark.parametrize(
    ("offered", "known"),
    [(["SHA-256", "MD5"], "SHA-256"), (["SHA-256", "MD5"], "MD5"), (["SHA-256"], "SHA-256"), (["MD5"], "MD5")],
    ids=["first of two", "second of two", "SHA-256", "MD5"],
)
def test_linphone_answers_the_challenge_that_it_has_a_password_for(
    bench: Bench, offered: list[str], known: str
) -> None:
    server = bench.serve(settings={"registrar.algorithms": offered})
    phone = Linphone("bob", bench.directory, server=server.sip, port=bench.port(), algorithm=known)
    bench.keep(phone)
    phone.wait_until_registered()
    assert [re.findall(r"algorithm=([\w-]+)", line) for line in phone.sent("WWW-Authenticate")] == [
        [algorithm] for algorithm in offered
    ]
    (answer,) = phone.sent("Authorization")
    assert f"algorithm={known}" in answer
    wait_until(lambda: server.metrics()[ACCEPTED] == 1, what="accepted")
    assert server.metrics()[WRONG] == 0


@pytest.mark.peer("baresip")
@pytest.mark.rfc("8760-2.4")
def test_an_account_with_algorithms_of_its_own_lets_a_phone_in_that_knows_md5_only(bench: Bench) -> None:
    own = 'password = "demo"           # the digest password, a text; no default\n'
    server = bench.serve(settings={"registrar.algorithms": ["SHA-256"]}, changes={own: f'{own}algorithms = ["MD5"]\n'})
    bench.baresip("alice", server, tone=440).wait_until_registered()
    assert server.metrics()[ACCEPTED] == 1
