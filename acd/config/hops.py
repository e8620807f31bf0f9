"""Checks that the hops of an IMS core find each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acd.config.mistakes import Mistakes
    from acd.config.model import Config
    from acd.config.reader import Path


def check_ims(config: Config, mistakes: Mistakes) -> None:
    """Report hops that cannot find each other."""
    ims = config.ims
    if ims.enabled and config.sip.authentication == "off":
        mistakes.report(("ims", "enabled"), 'sip.authentication = "digest", by which subscribers prove who they are')
    if not ims.run and not mistakes.any_in(("ims", "run")):
        mistakes.report(("ims", "run"), 'at least one of "pcscf", "scscf" and "as"')
    if ims.has_hops:
        _hops(config, mistakes)


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
