"""A client of rtpengine's ng protocol: bencoded dictionaries in datagrams, each behind a cookie."""

from __future__ import annotations

import itertools
import socket

from benchmarks.processes import Address, BenchmarkError

Value = int | str | list["Value"] | dict[str, "Value"]


def encode(value: Value) -> bytes:
    """Bencode a value; text is sent as UTF-8, dictionary keys are sorted as bencoding asks."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        data = value.encode()
        return b"%d:%s" % (len(data), data)
    if isinstance(value, list):
        return b"l" + b"".join(encode(item) for item in value) + b"e"
    return b"d" + b"".join(encode(key) + encode(value[key]) for key in sorted(value)) + b"e"


def decode(data: bytes) -> Value:
    """Read one bencoded value that fills `data`; raise ValueError for anything else."""
    value, end = _decode(data, 0)
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes behind the value")
    return value


def _decode(data: bytes, at: int) -> tuple[Value, int]:
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind == b"l":
        items: list[Value] = []
        at += 1
        while data[at : at + 1] != b"e":
            item, at = _decode(data, at)
            items.append(item)
        return items, at + 1
    if kind == b"d":
        entries: dict[str, Value] = {}
        at += 1
        while data[at : at + 1] != b"e":
            key, at = _decode(data, at)
            entries[str(key)], at = _decode(data, at)
        return entries, at + 1
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    if end > len(data):
        raise ValueError("a string runs over the end")
    return data[colon + 1 : end].decode(errors="replace"), end


class NgClient:
    """Sends commands to an rtpengine and waits for its answers, one at a time."""

    def __init__(self, address: Address, *, timeout: float = 1.0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(timeout)
        self._socket.connect(address)
        self._cookies = itertools.count(1)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def command(self, name: str, **arguments: Value) -> dict[str, Value]:
        """Return the answer to a command; `_` in argument names stands for ng's `-`.

        Raises `BenchmarkError` when rtpengine refuses or does not answer in time.
        """
        cookie = b"b%d" % next(self._cookies)
        body: dict[str, Value] = {"command": name}
        body.update({key.replace("_", "-"): value for key, value in arguments.items()})
        try:
            self._socket.send(cookie + b" " + encode(body))
            while True:
                got, _, data = self._socket.recv(65535).partition(b" ")
                if got == cookie:
                    break
            answer = decode(data)
        except (OSError, ValueError) as error:
            raise BenchmarkError(f"rtpengine gave no answer to {name}: {error}") from error
        if not isinstance(answer, dict) or answer.get("result") not in ("ok", "pong"):
            raise BenchmarkError(f"rtpengine refused {name}: {answer}")
        return answer
