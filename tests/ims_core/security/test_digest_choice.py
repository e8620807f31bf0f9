"""Several algorithms and qualities of protection: what is offered, taken and answered (RFC 7616, RFC 8760)."""

import re
from collections.abc import Mapping

import pytest

from ims_core.security.digest import (
    ALGORITHMS,
    Account,
    DigestAuthenticator,
    Outcome,
    UnsupportedChallenge,
    Verdict,
    answer_challenge,
    answer_challenges,
)
from ims_core.subscribers.subscriber import Password

rfc = pytest.mark.rfc

URI = "sip:ims.example"
USERS = {"alice": "demo", "old": "demo"}
BOTH = ("SHA-256", "MD5")


def authenticator(accounts: Mapping[str, Account | str] = USERS, **options: object) -> DigestAuthenticator:
    return DigestAuthenticator("ims.example", accounts.get, b"0123456789abcdef", **options)  # type: ignore[arg-type]


def answer(challenge: str, user: str = "alice", password: str = "demo", *, body: bytes = b"", nc: int = 1) -> str:
    return answer_challenge(challenge, "REGISTER", URI, user, password, cnonce="abc", nc=nc, body=body)


def algorithms(challenges: list[str]) -> list[str]:
    return [re.findall(r"algorithm=([\w-]+)", challenge)[0] for challenge in challenges]


@rfc("8760-2.4")
def test_each_algorithm_is_one_challenge_in_the_order_configured() -> None:
    challenges = authenticator(algorithms=BOTH).challenges(0.0)
    assert algorithms(challenges) == ["SHA-256", "MD5"]
    assert all(challenge.startswith('Digest realm="ims.example", nonce="') for challenge in challenges)
    assert algorithms(authenticator().challenges(0.0)) == ["MD5"]


@rfc("8760-2.4")
@pytest.mark.parametrize("chosen", [0, 1])
def test_any_of_the_challenges_may_be_answered(chosen: int) -> None:
    server = authenticator(algorithms=BOTH)
    credentials = answer(server.challenges(0.0)[chosen])
    assert server.verify("REGISTER", URI, [credentials], 0.0) == Verdict(Outcome.ACCEPTED, "alice")


@rfc("8760-2.4")
def test_an_algorithm_that_is_not_offered_is_not_taken() -> None:
    server = authenticator(algorithms=["SHA-256"])
    weaker = answer(server.challenges(0.0)[0].replace("SHA-256", "MD5"))
    assert server.verify("REGISTER", URI, [weaker], 0.0).outcome is Outcome.WRONG


@rfc("8760-2.4")
def test_an_account_may_have_algorithms_of_its_own() -> None:
    accounts = {"old": Password("demo", ("MD5",)), "alice": Password("demo")}
    server = authenticator(accounts, algorithms=["SHA-256"])
    assert algorithms(server.challenges(0.0, "old")) == ["MD5"]
    assert algorithms(server.challenges(0.0, "alice")) == ["SHA-256"]
    assert algorithms(server.challenges(0.0, "nobody")) == ["SHA-256"]
    (challenge,) = server.challenges(0.0, "old")
    assert server.verify("REGISTER", URI, [answer(challenge, "old")], 0.0).outcome is Outcome.ACCEPTED
    assert server.verify("REGISTER", URI, [answer(challenge, "alice")], 0.0).outcome is Outcome.WRONG


@rfc("8760-2.4")
def test_the_topmost_challenge_that_is_understood_is_answered() -> None:
    challenges = [
        'Digest realm="a", nonce="1", algorithm=SHA-999, qop="auth"',
        'Digest realm="a", nonce="2", algorithm=SHA-256, qop="auth"',
        'Digest realm="a", nonce="3", algorithm=MD5, qop="auth"',
    ]
    (credentials,) = answer_challenges(challenges, "REGISTER", URI, "alice", "demo", cnonce="abc")
    assert 'nonce="2"' in credentials
    assert "algorithm=SHA-256" in credentials


