"""The key of the routes that peers bring back to us, kept in a file: a restart must not cut off proxied dialogs."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from acd.starting import CannotStart

log = structlog.get_logger()

LENGTH: Final = 32
OF_OTHERS: Final = 0o077


def kept_key(path: Path) -> bytes:
    """Return the key in the file at ``path``, which is made where it is missing, readable by its owner alone.

    Who knows the key can have us relay to anywhere. Raises ``CannotStart`` when others may read it, or when it cannot
    be read or written.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        key = secrets.token_bytes(LENGTH)
    except OSError as error:
        raise CannotStart(f"storage.dir: cannot read {path}: {error.strerror}") from None
    try:
        _write(path, key)
    except OSError as error:
        raise CannotStart(f"storage.dir: cannot write {path}: {error.strerror}") from None
    log.info("route_key.made", path=str(path))
    return key


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & OF_OTHERS:
            raise CannotStart(f"storage.dir: others than its owner have access to {path}: remove it, or chmod 600")
        key = file.read(LENGTH + 1)
    if len(key) != LENGTH:
        raise CannotStart(f"storage.dir: {path} is damaged: remove it, which cuts off proxied calls under way")
    return key


def _write(path: Path, key: bytes) -> None:
    """Write a file that is there whole or not at all."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")  # readable by its owner alone
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(descriptor)
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
        raise
