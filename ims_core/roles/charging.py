"""P-Charging-Vector: by which records of several elements and networks are put together (RFC 7315 section 4.6).

An inter-operator identifier (IOI) names the network that sends a request, ``orig-ioi``, or its response, ``term-ioi``.
Those between a visited and a home network and those between a home network and an application server begin with a
string of their own, those between the home networks of caller and callee do not (TS 24.229 section 4.5.4).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from ims_core.errors import BadRequest
from ims_core.messages.headers import TOKEN, parse_params, quote_string, split_params

if TYPE_CHECKING:
    from ims_core.messages.message import Message, Response

TYPE_1: Final = "Type 1"
TYPE_2: Final = ""
TYPE_3: Final = "Type 3"
HEADER: Final = "P-Charging-Vector"

_OF_NETWORKS = frozenset(("orig-ioi", "term-ioi"))
# Whatever else there is was learnt from an access network, and is for the home network alone (TS 24.229 7.2A.5.2).
_FOR_ALL = _OF_NETWORKS | {
    "icid-value", "icid-generated-at", "transit-ioi", "related-icid", "related-icid-generated-at",
}  # fmt: skip
_PLAIN = TOKEN | frozenset("[]:")


class ChargingVector(NamedTuple):
    """The parameters by name, ``icid-value`` being the first; they are not to be changed."""

    params: dict[str, str]

    @property
    def icid(self) -> str:
        """The charging identifier of the dialog."""
        return self.params.get("icid-value", "")

    @property
    def orig_ioi(self) -> str:
        """The network that sent the request, with the string of its type; empty when none is named."""
        return self.params.get("orig-ioi", "")

    def sent_by(self, network: str, kind: str = TYPE_2) -> ChargingVector:
        """Return the vector of a request that this network sends on."""
        kept = {name: value for name, value in self.params.items() if name not in _OF_NETWORKS}
        return ChargingVector({**kept, "orig-ioi": f"{kind}{network}"})

    def answered_by(self, network: str) -> ChargingVector:
        """Return the vector of a response, by this network, to the request that came with this one."""
        kind = next((kind for kind in (TYPE_1, TYPE_3) if self.orig_ioi[: len(kind)].lower() == kind.lower()), TYPE_2)
        return ChargingVector({**self.for_others().params, "term-ioi": f"{kind}{network}"})

    def for_others(self) -> ChargingVector:
        """Return the vector without what an access network has told."""
        return ChargingVector({name: value for name, value in self.params.items() if name in _FOR_ALL})

    def __str__(self) -> str:
        return ";".join([f"{name}={_written(value)}" if value else name for name, value in self.params.items()])


def charging_vector(message: Message) -> ChargingVector | None:
    """Return the vector of a message; None when there is none with an identifier, or it is malformed."""
    value = message.get(HEADER)
    if value is None:
        return None
    return _read_remembered(value) if len(value) <= _REMEMBERED_LENGTH else _read(value)


def _read(value: str) -> ChargingVector | None:
    try:
        params = parse_params(split_params(value))
    except BadRequest:
        return None
    return ChargingVector(params) if params.get("icid-value") else None


def write_vector(message: Message, vector: ChargingVector | None) -> None:
    """Put ``vector`` in the place of any there is; None: nothing."""
    if vector is None:
        message.remove(HEADER)
    else:
        message.set(HEADER, str(vector))


def answer_vector(response: Response, asked: ChargingVector | None, network: str) -> None:
    """Write into a response what this network answers to a request that came with the vector ``asked``."""
    if response.status > 100:
        write_vector(response, None if asked is None else asked.answered_by(network))


def _written(value: str) -> str:
    return value if _PLAIN.issuperset(value) else quote_string(value)


# Each element of a dialog reads the same ones again and again.
_REMEMBERED_LENGTH: Final = 256
_read_remembered = lru_cache(maxsize=4096)(_read)
