r"""`ims-acd recording`: what is known about recordings, and encrypted ones made playable.

  ims-acd recording info FILE ...
  ims-acd recording decrypt FILE [--output FILE] (--config FILE | --keys FILE)

FILE of --keys has a key on each line, <id>:<64 hexadecimal digits>; that of --config names such a file or has the key
itself ([recording]). Which key a recording needs, info tells.

Without --output the decrypted file lies beside the recording, without the ending .sealed. A file that is there already
is not overwritten. Of a recording that breaks off, because its writer died or it was cut, what is there is genuine and
is written; of one that was changed nothing is.

Exit status: 0 all went well, 1 a file cannot be read or opened, 2 the command line or the keys are wrong, 3 the
recording breaks off.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acd.config import ConfigError, load
from acd.config.recordings import read_key_file
from media.recording.keys import KeyringError
from media.recording.output import FILE_MODE
from media.recording.sealed import NotSealed, Opener, SealedError, Truncated
from media.recording.settings import SEALED, SIDE_CAR
from media.recording.wav import HEADER_OCTETS, with_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

    from media.recording.keys import RecordingKey

FAILED, WRONG, BREAKS_OFF = 1, 2, 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the action with these arguments; return the exit status."""
    arguments = _parser().parse_args(argv)
    if arguments.action == "info":
        return max([_tell(Path(file)) for file in arguments.files])
    try:
        keys = load(arguments.config).recording.keys() if arguments.config else read_key_file(arguments.keys)
    except (ConfigError, KeyringError) as error:
        print(error, file=sys.stderr)
        return WRONG
    source = Path(arguments.file)
    target = Path(arguments.output) if arguments.output else source.with_name(source.name.removesuffix(SEALED))
    try:
        return _decrypt(source, target, keys)
    except FileExistsError as error:
        print(f"{error.filename}: is there already", file=sys.stderr)
    except OSError as error:
        print(f"{error.filename or source}: {error.strerror}", file=sys.stderr)
    except SealedError as error:
        print(f"{source}: {error}", file=sys.stderr)
    return FAILED


def _decrypt(source: Path, target: Path, keys: Mapping[str, RecordingKey]) -> int:
    """Write what was sealed to `target`. Raises OSError and SealedError, and then leaves nothing there."""
    with source.open("rb") as sealed:
        opener = Opener(sealed)
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as plain:  # noqa: PTH123
            try:
                cut = _copy(opener.read(keys), plain)
            except (OSError, SealedError):
                target.unlink()
                raise
    print(target)
    if cut is not None:
        print(f"{source}: {cut}", file=sys.stderr)
        return BREAKS_OFF
    return 0


def _copy(chunks: Iterator[bytes], plain: BinaryIO) -> Truncated | None:
    """Write the chunks, and correct the header for their length; returns why they are not all, if so."""
    head, octets, cut = b"", 0, None
    try:
        for chunk in chunks:
            plain.write(chunk)
            octets += len(chunk)
            head = (head + chunk)[:HEADER_OCTETS] if len(head) < HEADER_OCTETS else head
    except Truncated as error:
        cut = error
    plain.seek(0)
    plain.write(with_sizes(head, octets))
    return cut


def _tell(file: Path) -> int:
    """Print what is known about a recording; returns the exit status."""
    told: dict[str, Any] = {"file": str(file)}
    try:
        with file.open("rb") as content:
            told["encrypted"] = _key_of(content)
            told["octets"] = file.stat().st_size
        side_car = Path(f"{file}{SIDE_CAR}")
        told |= json.loads(side_car.read_bytes()) if side_car.exists() else {}
    except OSError as error:
        print(f"{error.filename or file}: {error.strerror}", file=sys.stderr)
        return FAILED
    except ValueError:
        print(f"{side_car}: is not readable", file=sys.stderr)
        return FAILED
    print(json.dumps(told, indent=2))
    return 0


def _key_of(content: BinaryIO) -> str | None:
    """Return the id of the key that a file needs."""
    try:
        return Opener(content).key_id
    except NotSealed:
        return None


def _parser() -> argparse.ArgumentParser:
    purpose, _, explained = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="ims-acd recording",
        description=purpose,
        epilog=explained,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    info = actions.add_parser("info", help="print what is known about recordings, as JSON")
    info.add_argument("files", nargs="+", metavar="FILE", help="a recording")
    decrypt = actions.add_parser("decrypt", help="write an encrypted recording as one that can be played")
    decrypt.add_argument("file", metavar="FILE", help="the encrypted recording")
    decrypt.add_argument("--output", metavar="FILE", help="where to write it")
    keys = decrypt.add_mutually_exclusive_group(required=True)
    keys.add_argument("--config", metavar="FILE", help="the configuration that has the keys, or names their file")
    keys.add_argument("--keys", metavar="FILE", help="the file of the keys")
    return parser
