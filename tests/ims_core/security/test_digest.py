"""Digest authentication, server and client against each other and against the vectors of the RFCs."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.security import digest, params
from ims_core.security.digest import DigestAuthenticator, Outcome, UnsupportedChallenge, Verdict, answer_challenge

rfc = pytest.mark.rfc

URI = "sip:ims.example"
USERS = {"alice": "demo", "bob": 'p"ä\\', "empty": ""}


def authenticator(**options: object) -> DigestAuthenticator:
    return DigestAuthenticator("ims.example", USERS.get, b"0123456789abcdef", **options)  # type: ignore[arg-type]


def answer(
    challenge: str, user: str = "alice", password: str = "demo", *, nc: int = 1, method: str = "REGISTER"
) -> str:
    return answer_challenge(challenge, method, URI, user, password, cnonce="abc", nc=nc)


def without_qop(challenge: str) -> str:
    return challenge.replace(', qop="auth"', "")


def response_of(credentials: str) -> str:
    found = re.search(r'response="([0-9a-f]+)"', credentials)
    assert found
    return found[1]


@rfc("2617-3.5")
def test_the_example_of_rfc_2617() -> None:
    challenge = (
        'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    credentials = answer_challenge(
        challenge, "GET", "/dir/index.html", "Mufasa", "Circle Of Life", cnonce="0a4f113b", nc=1
    )
    assert response_of(credentials) == "6629fae49393a05397450978507c4ef1"
    assert 'opaque="5ccc069c403ebaf9f0171e9517f40e41"' in credentials
    assert "qop=auth, nc=00000001" in credentials


@rfc("7616-3.9.1")
@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616(algorithm: str, response: str) -> None:
    challenge = (
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    credentials = answer_challenge(
        challenge,
        "GET",
        "/dir/index.html",
        "Mufasa",
        "Circle of Life",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        nc=1,
    )
    assert response_of(credentials) == response
    assert f"algorithm={algorithm}" in credentials


@rfc("2617-3.2.2.1")
def test_a_challenge_without_qop_is_answered_as_in_rfc_2069() -> None:
    challenge = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    credentials = answer_challenge(challenge, "GET", "/dir/index.html", "Mufasa", "CircleOfLife", cnonce="x")
    assert response_of(credentials) == "1949323746fe6a43ef61f9606e7febea"
    assert "qop" not in credentials
    assert "cnonce" not in credentials


@rfc("3261-22.1")
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("qop", [True, False])
@pytest.mark.parametrize(("user", "password"), [("alice", "demo"), ("bob", 'p"ä\\'), ("empty", "")])
def test_the_right_password_is_accepted(algorithm: str, qop: bool, user: str, password: str) -> None:
    server = authenticator(algorithms=[algorithm])
    challenge = server.challenges(10.0)[0]
    credentials = answer(challenge if qop else without_qop(challenge), user, password)
    assert server.verify("REGISTER", URI, [credentials], 11.0) == Verdict(Outcome.ACCEPTED, user)


def test_a_user_name_may_carry_the_domain() -> None:
    server = authenticator()
    credentials = answer(server.challenges(0.0)[0], "alice@ims.example")
    assert server.verify("REGISTER", URI, [credentials], 0.0) == Verdict(Outcome.ACCEPTED, "alice")
    credentials = answer(server.challenges(0.0)[0], "alice@other.example")
    assert server.verify("REGISTER", URI, [credentials], 0.0).outcome is Outcome.WRONG


@rfc("7616-3.3")
def test_a_challenge_offers_what_is_understood_and_says_when_it_is_repeated() -> None:
    challenge = authenticator().challenges(0.0)[0]
    assert re.fullmatch(r'Digest realm="ims.example", nonce="[0-9a-f-]+", algorithm=MD5, qop="auth"', challenge)
    assert authenticator().challenges(0.0, stale=True)[0].endswith(", stale=true")


@pytest.mark.parametrize(
    ("user", "password"), [("alice", "wrong"), ("alice", ""), ("nobody", ""), ("nobody", "demo"), ("", "")]
)
def test_wrong_passwords_and_unknown_users_are_one(user: str, password: str) -> None:
    server = authenticator()
    credentials = answer(server.challenges(0.0)[0], user, password)
    assert server.verify("REGISTER", URI, [credentials], 0.0) == Verdict(Outcome.WRONG)


@pytest.mark.interpreted
def test_an_unknown_user_costs_the_same_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    server = authenticator()
    hashes: list[str] = []

    def counted(algorithm: str, text: str) -> str:
        hashes.append(text)
        return real(algorithm, text)

    real = digest._hash
    for remembered in ("_hash", "_hash_of_known"):
        monkeypatch.setattr(digest, remembered, counted)
    answers = [answer(server.challenges(0.0)[0], user, "wrong") for user in ("alice", "nobody")]
    for credentials in answers:
        hashes.clear()
        server.verify("REGISTER", URI, [credentials], 0.0)
        assert len(hashes) == 3


@rfc("3261-22.4")
def test_credentials_hold_for_their_method_only() -> None:
    server = authenticator()
    credentials = answer(server.challenges(0.0)[0], method="INVITE")
    assert server.verify("REGISTER", URI, [credentials], 0.0).outcome is Outcome.WRONG


@rfc("7616-3.4.6")
@pytest.mark.parametrize(
    ("request_uri", "outcome"),
    [
        ("sip:ims.example", Outcome.ACCEPTED),
        ("sip:IMS.example:5060;transport=tcp", Outcome.ACCEPTED),
        ("sip:ims.example:5070", Outcome.WRONG),
        ("sip:bob@ims.example", Outcome.ACCEPTED),  # a digest for the domain, as SIPp makes it
        ("sip:other.example", Outcome.WRONG),
        ("nonsense", Outcome.WRONG),
    ],
)
def test_credentials_hold_for_their_resource_only(request_uri: str, outcome: Outcome) -> None:
    server = authenticator()
    assert server.verify("REGISTER", request_uri, [answer(server.challenges(0.0)[0])], 0.0).outcome is outcome


@rfc("7616-3.3")
def test_a_nonce_gets_old() -> None:
    server = authenticator(nonce_lifetime=30)
    challenge = server.challenges(100.0)[0]
    assert server.verify("REGISTER", URI, [answer(challenge)], 130.0).outcome is Outcome.ACCEPTED
    assert server.verify("REGISTER", URI, [answer(challenge, nc=2)], 131.0).outcome is Outcome.STALE
    assert server.verify("REGISTER", URI, [answer(challenge, password="x", nc=3)], 131.0).outcome is Outcome.WRONG


@rfc("7616-3.3")
@pytest.mark.parametrize(
    "nonce", ["abc", "00000000-1-" + "0" * 32, "00000000-1", "ä", "ffffffffffffffffffff-1-" + "0" * 32]
)
def test_a_nonce_of_somebody_else_is_stale(nonce: str) -> None:
    challenge = f'Digest realm="ims.example", nonce="{nonce}", qop="auth"'
    assert authenticator().verify("REGISTER", URI, [answer(challenge)], 0.0).outcome is Outcome.STALE


@rfc("TS24.229-5.1.1.2.3")
def test_credentials_without_a_nonce_only_name_the_user() -> None:
    challenge = 'Digest realm="ims.example", nonce="", qop="auth"'
    assert authenticator().verify("REGISTER", URI, [answer(challenge)], 0.0).outcome is Outcome.MISSING


def test_a_nonce_made_with_another_secret_is_stale() -> None:
    other = DigestAuthenticator("ims.example", USERS.get, b"another secret")
    credentials = answer(other.challenges(0.0)[0])
    assert authenticator().verify("REGISTER", URI, [credentials], 0.0).outcome is Outcome.STALE


@rfc("7616-3.4")
@pytest.mark.parametrize(
    ("counts", "outcomes"),
    [
        ([1, 1], [Outcome.ACCEPTED, Outcome.STALE]),
        ([1, 2, 3], [Outcome.ACCEPTED] * 3),
        ([5, 4, 6], [Outcome.ACCEPTED, Outcome.STALE, Outcome.ACCEPTED]),
    ],
)
def test_a_nonce_count_serves_once(counts: list[int], outcomes: list[Outcome]) -> None:
    server = authenticator()
    challenge = server.challenges(0.0)[0]
    verdicts = [server.verify("REGISTER", URI, [answer(challenge, nc=nc)], 0.0) for nc in counts]
    assert [verdict.outcome for verdict in verdicts] == outcomes


def test_two_nonces_of_one_instant_are_counted_apart() -> None:
    server = authenticator()
    challenges = [server.challenges(0.0)[0], server.challenges(0.0)[0]]
    for challenge in challenges:
        assert server.verify("REGISTER", URI, [answer(challenge)], 0.0).outcome is Outcome.ACCEPTED


def test_a_nonce_serves_once_without_qop_even_after_use_with_it() -> None:
    server = authenticator()
    challenge = server.challenges(0.0)[0]
    plain = answer(without_qop(challenge))
    assert server.verify("REGISTER", URI, [plain], 0.0).outcome is Outcome.ACCEPTED
    assert server.verify("REGISTER", URI, [plain], 0.0).outcome is Outcome.STALE
    challenge = server.challenges(0.0)[0]
    assert server.verify("REGISTER", URI, [answer(challenge)], 0.0).outcome is Outcome.ACCEPTED
    assert server.verify("REGISTER", URI, [answer(without_qop(challenge))], 0.0).outcome is Outcome.STALE


def test_a_wrong_password_does_not_use_up_the_nonce() -> None:
    server = authenticator()
    challenge = server.challenges(0.0)[0]
    server.verify("REGISTER", URI, [answer(challenge, password="wrong")], 0.0)
    assert not server._used
    assert server.verify("REGISTER", URI, [answer(challenge)], 0.0).outcome is Outcome.ACCEPTED


def test_memory_of_used_nonces_is_bounded_and_what_is_forgotten_is_not_replayed() -> None:
    server = authenticator(nonces_remembered=3)
    challenges = [server.challenges(0.0)[0] for _ in range(6)]
    for challenge in challenges[1:]:
        assert server.verify("REGISTER", URI, [answer(challenge)], 0.0).outcome is Outcome.ACCEPTED
    assert len(server._used) == 3
    outcomes = [server.verify("REGISTER", URI, [answer(each)], 0.0).outcome for each in challenges]
    assert outcomes == [Outcome.STALE] * 6
    assert server.verify("REGISTER", URI, [answer(challenges[5], nc=2)], 0.0).outcome is Outcome.ACCEPTED
    assert server.verify("REGISTER", URI, [answer(server.challenges(0.0)[0])], 0.0).outcome is Outcome.ACCEPTED


@rfc("3261-22.3")
def test_the_credentials_for_the_own_realm_are_chosen() -> None:
    server = authenticator()
    ours = answer(server.challenges(0.0)[0])
    theirs = answer('Digest realm="other.example", nonce="1"')
    assert server.verify("REGISTER", URI, [theirs, ours], 0.0).outcome is Outcome.ACCEPTED
    assert server.verify("REGISTER", URI, [theirs], 0.0).outcome is Outcome.MISSING


@pytest.mark.parametrize(
    "credentials", [[], [""], ["Basic YWxpY2U6ZGVtbw=="], ["Digest"], ["Digest x"], ["Digest " + "x" * 5000]]
)
def test_what_is_no_digest_for_this_realm_is_missing(credentials: list[str]) -> None:
    assert authenticator().verify("REGISTER", URI, credentials, 0.0).outcome is Outcome.MISSING


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("algorithm=MD5", "algorithm=SHA-256"),
        ("qop=auth", "qop=auth-int"),
        ("nc=00000001", "nc=1"),
        ("nc=00000001", "nc=00000000"),
        ("nc=00000001", "nc=0000000g"),
        ("nc=00000001", "nc=٠٠٠٠٠٠٠١"),
        ('cnonce="abc"', 'cnonce=""'),
        ("uri=", "uris="),
        ("username=", "user="),
        ("response=", "answer="),
    ],
)
def test_unusable_credentials_are_wrong(old: str, new: str) -> None:
    server = authenticator()
    credentials = answer(server.challenges(0.0)[0])
    assert old in credentials
    changed = credentials.replace(old, new, 1)
    assert server.verify("REGISTER", URI, [changed], 0.0).outcome is Outcome.WRONG


@rfc("7616-3.4")
def test_spelling_and_order_of_the_parameters_do_not_matter() -> None:
    server = authenticator()
    scheme, _, params = answer(server.challenges(0.0)[0]).partition(" ")
    turned = (
        ",".join(reversed(params.split(", "))).replace("username=", "USERNAME = ").replace("qop=auth", 'qop="auth"')
    )
    verdict = server.verify("REGISTER", URI, [f"{scheme.lower()}  {turned}"], 0.0)
    assert verdict.outcome is Outcome.ACCEPTED


@rfc("3261-25.1")
@pytest.mark.parametrize("space", ["\t", "  ", " \t "])
def test_any_white_space_may_follow_the_scheme(space: str) -> None:
    server = authenticator()
    credentials = answer(server.challenges(0.0)[0]).replace("Digest ", f"Digest{space}")
    assert server.verify("REGISTER", URI, [credentials], 0.0).outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    "challenge",
    [
        "Basic realm=x",
        'Digest realm="x"',
        'Digest nonce="x"',
        'Digest realm="x", nonce="y", algorithm=AKAv1-MD5',
        'Digest realm="x", nonce="y", qop="auth-conf"',
    ],
)
def test_a_challenge_that_cannot_be_answered_is_named(challenge: str) -> None:
    with pytest.raises(UnsupportedChallenge):
        answer(challenge)


@given(st.text(alphabet=st.sampled_from('Digest realm="ims.example"\\,= \tnonceurpqé\udc80')))
def test_any_text_gets_a_verdict(text: str) -> None:
    for credentials in (text, f"Digest {text}", f'Digest realm="ims.example", {text}'):
        assert authenticator().verify("REGISTER", URI, [credentials], 0.0).outcome is not Outcome.ACCEPTED


PARAMETERS = st.tuples(
    st.sampled_from(["username", "realm", "qop", "nc", " uri", "uri ", "\tnonce", "Realm", "x-y", "1", "é", ""]),
    st.sampled_from(["=", "=", "=", " = ", "=="]),
    st.sampled_from(
        [
            '"al"',
            '"al"',
            '"a,l"',
            '"a\\"l"',
            '""',
            '"',
            '"al" ',
            '"al"x',
            "MD5",
            "SHA-256",
            "00000001",
            "a b",
            "é",
            "-",
            "",
        ]
    ),
).map("".join)


SEPARATORS = st.sampled_from([",", ",", ", ", " ,", ",  ", ",,", " ", ""])


@given(st.lists(st.tuples(SEPARATORS, PARAMETERS).map("".join), max_size=3).map("".join), st.integers(0, 1))
def test_plain_parameters_are_found_as_any_others_are(text: str, start: int) -> None:
    text = text[start:]
    plain = params._plain_params(text)
    assert plain is None or plain == params._params(text)


def test_what_clients_send_is_plain() -> None:
    sent = answer(authenticator().challenges(0.0)[0])
    assert params._plain_params(sent[7:]) == params._params(sent[7:]) == params.parse_digest(sent)


@given(st.lists(st.tuples(SEPARATORS, PARAMETERS).map("".join), max_size=3).map("".join))
def test_parameters_that_come_again_with_other_values_are_found_anew(text: str) -> None:
    for value in ("al", "bo", ""):
        again = text.replace('"al"', f'"{value}"')
        plain = params._plain_params(again)
        assert plain is None or plain == params._params(again)


def test_what_was_found_is_the_callers_own() -> None:
    text = 'username="al", qop=auth'
    found = params._plain_params(text)
    assert found is not None
    found["qop"] = "changed"
    assert params._plain_params(text) == {"username": "al", "qop": "auth"}


@rfc("7616-3.4.6")
@pytest.mark.parametrize(
    ("digest_uri", "outcome"),
    [
        ("sip:127.0.0.1:5060", Outcome.ACCEPTED),  # SIPp, unless it is told a user
        ("sip:10001@127.0.0.1", Outcome.ACCEPTED),
        ("sip:10002@127.0.0.1:5060", Outcome.WRONG),
        ("sip:10001@127.0.0.1:5070", Outcome.WRONG),
    ],
)
def test_the_digest_uri_names_the_same_resource(digest_uri: str, outcome: Outcome) -> None:
    authenticator = DigestAuthenticator("ims.example", {"alice": "secret"}.get, b"0123456789abcdef")
    challenge = authenticator.challenges(0.0)[0]
    credentials = answer_challenge(challenge, "INVITE", digest_uri, "alice", "secret", cnonce="c")
    assert authenticator.verify("INVITE", "sip:10001@127.0.0.1:5060", [credentials], 1.0).outcome is outcome


@pytest.mark.parametrize("password", ["demo", "wrong"])
@pytest.mark.parametrize("nonce", ["made up", "of another host"])
def test_no_password_is_tried_with_a_nonce_that_the_host_was_not_sent(password: str, nonce: str) -> None:
    server = authenticator()
    (challenge,) = server.challenges(0.0, host="192.0.2.1")
    if nonce == "made up":
        challenge = challenge.replace('nonce="', 'nonce="0')
    credentials = [answer(challenge, password=password)]
    assert server.verify("REGISTER", URI, credentials, 0.0, host="192.0.2.2") == Verdict(Outcome.STALE)
