"""A text of the configuration is spoken by espeak-ng and heard by a phone in its own codec; a reload brings another."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from tests.peers.conftest import Bench
from tests.peers.kit import Baresip, Server, read_wav

pytestmark = [
    pytest.mark.peer("baresip"),
    pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed"),
]

NUMBER, OTHER = "10098", "10099"
TEXT = "say:en:The office is closed on Sundays and on every public holiday."
OTHER_TEXT = "say:zh:您好,现在是非服务时间。"


@pytest.mark.parametrize(
    ("codec", "name", "modules"), [("PCMA/8000/1", "PCMA", []), ("opus/48000/2", "opus", ["opus"])]
)
def test_an_announcement_that_is_a_text_is_heard(bench: Bench, codec: str, name: str, modules: list[str]) -> None:
    server = bench.serve(settings={f"numbers.{NUMBER}.announcement": [TEXT, "en/goodbye"]})
    config = [*(f"module {module}.so" for module in modules), "audio_channels 1-2"]
    phone = bench.baresip("caller1", server, tone=440.0, codecs=codec, config=config).wait_until_registered()
    assert seconds_of_speech(server, phone, NUMBER, name) > 3
    assert len(list((server.storage / "speech").rglob("*.wav"))) == 1

    with server.config.open("a") as file:
        file.write(f'\n[numbers.{OTHER}]\nannouncement = ["{OTHER_TEXT}"]\n')
    status, _ = server.change("POST", "reload")
    assert status == 200
    assert seconds_of_speech(server, phone, OTHER, name) > 1
    assert not server.logged("speech.failed")
    assert not server.logged("prompt.missed")
    server.stop()


def seconds_of_speech(server: Server, phone: Baresip, number: str, codec: str) -> float:
    """Call a number that speaks, until it hangs up; returns for how long there was sound."""
    before = len(server.cdrs)
    phone.dial(number)
    cdr = server.wait_for_cdrs(before + 1, 20)[-1 if before == 0 else 0]
    server.wait_until_idle()
    assert (cdr["dialled"], cdr["outcome"], cdr["quality_caller"]["codec"]) == (number, "served", codec)
    heard = read_wav(phone.heard())[0]
    rate = int.from_bytes(phone.heard().read_bytes()[24:28], "little")
    frames = heard[: len(heard) // (rate // 50) * (rate // 50)].reshape(-1, rate // 50)
    return float((np.sqrt((frames**2).mean(axis=1)) > 0.01).sum() / 50)
