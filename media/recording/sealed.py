"""Encrypted files that are written piece by piece: AES-256-GCM in chunks, each of which is safe once it is written.

    header  "IMSREC" 1 | octets of the key's id | that id | 32 random octets
    chunk   0 or 1 (the last one) | 4 octets of length | ciphertext and its tag

The file's own key comes from the configured key and the random octets by HKDF-SHA256 (RFC 5869), bound to the header,
so no nonce meets a key twice. The nonce of a chunk is its number and whether it is the last: chunks can neither be
moved nor left out, and a file that was cut between two chunks is known by its lack of a last one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from media.recording.keys import KEY_OCTETS, RecordingKey

MAGIC: Final = b"IMSREC\x01"
LARGEST_CHUNK: Final = 1024 * 1024
_SALT_OCTETS: Final = 32
_TAG_OCTETS: Final = 16
_PREFIX: Final = 5


class SealedError(Exception):
    """The file cannot be opened; the message is one sentence."""


class NotSealed(SealedError):
    """It is no encrypted recording."""


class UnknownKey(SealedError):
    """Its key is not among those at hand, or is another one of the same id."""


class Tampered(SealedError):
    """Something was changed in it."""


class Truncated(SealedError):
    """Its end is missing; what came before is genuine."""


class Sealer:
    """Seals a file from its begin to its end."""

    def __init__(self, key: RecordingKey, salt: bytes) -> None:
        self.header = MAGIC + bytes([len(key.id)]) + key.id.encode() + salt
        self._cipher = _file_cipher(key, self.header)
        self._number = 0

    def seal(self, data: bytes, *, last: bool = False) -> bytes:
        """Return the next chunks for the data; after the `last` ones there are no more."""
        pieces = [data[place : place + LARGEST_CHUNK] for place in range(0, len(data), LARGEST_CHUNK)]
        chunks = [self._chunk(piece, last=False) for piece in pieces]
        return b"".join(chunks) + (self._chunk(b"", last=True) if last else b"")

    def _chunk(self, data: bytes, *, last: bool) -> bytes:
        prefix = bytes([last]) + (len(data) + _TAG_OCTETS).to_bytes(4, "big")
        sealed = self._cipher.encrypt(_nonce(self._number, last=last), data, prefix)
        self._number += 1
        return prefix + sealed


class Opener:
    """Reads a sealed file. Raises NotSealed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        head = file.read(len(MAGIC) + 1)
        if head[: len(MAGIC)] != MAGIC or len(head) <= len(MAGIC):
            raise NotSealed("This is no encrypted recording.")
        rest = file.read(head[-1] + _SALT_OCTETS)
        if len(rest) < head[-1] + _SALT_OCTETS:
            raise NotSealed("The header of the encrypted recording is cut off.")
        self.key_id = rest[: head[-1]].decode("ascii", "replace")
        self._header = head + rest

    def read(self, keys: Mapping[str, RecordingKey]) -> Iterator[bytes]:
        """Yield what was sealed, chunk by chunk, each of which is genuine.

        Raises UnknownKey before the first one; Tampered or Truncated as soon as it shows.
        """
        key = keys.get(self.key_id)
        if key is None:
            raise UnknownKey(f"The recording needs the key {self.key_id!r}, which is not at hand.")
        cipher = _file_cipher(key, self._header)
        number = 0
        while prefix := self._file.read(_PREFIX):
            length = int.from_bytes(prefix[1:], "big")
            is_last = prefix[0] == 1
            if len(prefix) == _PREFIX and (prefix[0] > 1 or not _TAG_OCTETS <= length <= LARGEST_CHUNK + _TAG_OCTETS):
                raise Tampered(f"The recording was changed: chunk {number + 1} is none.")
            sealed = self._file.read(length)
            if len(prefix) < _PREFIX or len(sealed) < length:
                break
            try:
                data = cipher.decrypt(_nonce(number, last=is_last), sealed, prefix)
            except InvalidTag:
                if number == 0:
                    raise UnknownKey(
                        f"The key {self.key_id!r} is not the one of the recording, or it was changed."
                    ) from None
                raise Tampered(f"The recording was changed: chunk {number + 1} is not genuine.") from None
            yield data
            number += 1
            if is_last:
                if self._file.read(1):
                    raise Tampered("The recording was changed: something follows its end.")
                return
        raise Truncated(f"The recording breaks off after {number} chunks.")


def _file_cipher(key: RecordingKey, header: bytes) -> AESGCM:
    salt = header[-_SALT_OCTETS:]
    return AESGCM(HKDF(SHA256(), KEY_OCTETS, salt, b"ims-acd recording " + header).derive(key.key))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
