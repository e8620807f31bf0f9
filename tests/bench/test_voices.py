"""The loads of made and mixed sound, for a moment each."""

import pytest

from benchmarks.sampling import Scale
from benchmarks.voices import KINDS, Kind, capacity
from media.codecs import ENCODABLE

BRIEF = Scale(rounds=1, share=0.01)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_session_is_heard(kind: Kind) -> None:
    if kind.codec.name not in ENCODABLE:
        pytest.skip(f"{kind.codec.name} cannot be encoded here")
    assert capacity(kind._replace(sessions=2), BRIEF) > 0
