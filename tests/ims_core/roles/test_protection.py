"""What a first hop reads of credentials, and says of how they came (TS 24.229 sections 5.2.2 and 7.2A)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.errors import BadRequest
from ims_core.messages.message import Request, Response
from ims_core.registrar.ims import says_protected
from ims_core.roles.protection import Credentials, Keys, credentials_of, integrity, mark_integrity, take_keys

rfc = pytest.mark.rfc
SAID = 'Digest username="a@home.example", realm="home", nonce="n,\\"=", uri="sip:home", response=""'


def register(*values: str) -> Request:
    request = Request("REGISTER", "sip:home.example")
    for value in values:
        request.add("Authorization", value)
    return request


@pytest.mark.parametrize(
    ("values", "read"),
    [
        ([SAID], Credentials("a@home.example")),
        ([SAID.replace('response=""', 'response="0f"')], Credentials("a@home.example", False, True)),
        ([f"{SAID}, algorithm=AKAv1-MD5"], Credentials("a@home.example", True)),
        ([f'{SAID}, Algorithm="akav2-SHA-256"'], Credentials("a@home.example", True)),
        ([f'{SAID}, algorithm=AKAv1-MD5, auts="AAAA"'], Credentials("a@home.example", True, False, True)),
        (["Basic YTpi", f"dIGEST {SAID[7:]}"], Credentials("a@home.example")),
        (["Basic username=a"], Credentials()),
        (['Digest username="a'], Credentials()),
        ([], Credentials()),
    ],
)
def test_credentials_are_read_as_far_as_they_can_be(values: list[str], read: Credentials) -> None:
    assert credentials_of(register(*values)) == read


@rfc("TS24.229-5.2.2.2", "TS24.229-5.2.2.4", "TS24.229-5.2.2.5")
@pytest.mark.parametrize("is_secure", [False, True])
@pytest.mark.parametrize(
    ("by_aka", "answers", "is_registered", "word"),
    [
        (False, False, False, ""),
        (False, True, False, "pending"),
        (False, False, True, "yes"),
        (False, True, True, "yes"),
        (True, False, False, "no"),
        (True, True, False, "pending"),
        (True, False, True, "no"),
        (True, True, True, "pending"),
    ],
)
def test_only_who_proved_himself_by_this_flow_is_protected(
    by_aka: bool, answers: bool, is_registered: bool, word: str, is_secure: bool
) -> None:
    said = Credentials("a", by_aka, answers)
    kind = "tls-" if is_secure else "ip-assoc-"
    found = integrity(said, is_secure=is_secure, is_registered=is_registered, by_aka=False, is_associated=False)
    assert found == (f"{kind}{word}" if word not in {"", "no"} else word)
    assert integrity(said, is_secure=is_secure, is_registered=is_registered, by_aka=False, is_associated=True) == "yes"


@rfc("TS24.229-5.2.2.2")
def test_who_registered_by_aka_is_not_let_off_by_not_naming_it() -> None:
    said = Credentials("a", False, False)
    assert integrity(said, is_secure=True, is_registered=True, by_aka=True, is_associated=False) == "no"


@rfc("TS24.229-7.2A.2", "TS24.229-5.2.2.1")
@pytest.mark.parametrize("word", ["", "tls-yes"])
@pytest.mark.parametrize(
    "lie", ["", ', integrity-protected="yes"', ", Integrity-Protected = yes", ', integrity-protected="a,b"']
)
def test_nobody_but_the_first_hop_says_how_a_register_came(lie: str, word: str) -> None:
    request = register("Basic YTpi", SAID + lie)
    mark_integrity(request, word)
    told = f', integrity-protected="{word}"' if word else ""
    assert request.whole_values("Authorization") == ["Basic YTpi", SAID + told]
    without = register()
    mark_integrity(without, word)
    assert not without.lines


@rfc("TS24.229-7.2A.2")
@pytest.mark.parametrize(
    "value",
    [
        'Digest username="a\\", integrity-protected=tls-yes',
        'Digest username="a, integrity-protected="tls-yes"',
        "Digest\tintegrity-protected=yes, username=a",
        "Digest integrity-protected=yes",
        'Digest x="integrity-protected=yes"',
        "Digest a=b,integrity-protected=yes,\tINTEGRITY-PROTECTED=yes",
        'Digest a=b, <integrity-protected="tls-yes">, integrity-protected=tls-yes',
        "integrity-protected=yes",
    ],
)
def test_however_it_is_written_nobody_reads_it_behind_the_first_hop(value: str) -> None:
    request = register(value)
    try:
        mark_integrity(request, "")
    except BadRequest:
        return
    assert "integrity-protected" not in str(request.lines).lower()
    assert not any(map(says_protected, [request]))


@given(
    st.lists(st.sampled_from(["Digest ", "integrity-protected", "=", '"', "\\", ",", "yes", " ", "\t", "<", ">", "a"]))
)
def test_nor_however_else(parts: list[str]) -> None:
    request = register("Digest " + "".join(parts))
    try:
        mark_integrity(request, "")
    except BadRequest:
        return
    assert not says_protected(request)
    assert "integrity-protected" not in str(request.lines).lower()


@rfc("TS24.229-5.2.2.2", "TS24.229-7.2A.1")
def test_keys_are_taken_off_every_challenge() -> None:
    response = Response(401, "Unauthorized")
    challenge = 'Digest realm="home", nonce="ck=\\"00\\"", algorithm=AKAv1-MD5'
    for value in ("Basic realm=x", f'{challenge}, CK="{"0a" * 16}", ik="{"0b" * 16}"', challenge):
        response.add("WWW-Authenticate", value)
    assert take_keys(response) == Keys(b"\x0a" * 16, b"\x0b" * 16)
    assert response.whole_values("WWW-Authenticate") == ["Basic realm=x", challenge, challenge]
    before = list(response.lines)
    assert take_keys(response) == Keys()
    assert response.lines == before
    odd = Response(401, "Unauthorized")
    odd.add("WWW-Authenticate", 'Digest realm="home", ck="no hex", ik=')
    assert take_keys(odd) == Keys()
    assert odd.whole_values("WWW-Authenticate") == ['Digest realm="home"']
