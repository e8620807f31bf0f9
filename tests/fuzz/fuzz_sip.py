"""Coverage-guided search for bytes that the SIP stack cannot bear, with the options of libFuzzer.

    python -m tests.fuzz.fuzz_sip -max_total_time=600

What it finds is written to ``var/fuzz/crash-…`` (``FUZZ_FOLDER`` names another folder); a found input belongs into
``FOUND`` of ``test_fuzz.py``, and what led to it is to be repaired.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ims_core"]):
    from tests.fuzz import corpus
    from tests.fuzz.target import consume

FOLDER = Path(os.environ.get("FUZZ_FOLDER", "var/fuzz"))


def main() -> None:
    """Search from the corpus on, until an option such as ``-runs`` or ``-max_total_time`` ends it."""
    words = corpus.write(FOLDER / "corpus")
    atheris.Setup([*sys.argv, f"-dict={words}", f"-artifact_prefix={FOLDER}/", str(FOLDER / "corpus")], consume)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
