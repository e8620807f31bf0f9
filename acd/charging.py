"""What an INVITE says for charging: IMS header fields that end up in the CDR (RFC 7315, TS 24.229 4.5)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from acd.facts import ChargingKnown
from ims_core.errors import BadRequest
from ims_core.messages.headers import parse_name_addr, parse_params, readable, split_params

if TYPE_CHECKING:
    from ims_core.messages.message import Request

LONGEST = 500  # characters that are kept of each
_FIELDS = (
    "P-Charging-Vector",
    "P-Asserted-Identity",
    "P-Served-User",
    "P-Access-Network-Info",
    "P-Called-Party-ID",
)


def charging_of(request: Request, call: str) -> ChargingKnown | None:
    """Return what the INVITE of ``call`` says for charging, None if that is nothing; what is malformed is left out.

    Header fields that only the network may write are believed here: who lets the request in removes them where they
    are not to be believed (RFC 3325 5, TS 24.229 5.2.6.3.3).
    """
    if not any(name in request for name in _FIELDS):
        return None
    vector = _vector(request)
    return ChargingKnown(
        call,
        icid=_kept(vector.get("icid-value", "")),
        orig_ioi=_kept(vector.get("orig-ioi", "")),
        term_ioi=_kept(vector.get("term-ioi", "")),
        asserted_identity=_address(request, "P-Asserted-Identity"),
        served_user=_address(request, "P-Served-User"),
        access_network=_kept(request.get("P-Access-Network-Info") or ""),
        called_party=_address(request, "P-Called-Party-ID") or _kept(request.uri),
    )


def _vector(request: Request) -> dict[str, str]:
    """Return the parameters of P-Charging-Vector, which has nothing before them (RFC 7315 5.6)."""
    with suppress(BadRequest):
        return parse_params(split_params(request.get("P-Charging-Vector") or "icid-value="))
    return {}


def _address(request: Request, name: str) -> str:
    """Return the URI of the field's first value."""
    values = request.values(name)
    with suppress(BadRequest):
        return _kept(parse_name_addr(values[0]).uri_text) if values else ""
    return ""


def _kept(text: str) -> str:
    """Return what a database can hold of a peer's text."""
    return readable(text).replace("\0", "")[:LONGEST]
