"""What who registers or calls is asked for, where several algorithms are known, and who is told of the outcome."""

import random
import re

import pytest

from ims_core.errors import SipError
from ims_core.flow import Flow
from ims_core.ids import Ids
from ims_core.messages.message import Message, Request, Response
from ims_core.messages.parser import parse_message
from ims_core.registrar.location import Domains, Location
from ims_core.registrar.registrar import Registrar
from ims_core.roles.pcscf import Pcscf
from ims_core.security.digest import Account, DigestAuthenticator, Outcome, Verdict, answer_challenges
from ims_core.subscribers.subscriber import Password

rfc = pytest.mark.rfc

FLOW = Flow("UDP", ("127.0.0.1", 5060), ("127.0.0.66", 5070))
USERS = {"alice": "demo", "old": "demo"}
ACCOUNTS: dict[str, Account | str] = {**USERS, "old": Password("demo", ("MD5",))}


def _told(error: SipError) -> Response:
    response = Response(error.status, error.reason)
    for name, value in error.headers:
        response.add(name, value)
    return response


class Site:
    """A registrar and a first hop with one authenticator; ``verdicts`` is what each told."""

    def __init__(self) -> None:
        domains, location = Domains("ims.example"), Location()
        authenticator = DigestAuthenticator(
            "ims.example",
            ACCOUNTS.get,
            b"0123456789abcdef",
            algorithms=["SHA-256", "MD5"],
            qop=["auth", "auth-int"],
        )
        self.verdicts: list[tuple[Flow, Verdict, float]] = []
        self.registrar = Registrar(domains, location, Ids(random.Random(1).getrandbits), authenticator=authenticator)
        self.pcscf = Pcscf(domains, location, authenticator=authenticator, is_trunk=lambda *_: False)
        for role in (self.registrar, self.pcscf):
            role.on_verdict = lambda *told: self.verdicts.append(told)

    def ask(self, method: str, user: str, *lines: str, flow: Flow = FLOW, body: str = "") -> Message | None:
        """Send a request; returns the response, None when the first hop admits it."""
        head = [
            f"{method} sip:ims.example SIP/2.0",
            "Via: SIP/2.0/UDP 127.0.0.66:5070;branch=z9hG4bK1",
            f"From: <sip:{user}@ims.example>;tag=1",
            f"To: <sip:{user}@ims.example>",
            "Call-ID: 1",
            f"CSeq: 1 {method}",
        ]
        request = parse_message("\r\n".join([*head, *lines, f"Content-Length: {len(body)}", "", body]).encode())
        assert isinstance(request, Request)
        if method == "REGISTER":
            answer = self.registrar.handle(request, flow, 10.0)
            return _told(answer) if isinstance(answer, SipError) else answer
        try:
            self.pcscf.route(request, flow, 10.0)
        except SipError as error:
            return _told(error)
        return None

    def challenges(self, method: str, user: str, *lines: str) -> list[str]:
        response = self.ask(method, user, *lines)
        assert response is not None
        return response.whole_values("WWW-Authenticate" if method == "REGISTER" else "Proxy-Authenticate")


def header(method: str, challenges: list[str], user: str, password: str = "demo", body: bytes = b"") -> str:
    (answer,) = answer_challenges(challenges, method, "sip:ims.example", user, password, cnonce="abc", body=body)
    return f"{'Authorization' if method == 'REGISTER' else 'Proxy-Authorization'}: {answer}"


@rfc("8760-2.4", "3261-22.2", "3261-22.3")
@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_each_algorithm_is_a_challenge_of_its_own_in_a_header_of_its_own(method: str) -> None:
    site = Site()
    first, second = site.challenges(method, "alice")
    assert "algorithm=SHA-256" in first
    assert "algorithm=MD5" in second
    (only,) = site.challenges(method, "old")
    assert "algorithm=MD5" in only


@rfc("8760-2.4")
@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
@pytest.mark.parametrize("chosen", [0, 1], ids=["SHA-256", "MD5"])
def test_either_answer_is_taken(method: str, chosen: int) -> None:
    site = Site()
    answer = header(method, [site.challenges(method, "alice")[chosen]], "alice")
    response = site.ask(method, "alice", answer)
    assert response is None or "www-authenticate" not in response.keys
    assert [verdict for _, verdict, _ in site.verdicts] == [
        Verdict(Outcome.MISSING),
        Verdict(Outcome.ACCEPTED, "alice"),
    ]


@rfc("7616-3.4.3")
@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
@pytest.mark.parametrize(("sent", "accepted"), [("v=0", True), ("v=1", False)])
def test_a_body_that_was_changed_on_the_way_is_found_out(method: str, sent: str, accepted: bool) -> None:
    site = Site()
    challenge = site.challenges(method, "alice")[0].replace('"auth,auth-int"', '"auth-int"')
    site.ask(method, "alice", header(method, [challenge], "alice", body=b"v=0"), body=sent)
    assert site.verdicts[-1][1].outcome is (Outcome.ACCEPTED if accepted else Outcome.WRONG)


@rfc("3261-22.1")
@pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
def test_nothing_tells_an_unknown_user_from_a_wrong_password(method: str) -> None:
    site = Site()
    shapes: set[tuple[str, ...]] = set()
    for user in ("alice", "nobody"):
        challenges = site.challenges(method, user)
        refused = site.challenges(method, user, header(method, challenges, user, "guess"))
        shapes |= {tuple(re.sub(r'nonce="[0-9a-f-]+"', "", value) for value in told) for told in (challenges, refused)}
    assert len(shapes) == 1
    assert [verdict.outcome for _, verdict, _ in site.verdicts] == [Outcome.MISSING, Outcome.WRONG] * 2
    assert {(flow, now) for flow, _, now in site.verdicts} == {(FLOW, 10.0)}
