"""No regular expression tries one text in many ways: that is read from them, as steps within ``re`` cannot be counted.

What a repetition takes it may have to give back, unless it is possessive. That costs in proportion to the text when
nothing else could take what is given back; within another repetition it costs more than any power of it, and its
square when one that can take the same follows, with nothing between them that tells where the one ends.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Sequence
from importlib import import_module
from itertools import combinations
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

import pytest

import ims_core

ALPHABET = [chr(code) for code in range(0x180)]
SINGLE = {"LITERAL", "NOT_LITERAL", "ANY", "IN"}


class Part(NamedTuple):
    """A piece of an expression: what may stand in it, whether without end, and whether something must."""

    characters: frozenset[str]
    endless: bool = False
    needed: bool = True


def patterns() -> dict[str, re.Pattern[Any]]:
    """Those of all modules, also those in tables."""
    found: dict[str, re.Pattern[Any]] = {}
    for module in pkgutil.walk_packages(ims_core.__path__, "ims_core."):
        for name, value in vars(import_module(module.name)).items():
            table = value.items() if isinstance(value, dict) else [("", value)]
            found |= {f"{module.name}.{name}{key}": one for key, one in table if isinstance(one, re.Pattern)}
    return found


def parsed(pattern: re.Pattern[Any]) -> Any:
    return _parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)


def is_nested(tree: Any, *, repeated: bool = False) -> bool:
    """Whether a repetition that may give back what it took stands within another one without bound."""
    for operation, argument in tree:
        name = str(operation)
        if name in {"MAX_REPEAT", "MIN_REPEAT"}:
            _, most, inner = argument
            endless = most == _constants.MAXREPEAT
            if (endless and repeated) or is_nested(inner, repeated=repeated or endless):
                return True
        elif any(is_nested(inner, repeated=repeated) for inner in _within(name, argument)):
            return True
    return False


def is_ambiguous(tree: Any) -> bool:
    """Whether of two repetitions one after the other either may take the same, and nothing tells where one ends."""
    if any(_meet(run[first : last + 1]) for run in _runs(tree) for first, last in combinations(range(len(run)), 2)):
        return True
    return any(is_ambiguous(inner) for operation, argument in tree for inner in _within(str(operation), argument))


def _meet(run: Sequence[Part]) -> bool:
    """Whether the first and the last can take the same, and what is between them as well."""
    one, *between, other = run
    ends = any(
        part.needed and not (part.characters & one.characters and part.characters & other.characters)
        for part in between
    )
    return one.endless and other.endless and bool(one.characters & other.characters) and not ends


def _within(name: str, argument: Any) -> list[Any]:
    if name.endswith("_REPEAT"):
        return [argument[2]]
    if name == "BRANCH":
        return list(argument[1])
    if name in {"SUBPATTERN", "ASSERT", "ASSERT_NOT"}:
        return [argument[-1]]
    return [argument] if name == "ATOMIC_GROUP" else []


def _runs(tree: Any) -> list[list[Part]]:
    """Return all that an expression may consist of, choice by choice."""
    runs: list[list[Part]] = [[]]
    for node in tree:
        choices = _choices(tree.state, node)
        runs = [[*run, *choice] for run in runs for choice in choices]
    return runs


def _choices(state: Any, node: Any) -> list[list[Part]]:
    name, argument = str(node[0]), node[1]
    if name in SINGLE:
        one = _compiler.compile(_parser.SubPattern(state, [node]), state.flags)
        return [[Part(frozenset(filter(one.fullmatch, ALPHABET)))]]
    if name not in {"SUBPATTERN", "ATOMIC_GROUP", "BRANCH"} and not name.endswith("_REPEAT"):
        return [[]]  # takes nothing
    inner = [run for each in _within(name, argument) for run in _runs(each)]
    if name in {"SUBPATTERN", "BRANCH"}:
        return inner
    if name == "ATOMIC_GROUP":
        return [[part._replace(endless=False) for part in run] for run in inner]
    least, most, _ = argument
    if most == 1 and name != "POSSESSIVE_REPEAT":
        return inner if least else [[], *inner]
    parts = [part for run in inner for part in run]
    endless = name != "POSSESSIVE_REPEAT" and (most == _constants.MAXREPEAT or any(part.endless for part in parts))
    needed = least > 0 and all(any(part.needed for part in run) for run in inner)
    return [[Part(frozenset().union(*(part.characters for part in parts)), endless, needed)]]


@pytest.mark.parametrize("name", sorted(patterns()))
def test_no_expression_tries_one_text_in_many_ways(name: str) -> None:
    tree = parsed(patterns()[name])
    assert not is_nested(tree)
    assert not is_ambiguous(tree)


def test_expressions_in_tables_are_looked_at() -> None:
    assert {"ims_core.messages.headers._PIECES,", "ims_core.messages.headers._PIECES;"} <= patterns().keys()


@pytest.mark.parametrize(
    ("expression", "bad"), [(r"(a*)*b", True), (r"(?:a+b?)+", True), (r"(?:a*+b)*", False), ("a*b*", False)]
)
def test_repetitions_within_others_are_found(expression: str, bad: bool) -> None:
    assert is_nested(_parser.parse(expression)) is bad


@pytest.mark.parametrize(
    ("expression", "bad"),
    [
        (r"a*a*b", True),
        (r"\s*,?\s*x", True),
        (r"\w+x\w+", True),
        (r"(\w+)(?:-|_)?([a-z]+)", True),
        (r"(?:\d+|a)\w*b", True),
        (r"(?:a*a*b)?", True),
        (r"a*b*", False),
        (r"a*b*a*c", True),
        (r"\s*,\s*x", False),
        (r"\w+-[a-z]+", False),
        (r"a*+a*b", False),
        (r"(?>a*)a*b", False),
        (r"a{0,9}a*b", False),
        (r"[^>]*>[^>]*", False),
        (r"\d+(?:@.*)?", False),
        (r"\d+(?:@|x?).*", True),
    ],
)
def test_repetitions_that_can_take_the_same_are_found(expression: str, bad: bool) -> None:
    assert is_ambiguous(_parser.parse(expression)) is bad
