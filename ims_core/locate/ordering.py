"""In which order servers are tried (RFC 2782), and by which services they are found (RFC 3263 section 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Final

from ims_core.locate.records import Naptr, Srv

MOST_SERVERS = 16  # of one service, and of one URI

# The service of a NAPTR, and the start of the name that SRV records are under (RFC 3263 4.1),
# and of no other transport: a WebSocket is opened by the browser, so that its services (RFC 7118) are of no use here
SERVICES: Final = {"SIP+D2U": "UDP", "SIP+D2T": "TCP", "SIPS+D2T": "TLS"}
SRV_NAMES: Final = {"UDP": "_sip._udp", "TCP": "_sip._tcp", "TLS": "_sips._tcp"}


def in_order(records: Iterable[Srv], number: Callable[[int], int]) -> list[Srv]:
    """Sort by priority and, within one, draw by weight; ``number(n)`` is a random number below n.

    An operator may publish any number of servers: those beyond the first ``MOST_SERVERS`` are left out.
    """
    drawn: list[Srv] = []
    for _, equals in groupby(sorted(set(records)), key=lambda record: record.priority):
        left = list(equals)  # RFC 2782: those of weight 0 stand first, so that they have a small chance
        total = sum(record.weight for record in left)
        while left and len(drawn) < MOST_SERVERS:
            mark, running = number(total + 1), 0
            for record in left:
                running += record.weight
                if running >= mark:
                    break
            left.remove(record)
            total -= record.weight
            drawn.append(record)
    return drawn


def usable(records: Iterable[Naptr], transports: Iterable[str], *, secure: bool) -> list[tuple[str, str]]:
    """Choose the services that we speak, as transport and SRV name, the one to be tried first first.

    A ``sips`` URI is served by secure ones only. Records with another flag than ``s`` are not of RFC 3263.
    """
    spoken = set(transports)
    return [
        (transport, record.replacement)
        for record in sorted(set(records))
        if record.flags.lower() == "s"
        and (transport := SERVICES.get(record.service.upper(), "")) in spoken
        and (not secure or record.service.upper().startswith("SIPS"))
    ][: len(SERVICES)]
