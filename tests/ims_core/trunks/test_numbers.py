"""Numbers as they are dialled and sent, and what they are in E.164."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ims_core.messages.uri import parse_uri
from ims_core.trunks.numbers import CHINA, DialPlan, Form, dialled_in, is_e164, matches, rewritten

BEIJING = replace(CHINA, area="10")
LANZHOU = replace(CHINA, area="931")
USA = DialPlan("1", "212", "011", "1", direct=("[2-9]xx[2-9]xxxxxx",), local=("[2-9]xxxxxx",))
GERMANY = DialPlan("49", "30", local=("[1-9]xxxx.",))


@pytest.mark.rfc("E.164-6.2.1")
@pytest.mark.parametrize(
    ("plan", "dialled", "expected"),
    [
        (BEIJING, "+861065551234", "+861065551234"),
        (BEIJING, "+86-10-6555 1234", "+861065551234"),
        (BEIJING, "+86 (10) 6555.1234", "+861065551234"),
        (BEIJING, "008613800138000", "+8613800138000"),
        (BEIJING, "0012125550100", "+12125550100"),
        (BEIJING, "01065551234", "+861065551234"),
        (BEIJING, "02165551234", "+862165551234"),
        (BEIJING, "09318888888", "+869318888888"),
        (BEIJING, "013800138000", "+8613800138000"),
        (BEIJING, "13800138000", "+8613800138000"),
        (BEIJING, "19912345678", "+8619912345678"),
        (BEIJING, "4008001234", "+864008001234"),
        (BEIJING, "65551234", "+861065551234"),
        (LANZHOU, "8888888", "+869318888888"),
        (CHINA, "65551234", "65551234"),
        *[
            (BEIJING, short, short)
            for short in ("110", "114", "119", "10000", "10086", "12306", "95588", "1001", "*11")
        ],
        (BEIJING, "alice", "alice"),
        (BEIJING, "a-1", "a-1"),
        (BEIJING, "", ""),
        (BEIJING, "+", "+"),
        (BEIJING, "+86x", "+86x"),
        (BEIJING, "00123456789012345678", "00123456789012345678"),
        (USA, "2125550100", "+12125550100"),
        (USA, "12125550100", "+12125550100"),
        (USA, "5550100", "+12125550100"),
        (USA, "011861065551234", "+861065551234"),
        (USA, "911", "911"),
        (GERMANY, "0891234567", "+49891234567"),
        (GERMANY, "1234567", "+49301234567"),
        (GERMANY, "112", "112"),
    ],
)
def test_what_is_dialled_becomes_e164(plan: DialPlan, dialled: str, expected: str) -> None:
    assert plan.e164(dialled) == expected


@pytest.mark.parametrize(
    ("plan", "number", "form", "expected"),
    [
        (BEIJING, "+861065551234", "e164", "+861065551234"),
        (BEIJING, "+861065551234", "international", "00861065551234"),
        (BEIJING, "+861065551234", "national", "01065551234"),
        (BEIJING, "+8613800138000", "national", "13800138000"),
        (BEIJING, "+864008001234", "national", "4008001234"),
        (BEIJING, "+12125550100", "national", "0012125550100"),
        (BEIJING, "+12125550100", "plain", "12125550100"),
        (BEIJING, "10000", "international", "10000"),
        (BEIJING, "alice", "plain", "alice"),
        (USA, "+861065551234", "national", "011861065551234"),
        (USA, "+12125550100", "national", "2125550100"),
    ],
)
def test_a_trunk_gets_numbers_as_it_wants_them(plan: DialPlan, number: str, form: Form, expected: str) -> None:
    assert plan.written(number, form) == expected


@pytest.mark.parametrize("form", ["e164", "international", "national"])
@given(significant=st.from_regex(r"[1-9][0-9]{7,11}", fullmatch=True), country=st.sampled_from(["86", "1", "49"]))
def test_what_is_written_for_a_trunk_is_read_again(form: Form, significant: str, country: str) -> None:
    number = f"+{country}{significant}"
    plan = replace(BEIJING, direct=("1[3-9]xxxxxxxxx",))
    assert plan.e164(plan.written(number, form)) == number


@given(st.text(alphabet="+0123456789-.() ;=ax*#٣", max_size=24))
def test_a_number_is_normalised_once(dialled: str) -> None:
    once = BEIJING.e164(dialled)
    if is_e164(once):
        assert BEIJING.e164(once) == once
    else:
        assert once in {dialled, dialled.translate(str.maketrans("", "", "-.() "))}


@pytest.mark.rfc("3966-5.1.5", "3261-19.1.6")
@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sip:+861065551234@192.0.2.1;user=phone", "+861065551234"),
        ("sip:%2B861065551234@192.0.2.1", "+861065551234"),
        ("sip:+86-10-6555-1234@192.0.2.1", "+861065551234"),
        ("tel:+86-10-6555-1234", "+861065551234"),
        ("tel:65551234;phone-context=+8610", "+861065551234"),
        ("tel:1065551234;phone-context=+86", "+861065551234"),
        ("tel:01065551234;phone-context=+86", "+861065551234"),
        ("tel:65551234;phone-context=ims.example", "+861065551234"),
        ("tel:+861065551234;ext=1234", "+861065551234"),
        ("sip:65551234;phone-context=+8621@192.0.2.1;user=phone", "+862165551234"),
        ("sip:+861065551234;ext=22@192.0.2.1;user=phone", "+861065551234"),
        ("tel:110;phone-context=ims.example", "110"),
    ],
)
def test_the_number_that_a_uri_names(uri: str, expected: str) -> None:
    assert BEIJING.e164(*dialled_in(parse_uri(uri))) == expected


@pytest.mark.parametrize(
    ("pattern", "number", "does"),
    [
        ("+861.", "+8613800138000", True),
        ("+861.", "+861", True),
        ("+861.", "+862165551234", False),
        ("+86[2-9].", "+862165551234", True),
        ("1xx", "110", True),
        ("1xx", "1100", False),
        ("1xx", "11a", False),
        (".", "110", True),
        ("*11", "*11", True),
        ("+.", "+12125550100", True),
        ("+.", "110", False),
    ],
)
def test_patterns(pattern: str, number: str, does: bool) -> None:
    assert matches(pattern, number) is does


def test_the_longest_prefix_is_replaced() -> None:
    prefixes = {"+86": "0", "+8610": "", "+": "00"}
    assert rewritten("+861065551234", prefixes) == "65551234"
    assert rewritten("+862165551234", prefixes) == "02165551234"
    assert rewritten("+12125550100", prefixes) == "0012125550100"
    assert rewritten("110", prefixes) is None
