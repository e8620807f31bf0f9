"""What all tests share: ports nobody else takes, a place for data, and the peers that may be missing."""

import contextlib
import fcntl
import gc
import importlib.util
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# It asserts in a module of its own, which others import as well: its failures are to be told in full.
pytest.register_assert_rewrite("tests.ims_core.torture.lab")

OURS = ("acd.", "ims_core.", "media.")

# No example passes or fails on time.
settings.register_profile(
    "timeless",
    settings.get_profile(settings.get_current_profile_name()),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("timeless")

# Programs behind `@pytest.mark.peer(name)`. A test is skipped where its program is not installed.
PEERS = {
    "baresip": "baresip",
    "chromium": "chromium",
    "espeak-ng": "espeak-ng",
    "kamailio": "kamailio",
    "linphone": "linphone-daemon",
    "node": "node",
    "openssl": "openssl",
    "promtool": "promtool",
    "rtpengine": "rtpengine",
    "sipp": "sipp",
    "sipsak": "sipsak",
    "sox": "sox",
    "tshark": "tshark",
}
# Those that are Python packages.
PEER_LIBRARIES = {"sippy": "make bench", "sipvicious": "make test"}


def pytest_collection_finish() -> None:
    """Spare the collector what stays: to look at all tests of the suite stops the elements in this process."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("peer"):
        for name in mark.args:
            if name in PEER_LIBRARIES:
                if importlib.util.find_spec(name) is None:
                    pytest.skip(f"{name} is not installed: it comes with {PEER_LIBRARIES[name]}")
            elif shutil.which(PEERS[name]) is None:
                pytest.skip(f"{name} is not installed: scripts/system-packages says how")


class Ports:
    """Hands out ports of 127.0.0.1 that are free for UDP and TCP, each once before any is given again.

    A process owns a block of ports by a file lock, so that workers of one run and runs beside each other
    cannot be given the same port between the look and the use. The blocks lie below the ports that the
    kernel gives to clients, and beside those that the shipped configurations name (16060, and 20000 on).
    """

    FIRST, LAST, SIZE = 10_000, 16_000, 400

    def __init__(self) -> None:
        for base in range(self.FIRST, self.LAST, self.SIZE):
            path = Path(tempfile.gettempdir()) / f"ims-acd-test-ports-{base}.lock"
            with contextlib.ExitStack() as stack:
                try:
                    self._lock = stack.enter_context(path.open("w"))
                    fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:  # of another user, or locked
                    continue
                stack.pop_all()
                self._base, self._next = base, 0
                return
        raise RuntimeError("every block of test ports is taken by another process")

    def one(self) -> int:
        """Return one free port."""
        return self.block(1)

    def block(self, count: int) -> int:
        """Return the first, even one of `count` adjacent free ports, as a range of RTP ports needs it."""
        for _ in range(2 * self.SIZE if count < self.SIZE else 0):
            if self._next + count + 1 > self.SIZE:
                self._next = 0
            first = self._base + self._next
            if count > 1:
                first += first % 2
            self._next = first - self._base + count
            if all(_is_free(port) for port in range(first, first + count)):
                return first
        raise RuntimeError(f"no {count} adjacent free ports from {self._base} on")

    def close(self) -> None:
        """Give the block back."""
        self._lock.close()


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:  # a connection that lingers from an earlier test is in nobody's way
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


@pytest.fixture(scope="session")
def ports() -> Iterator[Ports]:
    """The ports of this test process: `ports.one()`, `ports.block(20)`."""
    ports = Ports()
    yield ports
    ports.close()


@pytest.fixture
def free_port(ports: Ports) -> int:
    """One port of 127.0.0.1 that is free for UDP and TCP."""
    return ports.one()


@pytest.fixture
def storage_dir(tmp_path: Path) -> Path:
    """An empty directory to be named as `storage.dir`."""
    directory = tmp_path / "var"
    directory.mkdir()
    return directory


@pytest.fixture
def uncollected() -> Iterator[Callable[[], Counter[str]]]:
    """Counts what of ours only the collector can free, from the first use to the next."""

    def count() -> Counter[str]:
        gc.collect()
        found = Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.garbage)
        gc.garbage.clear()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.freeze()  # what other tests left, and may let go of meanwhile
        return Counter({name: number for name, number in found.items() if name.startswith(OURS)})

    gc.disable()
    yield count
    gc.set_debug(0)
    gc.unfreeze()
    gc.garbage.clear()
    gc.freeze()
    gc.enable()
