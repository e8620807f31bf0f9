"""Digest AKA against a handset that shares no code with it."""

import base64
import re
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.security.aka import AKA_ALGORITHMS, AkaAuthenticator, aka_password
from ims_core.security.digest import ALGORITHMS, Outcome, Verdict, request_digest
from ims_core.security.params import parse_digest
from ims_core.subscribers.centre import AuthenticationCentre, aka
from ims_core.subscribers.directory import Directory
from ims_core.subscribers.identities import public_identity
from ims_core.subscribers.sequence import AHEAD, SequenceNumbers
from ims_core.subscribers.subscriber import Answer, Password, Subscriber
from tests.kit.milenage_sets import MILENAGE_SETS
from tests.kit.usim import Handset, Usim

rfc = pytest.mark.rfc
REALM = "ims.mnc001.mcc001.3gppnetwork.org"
URI = f"sip:{REALM}"
ALICE, BOB, CAROL = f"001010000000001@{REALM}", f"001010000000002@{REALM}", f"carol@{REALM}"
ONE, TWO = MILENAGE_SETS[0], MILENAGE_SETS[1]
HOST = "192.0.2.7"
NOON = 1_800_000_000.0


def authenticator(now: float = NOON, **options: object) -> AkaAuthenticator:
    chance = count(1)
    centre = AuthenticationCentre(
        SequenceNumbers(lambda monotonic: now + monotonic), lambda length: next(chance).to_bytes(length, "big")
    )
    directory = Directory(
        (
            Subscriber(
                ALICE,
                aka(ONE.k.hex(), op=ONE.op.hex(), amf=ONE.amf.hex()),
                ((public_identity("tel:+8613800000001"),),),
            ),
            Subscriber(
                BOB,
                aka(TWO.k.hex(), op=TWO.op.hex(), amf=TWO.amf.hex(), algorithms=("AKAv2-SHA-256", "AKAv1-MD5")),
                ((public_identity("tel:+8613800000002"),),),
            ),
            Subscriber(CAROL, Password("secret"), ((public_identity("tel:+8613800000003"),),)),
        ),
        centre,
    )
    return AkaAuthenticator(REALM, directory, b"0123456789abcdef", strangers_amf=ONE.amf, **options)  # type: ignore[arg-type]


def handset(username: str = ALICE, *, is_new: bool = False) -> Handset:
    """A handset of one of the subscribers, which would resynchronise at first if it ``is_new``."""
    figures = TWO if username == BOB else ONE
    return Handset(Usim(figures.k, figures.opc, jump=1 << 28 if is_new else 1 << 42), username)


def judged(server: AkaAuthenticator, *credentials: str, now: float = 0.0, host: str = HOST, **kinds: bytes) -> Outcome:
    return server.verify("REGISTER", URI, credentials, now, host=host, body=kinds.get("body", b"")).outcome


def challenge(server: AkaAuthenticator, user: str = ALICE, now: float = 0.0, **options: bool) -> str:
    return server.challenges(now, user, host=HOST, **options)[0]


@rfc("3310-3.2", "TS24.229-5.4.1.2.2")
def test_the_nonce_is_the_vector_and_more() -> None:
    (value,) = authenticator().challenges(0.0, ALICE, host=HOST)
    params = parse_digest(value)
    assert params is not None
    assert params["realm"] == REALM
    assert params["algorithm"] == "AKAv1-MD5"
    nonce = base64.b64decode(params["nonce"], validate=True)
    res, ck, ik = handset().usim.authenticate(nonce[:16], nonce[16:32])
    assert (len(res), len(ck), len(ik)) == (8, 16, 16)
    assert len(nonce) > 32


@rfc("3310-3.3", "TS33.203-6.1.1")
def test_the_right_response_is_accepted_and_names_the_subscriber() -> None:
    server = authenticator()
    credentials = handset().answer(challenge(server), uri=URI)
    assert server.verify("REGISTER", URI, [credentials], 0.0, host=HOST) == Verdict(Outcome.ACCEPTED, "001010000000001")
    assert server.verdicts() == {"accepted": 1, "missing": 0, "stale": 0, "wrong": 0}


