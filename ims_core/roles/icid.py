"""Charging identifiers for what enters the network here, one for each dialog (RFC 7315 4.6, TS 24.229 7.2A.5)."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from ims_core.roles.charging import TYPE_1, ChargingVector

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_DIALOGS: Final = 65_536


class Icids:
    """Makes the P-Charging-Vector of requests that enter the network here.

    ``host`` is where the identifiers are made, ``network`` the name by which operators settle accounts with this one.
    ``secret`` keeps what is derived from Call-IDs apart from what others derive; ``number`` returns text that never
    comes again.
    """

    def __init__(self, secret: bytes, *, host: str, network: str, number: Callable[[], str]) -> None:
        self.network = network
        self._mac = blake2b(digest_size=12, key=secret, person=b"charging")
        self._host = host
        self._number = number

    def fresh(self) -> ChargingVector:
        """Return the vector of a request that belongs to nothing else."""
        return self._vector(self._number())

    def of_dialog(self, call_id: str, tag: str) -> ChargingVector:
        """Return the vector of all requests of the dialog that a request of this Call-ID and From tag makes.

        So that nothing has to be remembered of it, its identifier is derived from these.
        """
        mac = self._mac.copy()
        mac.update(f"{call_id}\n{tag}".encode("utf-8", "surrogateescape"))
        return self._vector(mac.hexdigest())

    def _vector(self, identifier: str) -> ChargingVector:
        told = {"icid-value": f"{identifier}@{self._host}", "icid-generated-at": self._host}
        return ChargingVector(told).sent_by(self.network, TYPE_1)


class Kept(NamedTuple):
    """What of a dialog its later requests to a handset cannot tell: its charging vector, how private the other side is.

    ``hidden`` are the values of Privacy that it began with.
    """

    vector: ChargingVector | None
    hidden: frozenset[str] = frozenset()


class Dialogs:
    """Remembers what the later requests of dialogs with handsets need; the oldest go first.

    A dialog is known by its Call-ID and by the tag of the other side.
    """

    def __init__(self, most: int = MOST_DIALOGS) -> None:
        self._held: OrderedDict[tuple[str, str], Kept] = OrderedDict()
        self._most = most

    def __len__(self) -> int:
        return len(self._held)

    def keep(self, call_id: str, tag: str, kept: Kept) -> None:
        """Remember a dialog."""
        self._held[call_id, tag] = kept
        self._held.move_to_end((call_id, tag))
        if len(self._held) > self._most:
            self._held.popitem(last=False)

    def get(self, call_id: str, tag: str) -> Kept | None:
        """What is remembered of a dialog."""
        return self._held.get((call_id, tag))

    def forget(self, call_id: str, tag: str) -> None:
        """Forget a dialog that is over."""
        self._held.pop((call_id, tag), None)
