"""Handsets with a USIM register: what goes over the wire, with a USIM that shares no code with the S-CSCF."""

from __future__ import annotations

import pytest

from ims_core.messages.message import Response
from ims_core.security.params import parse_digest
from ims_core.subscribers.centre import aka
from ims_core.subscribers.identities import public_identity
from ims_core.subscribers.subscriber import Subscriber
from tests.kit import Network
from tests.kit.home import Handset, Home
from tests.kit.milenage_sets import MILENAGE_SETS
from tests.kit.phone import DOMAIN
from tests.kit.usim import Handset as AkaHandset
from tests.kit.usim import Usim

rfc = pytest.mark.rfc

FIRST = MILENAGE_SETS[0]
IDENTITY = "sip:+8613800000009@ims.example"


class Mobile(Handset):
    """A handset with a USIM; with ``jump`` it takes numbers that are that far ahead."""

    def __init__(self, home: Home, *, jump: int = 1 << 42) -> None:
        super().__init__(home, "mobile")
        self.aka = AkaHandset(Usim(FIRST.k, FIRST.opc, jump), self.private)

    def challenge(self, *headers: tuple[str, str]) -> str:
        """REGISTER and return the challenge that comes back."""
        response = self.send_register(IDENTITY, *headers)
        assert response.status == 401
        (challenge,) = response.whole_values("WWW-Authenticate")
        return challenge

    def enters(self, credentials: str, *, expires: int = 600) -> Response:
        """REGISTER with these credentials."""
        return self.send_register(IDENTITY, ("Authorization", credentials), expires=expires)

    def answered(self, challenge: str) -> str:
        return self.aka.answer(challenge, "REGISTER", f"sip:{DOMAIN}")


def home_of(*algorithms: str) -> Home:
    keys = aka(FIRST.k.hex(), op=FIRST.op.hex(), amf=FIRST.amf.hex(), algorithms=algorithms)
    return Home(Network(), subscribers=[Subscriber(f"mobile@{DOMAIN}", keys, ((public_identity(IDENTITY),),))])


@rfc("3310-3.3", "4169-3", "TS33.203-6.1.1")
@pytest.mark.parametrize("algorithms", [(), ("AKAv1-MD5",), ("AKAv2-SHA-256",)], ids="".join)
def test_a_usim_registers_and_leaves(algorithms: tuple[str, ...]) -> None:
    home = home_of(*algorithms)
    mobile = Mobile(home)
    challenge = mobile.challenge()
    params = parse_digest(challenge)
    assert params is not None
    assert (params["realm"], params["algorithm"]) == (DOMAIN, algorithms[0] if algorithms else "AKAv1-MD5")
    assert not {"ik", "ck", "stale"} & params.keys()
    assert mobile.enters(mobile.answered(challenge)).status == 200
    assert home.contacts(IDENTITY) == [mobile.uri]
    assert mobile.enters(mobile.answered(mobile.challenge()), expires=0).status == 200
    assert not home.contacts(IDENTITY)
    home.network.run(40)
    home.assert_idle()


@rfc("3310-3.4", "TS33.102-6.3.5", "TS24.229-5.4.1.2.3")
def test_a_new_usim_is_followed_within_one_round() -> None:
    home = home_of()
    mobile = Mobile(home, jump=1 << 28)
    credentials = mobile.answered(mobile.challenge())
    assert "auts=" in credentials
    again = mobile.challenge(("Authorization", credentials))
    assert "stale" not in again
    assert not home.contacts(IDENTITY)
    assert mobile.enters(mobile.answered(again)).status == 200
    assert "auts=" not in mobile.answered(mobile.challenge())


@rfc("3310-3.3", "TS24.229-5.4.1.2.3")
def test_a_wrong_response_is_challenged_anew_and_changes_nothing() -> None:
    home = home_of()
    thief, mobile = Mobile(home), Mobile(home)
    thief.aka.usim.k = bytes(16)
    thief_asked = thief.challenge()
    assert 'response=""' in thief.answered(thief_asked), "without the key, not even the network is genuine"
    params = parse_digest(thief_asked)
    assert params is not None
    guess = thief.aka.written(params, "REGISTER", f"sip:{DOMAIN}", b"12345678", nc=1, body=b"")
    fresh = thief.challenge(("Authorization", guess))
    assert fresh != thief_asked
    assert home.registrar.wrong_credentials == 1
    assert not home.contacts(IDENTITY)
    assert mobile.enters(mobile.answered(mobile.challenge())).status == 200


@rfc("TS24.229-5.1.1.5.3")
def test_a_mobile_that_doubts_the_network_is_challenged_anew() -> None:
    mobile = Mobile(home_of())
    asked = parse_digest(mobile.challenge())
    assert asked is not None
    doubt = f'Digest username="{mobile.private}", realm="{DOMAIN}", nonce="{asked["nonce"]}", uri="sip:{DOMAIN}"'
    again = mobile.challenge(("Authorization", f'{doubt}, response="", algorithm=AKAv1-MD5'))
    assert "stale" not in again
    assert mobile.enters(mobile.answered(again)).status == 200


@rfc("7616-3.4.5", "TS24.229-5.4.1.2.2", "TS24.229-5.1.1.4.2")
def test_credentials_serve_once_and_count_on() -> None:
    home = home_of()
    mobile = Mobile(home)
    asked = mobile.challenge()
    credentials = mobile.answered(asked)
    assert mobile.enters(credentials).status == 200
    assert "stale=true" in mobile.challenge(("Authorization", credentials)), "as they were, they are a replay"
    params = parse_digest(asked)
    assert params is not None
    res = home.directory.answer(mobile.private, mobile.aka.rand_of(params["nonce"]))
    assert res is not None
    second = mobile.aka.written(params, "REGISTER", f"sip:{DOMAIN}", res.res, nc=2, body=b"")
    assert mobile.enters(second).status == 200


@rfc("7616-3.3")
def test_an_expired_nonce_is_stale_and_its_successor_serves() -> None:
    home = home_of()
    mobile = Mobile(home)
    credentials = mobile.answered(mobile.challenge())
    home.network.run(301)
    again = mobile.challenge(("Authorization", credentials))
    assert "stale=true" in again
    assert mobile.enters(mobile.answered(again)).status == 200
