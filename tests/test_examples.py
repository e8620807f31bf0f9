"""What is said of the examples: each is about thirty lines. What they do is shown in tests/peers/test_examples.py."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
LINES = 30
NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def lines_of_code(source: str) -> int:
    """Count the lines with more on them than a docstring or a comment."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    code = {line for each in tokens if each.type not in NO_CODE for line in range(each.start[0], each.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node
        ):
            code -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(code)


SAMPLE = '''"""What for.

More.
"""

import os  # 1

# none
def f() -> str:
    """What for."""
    return """
3"""
'''


def test_what_counts_as_a_line_of_code() -> None:
    assert lines_of_code(SAMPLE) == 4


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_thirty_lines_at_most(example: Path) -> None:
    assert lines_of_code(example.read_text()) <= LINES


def test_there_is_one_for_each_role_that_the_readme_names() -> None:
    assert {path.stem for path in EXAMPLES} >= {"b2bua", "call_forwarding", "proxy", "registrar", "stateless_proxy"}
