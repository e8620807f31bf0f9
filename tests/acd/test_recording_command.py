"""`ims-acd recording`: what recordings are, and encrypted ones made playable."""

import json
import wave
from pathlib import Path
from typing import Any

import pytest

from acd.cli import main
from acd.recordingcommand import BREAKS_OFF, FAILED, WRONG
from media.codecs.g711 import PCMU
from media.recording.keys import read_keys
from media.recording.recorder import Recording
from media.recording.settings import RecordingSettings
from media.rtp.stream import Format
from tests.media.outbox import DeskOutbox

OLD, NEW = "2026-10:" + "ab" * 32, "2026-11:" + "cd" * 32


def record(path: Path, key: str | None = OLD, **settings: Any) -> Path:
    """Record three seconds; the last one is in a chunk of its own."""
    settings["key"] = read_keys(key)[key.partition(":")[0]] if key else None
    recording = Recording(1, str(path), DeskOutbox(RecordingSettings(**settings)))
    recording.begin(0.0, 0.0)
    tap = recording.channel(0)
    for number in range(150):
        tap.take(Format(0, PCMU), path, number, number * 160, b"\x10" * 160, (number + 1) / 50)
    recording.flush(1.0)
    recording.flush(2.0)
    recording.flush(3.0)
    recording.finish(3.0, lambda _: None)
    return path


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A file with the key of today, and the one before."""
    file = tmp_path / "recordings.keys"
    file.write_text(f"{NEW}\n{OLD}\n")
    return file


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    return record(tmp_path / "call.wav.sealed")


def run(*arguments: object) -> int:
    return main(["recording", *map(str, arguments)])


@pytest.mark.parametrize("by", ["keys", "config", "key in the config"])
def test_a_recording_of_an_older_key_is_made_playable(tmp_path: Path, sealed: Path, keys: Path, by: str) -> None:
    config = tmp_path / "acd.toml"
    line = f'key_file = "{keys}"' if by == "config" else f'key = "{OLD}"'
    config.write_text(f'[server]\ndomain = "acd.example"\n[recording]\n{line}\n')
    where = ("--keys", keys) if by == "keys" else ("--config", config)
    assert run("decrypt", sealed, *where) == 0
    with wave.open(str(tmp_path / "call.wav"), "rb") as file:
        assert (file.getnframes(), file.getnchannels(), file.getframerate()) == (24_000, 2, 8000)
    assert (tmp_path / "call.wav").stat().st_mode & 0o777 == 0o600


def test_opus_is_opened_as_it_is(tmp_path: Path, keys: Path) -> None:
    sealed = record(tmp_path / "call.opus.sealed", format="opus")
    assert run("decrypt", sealed, "--keys", keys, "--output", tmp_path / "x.opus") == 0
    assert (tmp_path / "x.opus").read_bytes().startswith(b"OggS")


def test_the_wrong_key_opens_nothing(tmp_path: Path, sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.keys"
    for text, said in (
        (NEW, "The recording needs the key '2026-10', which is not at hand."),
        ("2026-10:" + "ef" * 32, "The key '2026-10' is not the one of the recording, or it was changed."),
    ):
        other.write_text(text)
        assert run("decrypt", sealed, "--keys", other) == FAILED
        assert capsys.readouterr().err == f"{sealed}: {said}\n"
        assert not (tmp_path / "call.wav").exists()


def test_a_changed_recording_leaves_nothing(
    tmp_path: Path, sealed: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(sealed.read_bytes())
    data[len(data) // 2] ^= 1
    sealed.write_bytes(data)
    assert run("decrypt", sealed, "--keys", keys) == FAILED
    assert "was changed: chunk" in capsys.readouterr().err
    assert not (tmp_path / "call.wav").exists()


def test_of_a_recording_that_breaks_off_the_rest_is_written(
    tmp_path: Path, sealed: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed.write_bytes(sealed.read_bytes()[:-100])
    assert run("decrypt", sealed, "--keys", keys) == BREAKS_OFF
    with wave.open(str(tmp_path / "call.wav"), "rb") as file:
        assert file.getnframes() == 16_000
    assert capsys.readouterr().err == f"{sealed}: The recording breaks off after 3 chunks.\n"


def test_what_is_there_is_not_overwritten(
    tmp_path: Path, sealed: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "call.wav").write_bytes(b"precious")
    assert run("decrypt", sealed, "--keys", keys) == FAILED
    assert capsys.readouterr().err == f"{tmp_path / 'call.wav'}: is there already\n"
    assert (tmp_path / "call.wav").read_bytes() == b"precious"


def test_files_that_are_not_there_or_not_encrypted_are_told(
    tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = record(tmp_path / "plain.wav", key=None)
    assert run("decrypt", plain, "--keys", keys, "--output", tmp_path / "x") == FAILED
    assert run("decrypt", tmp_path / "none", "--keys", keys) == FAILED
    assert run("info", tmp_path / "none") == FAILED
    assert capsys.readouterr().err.splitlines() == [
        f"{plain}: This is no encrypted recording.",
        f"{tmp_path / 'none'}: No such file or directory",
        f"{tmp_path / 'none'}: No such file or directory",
    ]


def test_keys_that_cannot_be_read_are_told(tmp_path: Path, sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.keys"
    bad.write_text("nonsense")
    for where in (("--keys", bad), ("--keys", tmp_path / "none"), ("--config", tmp_path / "none")):
        assert run("decrypt", sealed, *where) == WRONG
    assert capsys.readouterr().err.splitlines()[:2] == [
        f"{bad}: line 1 is not of the form <id>:<64 hexadecimal digits>",
        f"{tmp_path / 'none'}: No such file or directory",
    ]


def test_info_tells_what_is_known(tmp_path: Path, sealed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", sealed) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["encrypted"], told["seconds"], told["complete"]) == ("2026-10", 3.0, True)
    Path(f"{sealed}.json").write_text("nonsense")
    assert run("info", sealed) == FAILED
    Path(f"{sealed}.json").unlink()
    assert run("info", sealed) == 0
    assert json.loads(capsys.readouterr().out).keys() == {"file", "encrypted", "octets"}
