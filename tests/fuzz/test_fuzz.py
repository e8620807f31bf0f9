"""Any bytes at all, as a value, a message, a stream, and to a node; and what a search has found before."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import corpus
from tests.fuzz.reports import runs
from tests.fuzz.target import consume, read_value

ROOT = Path(__file__).parents[2]
RUNS = 3000

# What the search found: each was an exception, a leftover, or a message that changed on its way.
FOUND: list[bytes] = [b""]


@pytest.mark.parametrize("data", corpus.MESSAGES)
def test_the_corpus_is_borne_whole_and_in_pieces(data: bytes) -> None:
    consume(data)
    for end in (len(data) // 3, len(data) // 2, len(data) - 3):
        consume(data[:end])


@pytest.mark.parametrize("data", FOUND)
def test_what_a_search_found_is_borne(data: bytes) -> None:
    consume(data)


@settings(max_examples=200)
@given(st.binary(max_size=400))
def test_any_bytes_are_borne(data: bytes) -> None:
    consume(data)


@settings(max_examples=300)
@given(st.sampled_from(corpus.MESSAGES), st.data())
def test_any_damage_to_a_message_is_borne(data: bytes, source: st.DataObject) -> None:
    words = st.sampled_from([word.encode() for word in corpus.WORDS])
    for _ in range(source.draw(st.integers(1, 4))):
        start = source.draw(st.integers(0, len(data)))
        end = source.draw(st.integers(start, min(len(data), start + 12)))
        data = data[:start] + source.draw(st.one_of(words, st.binary(max_size=6))) + data[end:]
    consume(data)


@given(st.text(st.sampled_from('ab"<>\\;,=:@[]?%/ \t\r\n*\x00é\udcff'), max_size=40))
def test_any_text_is_a_header_value_or_none(text: str) -> None:
    read_value(text)


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no build for this platform: make fuzz needs it"
)
def test_a_short_search_finds_nothing(tmp_path: Path) -> None:
    search = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.fuzz_sip", f"-runs={RUNS}", "-seed=1", "-max_len=2048"],
        cwd=ROOT,
        env={**os.environ, "FUZZ_FOLDER": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert search.returncode == 0, search.stdout[-4000:] + search.stderr[-4000:]
    assert runs(search.stderr) >= RUNS
