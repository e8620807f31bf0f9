"""The original-dialog identifier: how an S-CSCF knows a request again that an application server sends back.

TS 24.229 section 5.4.3.4 leaves its form to the S-CSCF, whose own URI in the Route carries it: "the S-CSCF shall be
able to identify the original dialog, even if the AS has changed the dialog identification". Here it is the user part of
that URI and holds all there is to know, sealed: nothing is kept while a server has the request, and a restart loses
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from ims_core.messages.uri import parse_uri
from ims_core.profiles.model import SessionCase
from ims_core.proxy.hiding import Seal
from ims_core.structs import Value

PREFIX: Final = "odi."
_PURPOSE = b"original dialog"
_MINUTE = 60


class OriginalDialog(Value):
    """How far the services of a user have got with a request.

    ``served`` is the canonical public identity whose services they are, ``visited`` the priorities of the criteria
    whose servers had their turn, in that order. ``target`` and ``call`` are what ``fingerprint`` made of the
    Request-URI, and of the Call-ID and From tag.
    """

    served: str
    case: SessionCase
    visited: tuple[int, ...]
    target: str
    call: str


def fingerprint(*texts: str) -> str:
    """Return by what texts are known again."""
    return blake2b("\n".join(texts).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


class OriginalDialogs:
    """Writes identifiers into the URI of the S-CSCF, ``uri``, and reads them again for ``lifetime`` seconds.

    ``secret`` seals them; who has it can read what others wrote. ``unix_time`` turns ``now`` into seconds since 1970.
    Within one minute the same dialog is written alike, so that a request going round is seen to (RFC 5393).
    """

    def __init__(
        self,
        uri: str,
        secret: bytes,
        *,
        lifetime: float = 3600.0,
        unix_time: Callable[[float], float] = lambda now: now,
    ) -> None:
        here = parse_uri(uri)
        tail = here.text.partition(":")[2].rpartition("@")[2]
        self._tail = f"@{tail}" if here.is_loose_router else f"@{tail};lr"
        self._scheme = here.scheme
        self._seal = Seal(secret)
        self._minutes = lifetime / _MINUTE
        self._unix_time = unix_time

    def write(self, dialog: OriginalDialog, now: float) -> str:
        """Return the identifier that stands for ``dialog``, the user part of a URI."""
        visited = ",".join(map(str, dialog.visited))
        text = f"{self._minute(now)} {dialog.case:d} {visited} {dialog.target} {dialog.call} {dialog.served}"
        return f"{PREFIX}{self._seal.close(text, _PURPOSE, '')}"

    def route(self, identifier: str) -> str:
        """Return the Route value by which a request comes back."""
        return f"<{self._scheme}:{identifier}{self._tail}>"

    def read(self, identifier: str, now: float) -> OriginalDialog | None:
        """Return what an identifier stands for; None: it is not by us, or too old."""
        text = self._seal.open(identifier.removeprefix(PREFIX), _PURPOSE, "")
        if text is None:
            return None
        minute, case, visited, target, call, served = text.split(" ", 5)
        if self._minute(now) - int(minute) > self._minutes:
            return None
        return OriginalDialog(served, SessionCase(int(case)), tuple(map(int, visited.split(","))), target, call)

    def _minute(self, now: float) -> int:
        return int(self._unix_time(now) // _MINUTE)
