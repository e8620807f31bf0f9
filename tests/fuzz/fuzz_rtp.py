"""Coverage-guided search for datagrams that the media worker cannot bear, with the options of libFuzzer.

    python -m tests.fuzz.fuzz_rtp -max_total_time=600

What it finds is written to ``var/fuzz/crash-…`` (``FUZZ_FOLDER`` names another folder); a found input belongs into
``FOUND`` of ``test_fuzz_rtp.py``, and what led to it is to be repaired.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["media"]):
    from tests.fuzz import rtp_corpus
    from tests.fuzz.rtp_target import consume

FOLDER = Path(os.environ.get("FUZZ_FOLDER", "var/fuzz"))


def main() -> None:
    """Search from the corpus on, until an option such as ``-runs`` or ``-max_total_time`` ends it."""
    rtp_corpus.write(FOLDER / "rtp")
    atheris.Setup([*sys.argv, f"-artifact_prefix={FOLDER}/", str(FOLDER / "rtp")], consume)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
