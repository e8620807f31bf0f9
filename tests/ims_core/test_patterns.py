"""Regular expressions of operators: refused with a sentence where they are none, and never slow."""

from __future__ import annotations

import pytest

from ims_core.patterns import LONGEST, NamePattern, Pattern, PatternError


@pytest.mark.rfc("TS29.228-F")
@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("b", "abc", True),
        ("^b", "abc", False),
        ("c$", "abc", True),
        ("^$", "", True),
        ("", "abc", True),
        ("a|x", "xyz", True),
        ("[[:alpha:]]{2}[[:digit:]]", "--ab1", True),
        ("[^[:space:]]+@", "bob@x", True),
        ("a.c", "a\nc", False),
        ("(ab)+c?d{2,}", "ababdd", True),
        ("1[3-9][0-9]{9}", "sip:+8613800000001@x", True),
        ("[.]", "ab", False),
        ("\\+86", "+86", True),
        ("B", "abc", False),
        ("中.$", "中文", True),
    ],
)
def test_they_are_extended_regular_expressions_and_found_anywhere(pattern: str, text: str, found: bool) -> None:
    assert Pattern(pattern).found_in(text) is found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("(a", "missing )"),
        ("[a", "missing ]"),
        ("*", "no argument for repetition operator"),
        ("a{2", None),
        ("(a)\\1", "invalid escape sequence"),
        ("(?=a)", "invalid perl operator"),
        ("a{1001}", "invalid repetition size"),
        ("((a{100}){100}){100}", "invalid repetition size"),
        ("(((((a{30}){30})b){30})c){30}", ""),
        ("\ud800", "UTF-8"),
        ("x" * (LONGEST + 1), f"at most {LONGEST} characters"),
    ],
)
def test_what_is_none_is_refused_with_a_sentence(text: str, why: str | None) -> None:
    if why is None:  # POSIX: a brace that begins no interval stands for itself
        assert Pattern(text).found_in("a{2")
        return
    with pytest.raises(PatternError) as caught:
        Pattern(text)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|aa)*$", "^a*a*a*a*a*a*a*$", "([a-z]+)*[0-9]", "(.*)(.*)(.*)x$"])
def test_no_pattern_takes_longer_than_its_text_is_long(pattern: str) -> None:
    """With an engine that goes back and tries again each of these would take years, so that this test never ended."""
    assert not Pattern(pattern).found_in("a" * 50_000 + "!")


def test_equal_patterns_are_equal_values() -> None:
    assert Pattern("a") == Pattern("a")
    assert Pattern("a") != Pattern("b")
    assert Pattern("a") != NamePattern("a")
    assert Pattern("a") != "a"
    assert len({Pattern("a"), Pattern("a"), Pattern("b")}) == 2
    assert repr(NamePattern("a+")) == "NamePattern('a+')"


def test_names_are_whole_and_of_any_case() -> None:
    assert NamePattern("p-.*").matches("P-Asserted-Identity")
    assert not NamePattern("asserted").matches("p-asserted-identity")
