"""What the configuration says of media reaches the workers."""

import pytest

from acd.config import ConfigError, loads
from acd.mediaside import media_settings
from media.rtp.latching import Latching

LEAST = '[server]\ndomain = "ims.example"\n'


def test_whose_rtp_is_heard() -> None:
    told = '[media.latching]\nsource = "host"\nrelatch = "silence"\nsilence_seconds = 3\n'
    assert media_settings(loads(LEAST + told)).latching == Latching(
        source="host", relatch="silence", silence_seconds=3.0
    )
    assert media_settings(loads(LEAST)).latching == Latching()


def test_a_peer_cannot_be_sought_at_once() -> None:
    with pytest.raises(ConfigError, match="silence_seconds"):
        loads(LEAST + "[media.latching]\nsilence_seconds = 0\n")