@rfc("4169-3", "TS33.203-6.1.1")
def test_akav2_is_offered_to_whom_it_is_meant_for_and_accepted() -> None:
    server = authenticator()
    offered = server.challenges(0.0, BOB, host=HOST)
    assert [(parse_digest(value) or {})["algorithm"] for value in offered] == ["AKAv2-SHA-256", "AKAv1-MD5"]
    assert judged(server, handset(BOB).answer(offered[0], uri=URI)) is Outcome.ACCEPTED
    assert judged(server, handset(BOB).answer(server.challenges(0.0, BOB, host=HOST)[1], uri=URI)) is Outcome.ACCEPTED


@pytest.mark.parametrize("algorithm", ["AKAv1-MD5", "AKAv2-MD5", "AKAv2-SHA-256"])
@pytest.mark.parametrize("qop", [(), ("auth",), ("auth-int",), ("auth", "auth-int")])
def test_every_algorithm_with_every_quality_of_protection(algorithm: str, qop: tuple[str, ...]) -> None:
    server = authenticator(algorithms=(algorithm,), qop=qop)
    credentials = handset().answer(challenge(server), uri=URI, body=b"body")
    assert judged(server, credentials, body=b"body") is Outcome.ACCEPTED
    if qop == ("auth-int",):
        credentials = handset().answer(challenge(server), uri=URI, body=b"body")
        assert judged(server, credentials, body=b"another") is Outcome.WRONG


@rfc("4169-3")
def test_an_algorithm_that_was_not_offered_is_not_accepted() -> None:
    server = authenticator()
    for name in ("AKAv2-SHA-256", "MD5", "AKAv1-SHA3"):
        asked = challenge(server).replace("AKAv1-MD5", name)
        assert judged(server, handset().answer(asked, uri=URI).replace("SHA3", "SHA3-0")) is Outcome.WRONG


@rfc("3310-3.3", "4169-3")
@pytest.mark.parametrize(
    ("algorithm", "answer", "user", "nonce", "cnonce", "expected"),
    [
        (  # the test algorithm of TS 34.108 section 8.1.2 with K 00 01 … 0f, all else zero
            "AKAv1-MD5",
            Answer(bytes(range(16)), b"", b""),
            "466058041131504@ims.mnc005.mcc466.3gppnetwork.org",
            "AAAAAAAAAAAAAAAAAAAAAAMEBQYHCAAAAAECAwQFBgc=",
            "YD05duxy",
            "c76c2c281a21c0d6131e667d61a6bdf5",
        ),
        (
            "AKAv2-MD5",
            Answer(
                bytes.fromhex("2f46a9d4aa4fae35"),
                bytes.fromhex("f36f63b242d502ba520f9504bed2366b"),
                bytes.fromhex("42a43ceb1964f201564469fc2a27c305"),
            ),
            "6505550001@homedomain",
            "87654321876543218765432187654321",
            "897a977118d3092e88d574e833f7e3a3",
            "d1cae23f19f19ec19357749c4e16e811",
        ),
    ],
)
def test_responses_that_others_have_published(
    algorithm: str, answer: Answer, user: str, nonce: str, cnonce: str, *, expected: str
) -> None:
    realm = user.partition("@")[2]
    _, hashed_by = AKA_ALGORITHMS[algorithm.upper()]
    ha1 = ALGORITHMS[hashed_by](f"{user}:{realm}:".encode() + aka_password(algorithm, answer))
    params = {"uri": f"sip:{realm}", "nonce": nonce, "qop": "auth", "nc": "00000001", "cnonce": cnonce}
    assert request_digest(hashed_by, "REGISTER", params, ha1, b"") == expected


@rfc("3310-3.3")
def test_a_wrong_response_is_refused_and_uses_nothing_up() -> None:
    server, phone = authenticator(), handset()
    credentials = phone.answer(challenge(server), uri=URI)
    wrong = re.sub('response="."', 'response="x', credentials.replace('response="', 'response="x"', 1), count=1)
    for text in (
        wrong,
        re.sub(r'response="\w+"', f'response="{"0" * 32}"', credentials),
        re.sub(r'response="\w+"', 'response="é\udcff"', credentials),
        re.sub("nc=\\w+", "nc=00000002", credentials),
        re.sub("nc=\\w+", "nc=x", credentials),
        credentials.replace(f'uri="{URI}"', 'uri="sip:elsewhere.example"'),
    ):
        assert judged(server, text) is Outcome.WRONG
    assert server.verify("INVITE", URI, [credentials], 0.0, host=HOST).outcome is Outcome.WRONG
    elsewhere = phone.answer(challenge(server), uri="sip:elsewhere.example")
    assert judged(server, elsewhere) is Outcome.WRONG
    assert judged(server, credentials) is Outcome.ACCEPTED


