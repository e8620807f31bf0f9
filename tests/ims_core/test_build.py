"""The core as it is and the core compiled are the same to whoever uses it."""

import os

from ims_core import build


def test_what_runs_is_what_was_asked_for() -> None:
    """``make test`` runs these tests twice, and would show nothing if it imported the same twice."""
    is_wanted = "build/compiled" in os.environ.get("PYTHONPATH", "")
    assert is_wanted == build.IS_COMPILED
