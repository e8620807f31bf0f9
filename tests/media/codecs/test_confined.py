"""The codecs in a process that may not make memory executable, as the systemd unit confines the engine."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CONFINE = """
import ctypes, os, sys
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit(77)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""
CODE_AND_DECODE = """
import mmap
import numpy as np
from media.codecs import ENCODABLE, make_decoder, make_encoder
from media.rtp.stream import Format
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)
except PermissionError:
    print("confined")
clocks = {"AMR-WB": 16000, "opus": 48000}
for name in sorted(ENCODABLE):
    format_ = Format(96, name, clocks.get(name, 8000))
    encoder, decoder = make_encoder(format_), make_decoder(format_)
    heard = decoder.decode(encoder.encode(np.zeros(encoder.sample_rate // 50, np.int16)))
    assert len(heard) == len(decoder.conceal(len(heard))) == encoder.sample_rate // 50
    print(name)
"""


def test_codecs_need_no_memory_that_is_writable_and_executable() -> None:
    run = subprocess.run(
        [sys.executable, "-c", CONFINE, CODE_AND_DECODE],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    if run.returncode == 77:
        pytest.skip("this kernel cannot confine a process so (Linux 6.3)")
    assert run.returncode == 0, run.stderr
    confined, *names = run.stdout.split()
    assert confined == "confined"
    assert {"PCMA", "PCMU"} <= set(names)
