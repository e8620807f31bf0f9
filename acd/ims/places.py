"""Where the hops of an IMS core are found, by each other and by handsets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from ims_core.flow import format_address, transport_parameter
from ims_core.messages.uri import parse_uri
from ims_core.roles.neighbours import Neighbours

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from acd.config import Config, Listener
    from acd.config.ims import HopName
    from acd.sip import Listeners
    from ims_core.flow import Address


Cscf = Literal["pcscf", "scscf"]


class Found(NamedTuple):
    """A hop: the URI that it is sent requests by, and the addresses that it may send from."""

    uri: str
    addresses: tuple[Address, ...]


def find(config: Config, own: Listeners | None, cscfs: Mapping[Cscf, Listeners]) -> dict[HopName, Found]:
    """Return where each hop is; the listeners are those of the application server and CSCFs in this process."""
    here: dict[HopName, Listeners | None] = {"as": own, "pcscf": cscfs.get("pcscf"), "scscf": cscfs.get("scscf")}
    ims = config.ims
    told: dict[HopName, tuple[str | None, tuple[Listener, ...]]] = {
        "pcscf": (ims.pcscf.uri, ims.pcscf.listen),
        "scscf": (ims.scscf.uri, ims.scscf.listen),
        "as": (None, config.sip.listen),
    }
    return {name: _found(uri, wanted, here[name]) for name, (uri, wanted) in told.items()}


def neighbours(config: Config, found: Iterable[Found]) -> Neighbours:
    """Return whom a hop next to these believes: them, and the hosts that the configuration trusts."""
    trusted = config.ims.trusted
    addresses = [address for each in found for address in each.addresses]
    return Neighbours(addresses, hosts=lambda host: any(host in network for network in trusted))


def _found(uri: str | None, wanted: tuple[Listener, ...], bound: Listeners | None) -> Found:
    if bound is not None:
        addresses = [local for _, local in bound]
        transport, advertised = next((transport, told) for (transport, _), told in bound.items())
    else:
        addresses = [(listener.host, listener.port) for listener in wanted]
        transport, advertised = (wanted[0].transport.upper(), format_address(addresses[0])) if wanted else ("UDP", "")
    if uri is None and not advertised:
        return Found("", ())
    uri = uri or f"sip:{advertised}{transport_parameter(transport)}"
    return Found(uri, tuple(dict.fromkeys([*addresses, parse_uri(uri).address])))
