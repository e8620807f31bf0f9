"""Public identities: canonical forms, and wildcards."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.errors import SipError
from ims_core.messages.uri import parse_uri
from ims_core.patterns import Pattern
from ims_core.subscribers.identities import PublicIdentity, canonical, number_of, public_identity


@pytest.mark.rfc("TS23.003-13.4", "3966-5")
@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("sip:Alice@IMS.Example", "sip:Alice@ims.example"),
        ("sip:alice@ims.example.:5070;transport=tcp?Subject=x", "sip:alice@ims.example"),
        ("sips:alice@ims.example", "sip:alice@ims.example"),
        ("sip:%61lice@ims.example", "sip:alice@ims.example"),
        ("sip:alice%20b@ims.example", "sip:alice%20b@ims.example"),
        ("sip:+86-138(0000)0001@ims.example;user=phone", "sip:+8613800000001@ims.example"),
        ("sip:+8613800000001;isub=12@ims.example;user=phone", "sip:+8613800000001@ims.example"),
        ("sip:1-10;phone-context=IMS.example@ims.example;user=phone", "sip:110;phone-context=ims.example@ims.example"),
        ("sip:+86-138@ims.example", "sip:+86-138@ims.example"),
        ("tel:+86-138.0000(0001)", "tel:+8613800000001"),
        ("tel:+8613800000001;isub=12", "tel:+8613800000001"),
        ("tel:1-10;phone-context=+86-10", "tel:110;phone-context=+8610"),
        ("TEL:A10;phone-context=IMS.example", "tel:a10;phone-context=ims.example"),
        ("tel:110", "tel:110"),
        ("sip:IMS.example", "sip:ims.example"),
        ("sip:alice@[2001:DB8:0:0::1]", "sip:alice@[2001:db8::1]"),
    ],
)
def test_identities_are_compared_in_one_form(text: str, form: str) -> None:
    assert canonical(parse_uri(text)) == form


@given(st.text())
def test_a_canonical_form_is_its_own(text: str) -> None:
    for uri in (f"sip:{text}@ims.example", f"sip:{text}", f"tel:{text}", f"sip:{text}@x;user=phone"):
        try:
            form = canonical(parse_uri(uri))
        except SipError:
            continue
        if form.startswith("sip:") and "@" in form:
            assert canonical(parse_uri(form)) == form


@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("tel:+8613800000001", "+8613800000001"),
        ("sip:+8613800000001@ims.example", "+8613800000001"),
        ("tel:110;phone-context=+86", ""),
        ("sip:+86x@ims.example", ""),
        ("sip:alice@ims.example", ""),
    ],
)
def test_which_identities_are_numbers(uri: str, number: str) -> None:
    assert number_of(uri) == number


@pytest.mark.rfc("TS23.003-13.5")
@pytest.mark.parametrize(
    ("text", "matching", "others"),
    [
        (
            "sip:chatlist-!.*!@IMS.example",
            ["sip:chatlist-1@ims.example", "sip:chatlist-@ims.example"],
            ["sip:chatlist@ims.example", "sip:chatlist-1@ims.example.net", "sip:xchatlist-1@ims.example"],
        ),
        ("tel:+861012!34[0-9]{2}!", ["tel:+8610123400"], ["tel:+861012340", "tel:+86101234001", "tel:+8610123500"]),
        ("sip:!a|b!-desk@ims.example", ["sip:a-desk@ims.example"], ["sip:a", "sip:c-desk@ims.example"]),
    ],
)
def test_a_wildcarded_identity_matches_what_its_expression_does(
    text: str, matching: list[str], others: list[str]
) -> None:
    identity = public_identity(text, profile="pbx")
    assert identity.profile == "pbx"
    assert public_identity(identity.uri, profile="pbx") == identity
    assert all(map(Pattern(identity.wildcard).matches, matching))
    assert not any(map(Pattern(identity.wildcard).matches, others))


def test_a_single_exclamation_mark_is_nothing_special() -> None:
    assert public_identity("sip:yahoo!@ims.example", barred=True) == PublicIdentity(
        "sip:yahoo!@ims.example", barred=True
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("alice", "expected a sip or tel URI, not 'alice'"),
        ("http://ims.example", "expected a sip or tel URI"),
        ("sip:pbx-![!@ims.example", "expected an extended regular expression (missing ]: [) between the two ! of"),
        ("sip:!(a)\\1!@ims.example", "expected an extended regular expression (invalid escape sequence: \\1)"),
        ("sip:!a)|(b!@ims.example", "expected an extended regular expression (unexpected ): a)|(b)"),
        (f"sip:!{'a' * 990}!@ims.example", "expected a regular expression of at most 1000 characters"),
        ("sip:pbx@!.*!.example", "expected a sip or tel URI"),
        ("sip:a!.*!b!.*!@ims.example", "expected one regular expression"),
    ],
)
def test_what_is_no_identity_is_refused_with_a_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        public_identity(text)
