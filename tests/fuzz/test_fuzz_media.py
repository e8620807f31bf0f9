"""Any bytes at all, as a description, a datagram, the packets of a peer; and what a search has found before."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import media_corpus
from tests.fuzz.media_target import consume, hear
from tests.fuzz.reports import runs

ROOT = Path(__file__).parents[2]
RUNS = 1500

CORPUS = media_corpus.everything()
# What the search found.
FOUND: list[bytes] = [b""]


def test_the_corpus_has_something_of_each_kind() -> None:
    assert len(media_corpus.descriptions()) >= 3
    assert len(CORPUS) >= 12


@pytest.mark.parametrize("data", CORPUS, ids=range(len(CORPUS)))
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
@given(st.sampled_from(CORPUS), st.data())
def test_any_damage_is_borne(data: bytes, source: st.DataObject) -> None:
    words = st.sampled_from([word.encode() for word in media_corpus.WORDS])
    for _ in range(source.draw(st.integers(1, 4))):
        start = source.draw(st.integers(0, len(data)))
        end = source.draw(st.integers(start, min(len(data), start + 12)))
        data = data[:start] + source.draw(st.one_of(words, st.binary(max_size=6))) + data[end:]
    consume(data)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=70)), max_size=40))
def test_any_packets_are_played(packets: list[tuple[int, int, bytes]]) -> None:
    hear(b"".join(bytes([first, second, len(payload)]) + payload for first, second, payload in packets))


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no build for this platform: make fuzz needs it"
)
def test_a_short_search_finds_nothing(tmp_path: Path) -> None:
    search = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.fuzz_media", f"-runs={RUNS}", "-seed=1", "-max_len=2048"],
        cwd=ROOT,
        env={**os.environ, "FUZZ_FOLDER": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert search.returncode == 0, search.stdout[-4000:] + search.stderr[-4000:]
    assert runs(search.stderr) >= RUNS
