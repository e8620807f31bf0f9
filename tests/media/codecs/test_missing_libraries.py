"""What a machine lacks is declared by the names it can decode and encode, and costs nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from media.codecs import native

ROOT = Path(__file__).parents[3]
LACKING = """
import ctypes, sys
find = ctypes.CDLL
def lacking(name, *rest):
    if any(word in name for word in {words!r}):
        raise OSError(name)
    return find(name, *rest)
ctypes.CDLL = lacking
if "G722" in {words!r}:
    sys.modules["G722"] = None
from media.codecs import DECODABLE, ENCODABLE, CodecError, make_decoder, make_encoder
from media.rtp.stream import Format
print(",".join(sorted(DECODABLE)), ",".join(sorted(ENCODABLE)))
for name in ("G722", "opus", "AMR", "AMR-WB"):
    for able, make in ((DECODABLE, make_decoder), (ENCODABLE, make_encoder)):
        if name not in able:
            try:
                make(Format(96, name))
            except CodecError as error:
                print(error)
"""


@pytest.mark.parametrize(
    ("words", "decodable", "encodable", "told"),
    [
        (["opus"], "AMR,AMR-WB,CN,G722,PCMA,PCMU", None, ["Opus needs libopus."] * 2),
        (
            ["vo-amrwbenc"],
            "AMR,AMR-WB,CN,G722,PCMA,PCMU,opus",
            "AMR,G722,PCMA,PCMU,opus",
            ["AMR-WB needs an encoder's library."],
        ),
        (["G722"], "AMR,AMR-WB,CN,PCMA,PCMU,opus", None, ["G722 needs the library of that name."] * 2),
        (
            ["amr", "opus", "G722"],
            "CN,PCMA,PCMU",
            "PCMA,PCMU",
            [
                *["G722 needs the library of that name."] * 2,
                *["Opus needs libopus."] * 2,
                *["AMR needs OpenCORE's library.", "AMR needs an encoder's library."],
                *["AMR-WB needs OpenCORE's library.", "AMR-WB needs an encoder's library."],
            ],
        ),
    ],
    ids=["opus", "AMR-WB encoder", "G722", "all"],
)
def test_a_missing_library_is_declared(
    words: list[str], decodable: str, encodable: str | None, told: list[str]
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", LACKING.format(words=words)],
        cwd=ROOT, check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    able, *errors = run.stdout.splitlines()
    assert able.split()[0] == decodable
    if encodable is not None:
        assert able.split()[1] == encodable
    if encodable is not None or "AMR-WB" in able.split()[1]:
        assert errors == told


def test_a_library_is_sought_in_pyavs_wheel_and_in_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    assert native.load("libno-such-codec", "libno-such-codec.so.0") is None
    assert native.load("libno-such-codec", "libc.so.6") is not None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert native.load("libopus", "libno-such-codec.so.0") is None
    assert native.load("libopus", "libc.so.6") is not None
