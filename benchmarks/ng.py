"""A client of rtpengine's ng protocol that waits for each answer."""

from __future__ import annotations

import itertools
import socket

from benchmarks.processes import Address, BenchmarkError
from media.rtpengine.bencode import Value, Writable, decode, encode


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

    def command(self, name: str, **arguments: Writable) -> dict[str, Value]:
        """Return the answer to a command; `_` in argument names stands for ng's `-`.

        Raises `BenchmarkError` when rtpengine refuses or does not answer in time.
        """
        cookie = b"b%d" % next(self._cookies)
        body: dict[str, Writable] = {"command": name}
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
