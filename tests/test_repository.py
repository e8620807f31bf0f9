"""What must not be written into any file of the repository."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Put together from pieces, so that this file does not hold what it looks for.
REGISTRY_HOSTS = [
    ".".join(pieces)
    for pieces in (
        ("pypi", "org"),
        ("files", "pythonhosted"),
        ("registry", "npmjs"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("proxy", "golang", "org"),
        ("crates", "io"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
    )
]
# A home or a work directory of one machine; what systemd and Docker name for the product is no such path.
PRIVATE_PATH = re.compile(r"(?<![\w.}$)~/-])/(?:work|home|root|Users)/[\w.-]+")


def repository_files() -> list[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git work tree")
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def texts() -> dict[str, str]:
    found = {}
    for path in repository_files():
        data = path.read_bytes()
        if b"\0" not in data:
            found[path.relative_to(ROOT).as_posix()] = data.decode("utf-8", errors="replace")
    return found


def test_no_file_names_the_host_of_a_package_registry() -> None:
    named = [(name, host) for name, text in texts().items() for host in REGISTRY_HOSTS if host in text]
    assert not named


def test_no_file_names_a_path_of_one_machine() -> None:
    named = [(name, hit.group()) for name, text in texts().items() for hit in PRIVATE_PATH.finditer(text)]
    assert not named


@pytest.mark.parametrize(
    ("text", "private"),
    [
        ("see /" + "home/someone/notes", True),
        ("cd /" + "work/project", True),
        ("/var/lib/ims-acd", False),
        ("docs/work/plan and ~/root/x", False),
        ("http://127.0.0.1:8080/home/page", False),
    ],
)
def test_a_private_path_is_told_from_others(text: str, private: bool) -> None:
    assert (PRIVATE_PATH.search(text) is not None) is private