@rfc("3261-22.3")
def test_each_realm_that_asks_is_answered() -> None:
    challenges = ['Digest realm="a", nonce="1"', 'Digest realm="b", nonce="2", algorithm=SHA-256', "Basic realm=c"]
    with pytest.raises(UnsupportedChallenge):
        answer_challenges(challenges, "INVITE", URI, "alice", "demo", cnonce="abc")
    answers = answer_challenges(challenges[:2], "INVITE", URI, "alice", "demo", cnonce="abc")
    assert [re.findall(r'realm="(.)"', credentials) for credentials in answers] == [["a"], ["b"]]
    with pytest.raises(UnsupportedChallenge):
        answer_challenges([], "INVITE", URI, "alice", "demo", cnonce="abc")


@rfc("7616-3.9.2")
def test_sha_512_256_is_that_of_the_example_of_rfc_7616_as_corrected() -> None:
    hashed = ALGORITHMS["SHA-512-256"]("J\u00e4s\u00f8n Doe:api@example.org".encode())  # its username, hashed
    assert hashed == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512-256"])
@rfc("7616-3.4.3")
def test_with_auth_int_the_body_is_protected(algorithm: str) -> None:
    server = authenticator(algorithms=[algorithm], qop=["auth-int"])
    (challenge,) = server.challenges(0.0)
    assert 'qop="auth-int"' in challenge
    credentials = answer(challenge, body=b"v=0\r\n")
    assert "qop=auth-int" in credentials
    assert server.verify("REGISTER", URI, [credentials], 0.0, body=b"v=1\r\n").outcome is Outcome.WRONG
    assert server.verify("REGISTER", URI, [credentials], 0.0, body=b"v=0\r\n").outcome is Outcome.ACCEPTED


@rfc("7616-3.3")
def test_both_qualities_may_be_offered_and_either_taken() -> None:
    server = authenticator(qop=["auth", "auth-int"])
    (challenge,) = server.challenges(0.0)
    assert 'qop="auth,auth-int"' in challenge
    assert "qop=auth," in answer(challenge)
    for number, offered in enumerate(('"auth,auth-int"', '"auth-int"'), 1):
        credentials = answer(challenge.replace('"auth,auth-int"', offered), body=b"x", nc=number)
        assert server.verify("REGISTER", URI, [credentials], 0.0, body=b"x").outcome is Outcome.ACCEPTED


def test_a_hashed_username_which_is_not_offered_is_wrong() -> None:
    server = authenticator()
    credentials = answer(server.challenges(0.0)[0])
    assert server.verify("REGISTER", URI, [f"{credentials}, userhash=true"], 0.0).outcome is Outcome.WRONG
    assert server.verify("REGISTER", URI, [f"{credentials}, userhash=false"], 0.0).outcome is Outcome.ACCEPTED


@rfc("7616-5.4")
def test_a_nonce_holds_for_the_host_that_it_was_sent_to() -> None:
    server = authenticator()
    (challenge,) = server.challenges(0.0, host="127.0.0.66")
    right, wrong = answer(challenge), answer(challenge, password="guess")
    assert server.verify("REGISTER", URI, [right], 0.0, host="127.0.0.67").outcome is Outcome.STALE
    assert server.verify("REGISTER", URI, [right], 0.0, host="127.0.0.66").outcome is Outcome.ACCEPTED
    assert server.verify("REGISTER", URI, [wrong], 0.0, host="127.0.0.67").outcome is Outcome.STALE
    assert server.verify("REGISTER", URI, [wrong], 0.0, host="127.0.0.66").outcome is Outcome.WRONG


def test_verdicts_are_counted() -> None:
    server = authenticator(nonce_lifetime=10)
    (challenge,) = server.challenges(0.0)
    for credentials, now in (
        ([], 0.0),
        ([answer(challenge)], 0.0),
        ([answer(challenge, password="guess")], 0.0),
        ([answer(challenge, nc=2)], 20.0),
        ([answer(challenge, nc=3)], 30.0),
    ):
        server.verify("REGISTER", URI, credentials, now)
    assert server.verdicts() == {"accepted": 1, "missing": 1, "stale": 2, "wrong": 1}