@rfc("3310-3.4", "TS33.102-6.3.5", "TS24.229-5.4.1.2.3")
@pytest.mark.parametrize("username", [ALICE, BOB])
def test_a_usim_that_is_out_of_step_is_followed_at_once(username: str) -> None:
    server, phone = authenticator(), handset(username, is_new=True)
    credentials = phone.answer(challenge(server, username), uri=URI)
    assert "auts=" in credentials
    assert judged(server, credentials) is Outcome.MISSING
    assert server.resynchronised == 1
    assert judged(server, phone.answer(challenge(server, username), uri=URI)) is Outcome.ACCEPTED
    assert judged(server, credentials) is Outcome.STALE  # once for a nonce


@rfc("3310-3.4", "TS24.229-5.1.1.5.3")
def test_auts_counts_by_itself_whatever_the_response_is() -> None:
    for response in ('response=""', f'response="{"0" * 32}"'):
        server, phone = authenticator(), handset(is_new=True)
        credentials = re.sub(r'response="\w+"', response, phone.answer(challenge(server), uri=URI))
        assert judged(server, credentials) is Outcome.MISSING
        assert judged(server, phone.answer(challenge(server), uri=URI)) is Outcome.ACCEPTED


@rfc("TS33.102-6.3.5")
@pytest.mark.parametrize("auts", ["", "AAAA", base64.b64encode(bytes(14)).decode(), "no base64", "=", "é"])
def test_auts_that_no_usim_made_is_refused(auts: str) -> None:
    server, phone = authenticator(), handset(is_new=True)
    credentials = phone.answer(challenge(server), uri=URI)
    assert judged(server, re.sub('auts="[^"]*"', f'auts="{auts}"', credentials)) is Outcome.WRONG
    assert (server.resynchronised, server.wrong) == (0, 1)
    assert "auts=" in phone.answer(challenge(server), uri=URI)


@rfc("TS24.229-5.1.1.5.3", "TS24.229-5.4.1.2.3")
def test_a_phone_that_does_not_find_the_network_genuine_is_asked_again() -> None:
    server, phone = authenticator(), handset()
    genuine = challenge(server)
    (nonce,) = re.findall('nonce="([^"]*)"', genuine)
    forged = bytearray(base64.b64decode(nonce))
    forged[31] ^= 1
    credentials = phone.answer(genuine.replace(nonce, base64.b64encode(forged).decode()), uri=URI)
    assert 'response=""' in credentials
    assert judged(server, credentials.replace(base64.b64encode(forged).decode(), nonce)) is Outcome.MISSING
    assert server.rejected == 1
    assert judged(server, credentials) is Outcome.STALE  # what it answers was never sent


@rfc("TS24.229-5.1.1.2.2")
@pytest.mark.parametrize(
    "credentials",
    [
        (),
        (f'Digest username="{ALICE}", realm="{REALM}", nonce="", uri="{URI}", response=""',),
        (f'Digest username="{ALICE}", realm="elsewhere", nonce="x", uri="{URI}", response="y"',),
        ("Basic x",),
    ],
)
def test_a_first_request_has_no_answer_yet(credentials: tuple[str, ...]) -> None:
    server = authenticator()
    assert judged(server, *credentials) is Outcome.MISSING
    assert (server.missing, server.rejected) == (1, 0)


@rfc("3310-3.2", "7616-3.3")
def test_a_nonce_is_for_its_host_its_user_and_its_time() -> None:
    server, phone = authenticator(nonce_lifetime=30), handset()
    asked = challenge(server, now=100.9)
    credentials = phone.answer(asked, uri=URI)
    assert judged(server, credentials, now=101, host="192.0.2.8") is Outcome.STALE
    assert judged(server, credentials.replace(ALICE, BOB), now=101) is Outcome.STALE
    assert judged(server, credentials, now=131) is Outcome.STALE
    assert judged(server, re.sub('nonce="..', 'nonce="xx', credentials), now=101) is Outcome.STALE
    assert judged(server, credentials.replace('nonce="', 'nonce="!', 1), now=101) is Outcome.STALE
    assert judged(authenticator(), credentials, now=101) is Outcome.ACCEPTED  # with the same secret
    assert judged(server, credentials, now=130) is Outcome.ACCEPTED


