"""The key of routes: made once, kept for its owner alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from acd.routekey import LENGTH, kept_key
from acd.starting import CannotStart


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "route.key"
    key = kept_key(file)
    assert len(key) == LENGTH
    assert file.stat().st_mode & 0o777 == 0o600
    assert kept_key(file) == key
    assert list(tmp_path.iterdir()) == [file], "nothing else is left of writing it"


def test_two_servers_have_two_keys(tmp_path: Path) -> None:
    assert kept_key(tmp_path / "one") != kept_key(tmp_path / "other")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_have_access_to_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "route.key"
    kept_key(file)
    file.chmod(mode)
    with pytest.raises(CannotStart, match=f"^storage.dir: others than its owner have access to {file}: .* chmod 600$"):
        kept_key(file)


@pytest.mark.parametrize("content", [b"", b"x" * (LENGTH - 1), b"x" * (LENGTH + 1)])
def test_a_damaged_key_is_not_used(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "route.key"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(CannotStart, match=f"^storage.dir: {file} is damaged: remove it"):
        kept_key(file)


def test_what_cannot_be_read_or_written_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=f"^storage.dir: cannot read {tmp_path}: Is a directory$"):
        kept_key(tmp_path)
    file = tmp_path / "nowhere" / "route.key"
    with pytest.raises(CannotStart, match=f"^storage.dir: cannot write {file}: No such file or directory$"):
        kept_key(file)
