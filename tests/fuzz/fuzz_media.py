"""Coverage-guided search for bytes that the media cannot bear, with the options of libFuzzer.

    python -m tests.fuzz.fuzz_media -max_total_time=600

What it finds is written to ``var/fuzz/crash-…`` (``FUZZ_FOLDER`` names another folder); a found input belongs into
``FOUND`` of ``test_fuzz_media.py``, and what led to it is to be repaired.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["media"]):
    from tests.fuzz import media_corpus
    from tests.fuzz.media_target import consume

FOLDER = Path(os.environ.get("FUZZ_FOLDER", "var/fuzz"))


def main() -> None:
    """Search from the corpus on, until an option such as ``-runs`` or ``-max_total_time`` ends it."""
    words = media_corpus.write(FOLDER / "media-corpus")
    options = [f"-dict={words}", f"-artifact_prefix={FOLDER}/", str(FOLDER / "media-corpus")]
    atheris.Setup([*sys.argv, *options], consume)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
