"""Checks that the hops of an IMS core find each other, and believe nobody else."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import chain
from typing import TYPE_CHECKING

from ims_core.messages.uri import parse_uri

if TYPE_CHECKING:
    from acd.config.ims import HopName
    from acd.config.mistakes import Mistakes
    from acd.config.model import Config
    from acd.config.reader import Path


# Whom each hop gets requests of; an application server of ours is known by sip.listen.
_BESIDE: dict[HopName, tuple[HopName, ...]] = {"pcscf": ("scscf",), "scscf": ("pcscf",), "as": ("scscf",)}


def check_ims(config: Config, mistakes: Mistakes) -> None:
    """Report hops that cannot find each other, or believe handsets."""
    ims = config.ims
    if ims.enabled and config.sip.authentication == "off":
        mistakes.report(("ims", "enabled"), 'sip.authentication = "digest", by which subscribers prove who they are')
    if not ims.run and not mistakes.any_in(("ims", "run")):
        mistakes.report(("ims", "run"), 'at least one of "pcscf", "scscf" and "as"')
    if ims.has_hops:
        _hops(config, mistakes)
        _known_by_name(config, mistakes)
    if ims.enabled:
        _trusted(config, mistakes)


def _hops(config: Config, mistakes: Mistakes) -> None:
    ims = config.ims
    bound = {
        (listener.transport == "udp", listener.host, listener.port): "sip.listen" for listener in config.sip.listen
    }
    for name, hop in (("pcscf", ims.pcscf), ("scscf", ims.scscf)):
        path: Path = ("ims", name)
        if mistakes.any_in(path):
            continue
        if name in ims.run and not hop.listen:
            mistakes.report((*path, "listen"), f'at least one address, because ims.run has "{name}"')
        elif not hop.listen and hop.uri is None:
            mistakes.report((*path, "uri"), "the SIP URI by which the other hops reach it")
        if name not in ims.run:
            continue
        for index, listener in enumerate(hop.listen):
            place = listener.transport == "udp", listener.host, listener.port
            if listener.port and place in bound:
                mistakes.report((*path, "listen", index), f"an address that is not in {bound[place]}", str(listener))
            bound[place] = f"ims.{name}.listen"
            if listener.is_unspecified and hop.uri is None:
                mistakes.report((*path, "uri"), f"the SIP URI by which peers reach it; {listener} names no host")
            if listener.needs_certificate and config.sip.tls is None and not mistakes.any_in(("sip", "tls")):
                mistakes.report(("sip", "tls"), f"a table with a certificate, because ims.{name}.listen has {listener}")


def _known_by_name(config: Config, mistakes: Mistakes) -> None:
    """Report hops elsewhere that are named by a host name only: who a request is from is known by its address."""
    ims = config.ims
    for name in dict.fromkeys(chain.from_iterable(_BESIDE[own] for own in ims.run)):
        hop = ims.pcscf if name == "pcscf" else ims.scscf
        if ims.trusted or name in ims.run or hop.uri is None or mistakes.any_in(("ims", name)):
            continue
        has_address = hop.listen and not any(listener.is_unspecified for listener in hop.listen)
        if not has_address and not (uri := parse_uri(hop.uri)).has_ip_host:
            what = f"the addresses that {uri.host} sends from, to be believed: ims.{name}.uri names it without one"
            mistakes.report(("ims", "trusted"), what)


def _trusted(config: Config, mistakes: Mistakes) -> None:
    """Report trust in the host that handsets are on as well."""
    first = config.ims.pcscf.listen if config.ims.has_hops else config.sip.listen
    handsets = {listener.host for listener in first if ip_address(listener.host).is_loopback}
    for index, network in enumerate(config.ims.trusted):
        for host in sorted(handsets):
            if host in network:
                what = f"a network without {host}, at which handsets on this host are served: each would be believed"
                mistakes.report(("ims", "trusted", index), what, str(network))