@rfc("7616-3.3")
def test_an_expired_nonce_is_answered_with_a_stale_challenge() -> None:
    server, phone = authenticator(nonce_lifetime=30), handset()
    assert judged(server, phone.answer(challenge(server), uri=URI), now=31) is Outcome.STALE
    again = challenge(server, now=31, stale=True)
    assert "stale=true" in again
    assert judged(server, phone.answer(again, uri=URI), now=31) is Outcome.ACCEPTED


@rfc("3310-3.4", "7616-3.4.5")
def test_auts_for_an_expired_nonce_is_stale() -> None:
    server, phone = authenticator(nonce_lifetime=30), handset(is_new=True)
    assert judged(server, phone.answer(challenge(server), uri=URI), now=31) is Outcome.STALE


@rfc("7616-3.4.5", "TS24.229-5.1.1.4.2")
def test_nonce_counts_rise() -> None:
    """A phone registers again without protection, with the challenge that it has: RES serves until that expires."""
    server, phone = authenticator(), handset()
    asked = challenge(server)
    first = phone.answer(asked, uri=URI)
    params = {name: quoted or token for name, quoted, token in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,"]+))', asked)}
    res = Usim(ONE.k, ONE.opc).out(base64.b64decode(params["nonce"])[:16], 2)[8:]

    def again(nc: int) -> str:
        return phone.written(params, "REGISTER", URI, res, nc=nc, body=b"")

    assert [judged(server, text) for text in (first, first, again(2), again(2), again(1), again(7))] == [
        Outcome.ACCEPTED,
        Outcome.STALE,
        Outcome.ACCEPTED,
        Outcome.STALE,
        Outcome.STALE,
        Outcome.ACCEPTED,
    ]


@rfc("TS24.229-5.4.1.2.2")
def test_an_unprotected_re_registration_with_the_last_response_is_challenged_again() -> None:
    server, phone = authenticator(), handset()
    credentials = phone.answer(challenge(server), uri=URI)
    assert judged(server, credentials) is Outcome.ACCEPTED
    assert judged(server, credentials, now=60) is Outcome.STALE
    assert judged(server, phone.answer(challenge(server, now=60), uri=URI), now=60) is Outcome.ACCEPTED


def test_a_response_without_qop_serves_once() -> None:
    server, phone = authenticator(qop=()), handset()
    credentials = phone.answer(challenge(server), uri=URI)
    assert "nc=" not in credentials
    assert [judged(server, credentials) for _ in range(2)] == [Outcome.ACCEPTED, Outcome.STALE]


@rfc("TS24.229-5.4.1.2.2", "TS24.229-7.2A.1")
def test_only_a_p_cscf_gets_the_keys() -> None:
    server, phone = authenticator(gets_keys=HOST.__eq__), handset()
    assert "ck=" not in server.challenges(0.0, ALICE, host="192.0.2.8")[0]
    asked = challenge(server)
    phone.answer(asked, uri=URI)
    params = parse_digest(asked)
    assert params is not None
    ck, ik = phone.keys
    assert (bytes.fromhex(params["ck"]), bytes.fromhex(params["ik"])) == (ck, ik)


@rfc("TS23.003-13.3")
def test_a_private_identity_may_leave_out_the_realm() -> None:
    server = authenticator()
    phone = handset("001010000000001")
    asked = challenge(server, "001010000000001")
    assert server.verify("REGISTER", URI, [phone.answer(asked, uri=URI)], 0.0, host=HOST).user == "001010000000001"


@pytest.mark.parametrize("stranger", [f"001019999999999@{REALM}", CAROL, "nobody", "", "a@b@c"])
def test_a_stranger_sees_what_a_subscriber_sees(stranger: str) -> None:
    """Somebody with a password is a stranger, too: the other authenticator asks him."""
    server = authenticator(gets_keys=HOST.__eq__)
    shapes = []
    for user in (ALICE, stranger):
        params = parse_digest(challenge(server, user))
        assert params is not None
        nonce = base64.b64decode(params.pop("nonce"))
        serial = int.from_bytes(nonce[36:41], "big")
        shapes.append((len(nonce), nonce[22:24], len(params.pop("ck")), len(params.pop("ik")), params))
        assert serial == len(shapes)
    assert shapes[0] == shapes[1]
    phone = Handset(Usim(ONE.k, ONE.opc, jump=1 << 42), stranger)
    assert 'response=""' in phone.answer(challenge(server, stranger), uri=URI)
    for rest in (f'response="{"0" * 32}", qop=auth, nc=00000001, cnonce="x"', f'response="", auts="{"A" * 19}="'):
        outcomes = []
        for user in (ALICE, stranger):
            (nonce_text,) = re.findall('nonce="([^"]*)"', challenge(server, user))
            head = f'Digest username="{user}", realm="{REALM}", nonce="{nonce_text}", uri="{URI}", algorithm=AKAv1-MD5'
            outcomes.append(judged(server, f"{head}, {rest}"))
        assert outcomes == [Outcome.WRONG] * 2


def test_not_even_the_keys_that_nobody_has_let_a_stranger_in() -> None:
    server, stranger = authenticator(), f"001019999999999@{REALM}"
    params = parse_digest(challenge(server, stranger))
    assert params is not None
    res = server._nobody(stranger, base64.b64decode(params["nonce"])[:16]).answer.res
    credentials = handset(stranger).written(params, "REGISTER", URI, res, nc=1, body=b"")
    assert judged(server, credentials) is Outcome.WRONG


def test_memory_of_answered_nonces_is_bounded() -> None:
    server, phone = authenticator(nonces_remembered=3), handset()
    answers = [phone.answer(challenge(server), uri=URI) for _ in range(6)]
    assert [judged(server, text) for text in answers] == [Outcome.ACCEPTED] * 6
    assert len(server._used) == 3
    assert [judged(server, text) for text in answers] == [Outcome.STALE] * 6


@given(st.text(), st.text(), st.text(), st.text(), st.booleans())
def test_no_text_is_too_odd(username: str, nonce: str, response: str, auts: str, is_ours: bool) -> None:
    server = authenticator()
    if is_ours:
        (nonce,) = re.findall('nonce="([^"]*)"', server.challenges(0.0, username, host=HOST)[0])
    for rest in ("", f', auts="{auts}"', f', qop=auth, nc=00000001, cnonce="{auts}"', f", algorithm={auts}"):
        text = f'Digest username="{username}", realm="{REALM}", nonce="{nonce}", uri="{URI}", response="{response}"'
        assert judged(server, text + rest) is not Outcome.ACCEPTED


@given(st.binary(max_size=80), st.binary(max_size=20))
def test_no_octets_are_too_odd(nonce: bytes, auts: bytes) -> None:
    server = authenticator()
    (ours,) = re.findall('nonce="([^"]*)"', challenge(server))
    for each in (ours, base64.b64encode(nonce).decode()):
        text = f'Digest username="{ALICE}", realm="{REALM}", nonce="{each}", auts="{base64.b64encode(auts).decode()}"'
        assert judged(server, text) in {Outcome.WRONG, Outcome.STALE, Outcome.MISSING}


@rfc("TS33.102-C.2.2", "TS33.102-6.3.5")
@given(
    st.lists(
        st.integers(0, (1 << 43) - 2000) | st.integers(int(NOON) * 10, int(NOON) * 10 + 50), min_size=32, max_size=32
    ),
    st.integers(AHEAD, 1 << 28),
    st.lists(st.integers(0, 5), max_size=8),
)
def test_usim_and_network_agree_after_one_resynchronisation_at_most(
    accepted: list[int], jump: int, lost: list[int]
) -> None:
    """Whatever the USIM has accepted elsewhere, and however many challenges are lost on the way."""
    server = authenticator()
    phone = Handset(Usim(ONE.k, ONE.opc, jump, accepted), ALICE)
    for number in [0, 0, *lost]:
        for _ in range(number):
            challenge(server)
        outcome = judged(server, phone.answer(challenge(server), uri=URI))
        if outcome is Outcome.MISSING:
            outcome = judged(server, phone.answer(challenge(server), uri=URI))
        assert outcome is Outcome.ACCEPTED
    assert server.resynchronised <= 1
