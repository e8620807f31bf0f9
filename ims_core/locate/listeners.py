"""Which of our listeners a request leaves by (RFC 3261 section 18.1.1)."""

from __future__ import annotations

from collections.abc import Iterable

from ims_core.flow import Address, Flow


class Listeners:
    """The first of ``listeners`` for each transport and version of IP that can reach a host.

    What is bound to a loopback address reaches this host only, and is preferred for it.
    """

    def __init__(self, listeners: Iterable[tuple[str, Address]]) -> None:
        self._flows: dict[tuple[str, bool, bool], Flow] = {}
        known = list(listeners)
        for fits in (True, False):  # what fits less comes second
            for transport, local in known:
                here = local[0]
                key = transport, ":" in here, is_loopback(here) is fits
                self._flows.setdefault(key, Flow(transport, local, ("", 0)))

    def towards(self, transport: str, remote: Address) -> Flow | None:
        """Return the flow to ``remote``, None without a listener of that transport and version of IP."""
        host = remote[0]
        flow = self._flows.get((transport, ":" in host, is_loopback(host)))
        return flow and Flow(transport, flow.local, remote)


def is_loopback(host: str) -> bool:
    """Whether an IP address is one of this host alone."""
    return host.startswith("127.") or host == "::1"
