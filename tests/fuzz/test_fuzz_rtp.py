"""Any datagrams at all, to the RTP and RTCP ports of a worker; and what a search has found before."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import rtp_corpus
from tests.fuzz.reports import runs
from tests.fuzz.rtp_target import consume, datagrams, pack

ROOT = Path(__file__).parents[2]
RUNS = 300

# What the search found: each was an exception, something sent to a stranger, or a broken stream.
FOUND: list[bytes] = [b""]


@pytest.mark.parametrize("data", rtp_corpus.SEEDS)
def test_what_phones_send_is_borne_whole_and_in_pieces(data: bytes) -> None:
    consume(data)
    consume(data[: len(data) // 3])


@pytest.mark.parametrize("data", FOUND)
def test_what_a_search_found_is_borne(data: bytes) -> None:
    consume(data)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=60)), max_size=12))
def test_any_datagrams_are_borne(drawn: list[tuple[int, bytes]]) -> None:
    consume(b"".join(pack(head, datagram) for head, datagram in drawn))


@pytest.mark.rfc("3550-A.1")
@settings(max_examples=60, deadline=None)
@given(st.sampled_from(rtp_corpus.SEEDS), st.data())
def test_any_damage_to_what_phones_send_is_borne(data: bytes, source: st.DataObject) -> None:
    consume(b"".join(damaged(head, datagram, source) for head, datagram in datagrams(data)))


def damaged(head: int, datagram: bytes, source: st.DataObject) -> bytes:
    match source.draw(st.sampled_from(("keep", "keep", "keep", "drop", "twice", "header", "cut", "leg"))):
        case "drop":
            return b""
        case "twice":
            return pack(head, datagram) * 2
        case "header":
            at = source.draw(st.integers(0, 15))
            return pack(head, datagram[:at] + source.draw(st.binary(min_size=1, max_size=4)) + datagram[at + 1 :])
        case "cut":
            return pack(head, datagram[: source.draw(st.integers(0, len(datagram)))])
        case "leg":
            return pack(source.draw(st.integers(0, 255)), datagram)
    return pack(head, datagram)


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no build for this platform: make fuzz needs it"
)
def test_a_short_search_finds_nothing(tmp_path: Path) -> None:
    search = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.fuzz_rtp", f"-runs={RUNS}", "-seed=1", "-max_len=4096"],
        cwd=ROOT,
        env={**os.environ, "FUZZ_FOLDER": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert search.returncode == 0, search.stdout[-4000:] + search.stderr[-4000:]
    assert runs(search.stderr) >= RUNS
