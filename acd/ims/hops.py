"""The CSCFs of a configuration as hops: elements of their own, in one process or in one each."""

from __future__ import annotations

import random
import secrets
from typing import TYPE_CHECKING

from msgspec.structs import replace

from acd.ims.edge import home_watch, pcscf_hop, put_first
from acd.ims.places import Cscf, neighbours
from acd.ims.serving import Serving
from acd.ims.subscribed import open_subscribers
from acd.sip import Listeners, Place, assemble, bind, build_relay, door_of, open_stack
from acd.trunks import Trunks, build_border
from ims_core.flow import format_address
from ims_core.ids import Ids
from ims_core.messages.uri import parse_uri
from ims_core.profiles.model import SessionCase
from ims_core.registrar.bindings_store import BindingsStore
from ims_core.registrar.location import Domains, Location, LocationEvent
from ims_core.roles.identity import ASSERTED, addresses
from ims_core.roles.served import serve
from ims_core.subscribers.identities import canonical
from ims_core.transport.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AsyncExitStack

    from acd.config import Config, Listener
    from acd.config.ims import HopName
    from acd.ims.places import Found
    from acd.trunks import Border
    from ims_core.errors import ServiceUnavailable
    from ims_core.messages.message import Request
    from ims_core.node import Node
    from ims_core.registrar.bindings_store import Beside
    from ims_core.roles.pcscf_hop import PcscfHop
    from ims_core.roles.routing import Decision, Router
    from ims_core.security.door import Door
    from ims_core.transport.tls import Tls

    Places = Mapping[HopName, Found]


class Hop:
    """An element of the core that runs here: an S-CSCF is ``serving`` subscribers, a P-CSCF is the ``edge``."""

    def __init__(self, name: Cscf, stack: Stack, listeners: Listeners, node: Node, border: Border) -> None:
        self.name = name
        self.stack = stack
        self.listeners = listeners
        self.node = node
        self.serving: Serving | None = None
        self.edge: PcscfHop | None = None
        self.trunks = Trunks(node, border)

    def follow(self, config: Config) -> None:
        """Follow a configuration that was read anew."""
        self._have_trunks(config)
        if self.serving is not None:
            self.serving.review(self.settle)

    def _have_trunks(self, config: Config) -> None:
        """Have the trunks for emergencies that a P-CSCF calls; they are registered with by the application server."""
        names = config.emergency.trunks if self.edge is not None else ()
        own = {name: replace(config.trunks[name], register=False) for name in names if name in config.trunks}
        self.trunks.follow(replace(config, trunks=own))
        self.stack.flush()

    def close(self, refusal: ServiceUnavailable) -> None:
        """Take no new calls from now on, but those for emergencies."""
        self.node.door.closing = refusal

    def settle(self) -> None:
        """Have the node act on what was changed, and send what follows from it."""
        self.node.settle()
        self.stack.flush()

    def begin(self, config: Config) -> None:
        """Take what comes in."""
        self._have_trunks(config)
        self.stack.attach(self.node)
        self.node.handle_timer()  # reports the bindings restored
        if self.serving is not None:
            self.serving.review(self.settle)


Opened = dict[Cscf, tuple[Stack, Listeners]]
"""The stacks and listeners of the CSCFs that run here, which do not know yet where the others are."""


async def open_hops(config: Config, tls: Tls | None, cleanup: AsyncExitStack) -> Opened:
    """Open the listeners of the CSCFs that run here. Raises ``CannotStart``."""
    ims = config.ims
    opened: Opened = {}
    wanted: dict[Cscf, tuple[Listener, ...]] = {"pcscf": ims.pcscf.listen, "scscf": ims.scscf.listen}
    for name, listen in wanted.items():
        if ims.enabled and ims.has_hops and ims.runs(name):
            stack = open_stack(config, tls)
            cleanup.push_async_callback(stack.close)
            opened[name] = stack, await bind(stack, config, listen, f"ims.{name}.listen")
    return opened


def build_hops(
    present: Callable[[], Config],
    opened: Opened,
    found: Places,
    cleanup: AsyncExitStack,
    *,
    route_key: bytes,
    beside: Border | None = None,
) -> list[Hop]:
    """Build the hops; ``beside`` them is the border of the engine's own element, if there is one.

    Raises ``CannotStart``.
    """
    builders = {"pcscf": _pcscf, "scscf": _scscf}
    return [
        builders[name](_place(present, name, listeners, found, route_key), stack, found, cleanup, beside)
        for name, (stack, listeners) in opened.items()
    ]


def _place(present: Callable[[], Config], name: Cscf, listeners: Listeners, found: Places, route_key: bytes) -> Place:
    domain = present().server.domain
    here = [*listeners.values(), *(format_address(local) for _, local in listeners)]
    uri = parse_uri(found[name].uri)
    here.append(format_address(uri.address) if uri.port or uri.has_ip_host else uri.host)
    domains = Domains(domain if name == "scscf" else f"{name}.{domain}", here)
    ids = Ids(random.Random(secrets.randbits(256)).getrandbits)
    return Place(present, ids, domains, Location(), listeners, route_key)


def _assemble(place: Place, router: Router, door: Door, border: Border) -> Node:
    """Put a hop together, which lets handsets know what the next one cannot do, as one element of all roles would."""
    node = assemble(place, router, door, border)
    node.proxy.policy = node.proxy.policy._replace(passes_unavailable=True)
    return node


def _pcscf(place: Place, stack: Stack, found: Places, cleanup: AsyncExitStack, beside: Border | None) -> Hop:
    border = build_border(place.present, ids=place.ids, domains=place.domains, clock=place.clock, beside=beside)
    home = found["scscf"]
    around = neighbours(place.present(), [home])
    edge = pcscf_hop(place, found["pcscf"].uri, home.uri, neighbours=around, border=border)
    door = door_of(place, border, around)
    if door.guard is not None:
        edge.on_verdict = door.guard.judged
    node = _assemble(place, edge, door, border)
    put_first(edge.first_hop, node)
    edge.watch = home_watch(place.present(), edge, node, found["pcscf"].uri, home.uri)
    keep = _kept(place, cleanup, "handsets.sqlite", edge.handsets)

    def on_location(event: LocationEvent) -> None:
        keep(event)
        edge.changed(event)

    node.on_location = on_location
    hop = Hop("pcscf", stack, place.listeners, node, border)
    hop.edge = edge
    return hop


def _scscf(place: Place, stack: Stack, found: Places, cleanup: AsyncExitStack, beside: Border | None) -> Hop:
    config, clock = place.present(), place.clock
    keep = _kept(place, cleanup, "registrations.sqlite")
    border = build_border(place.present, ids=place.ids, domains=place.domains, clock=clock, beside=beside)
    server = found["as"].uri
    relay = build_relay(place)
    around = neighbours(config, [found["pcscf"], found["as"]])

    def leave(request: Request, user: str) -> Decision | None:
        """Send what is for none of our users to where it may go: the application server has the trunks.

        It is told who diverted the call, and so who pays for it.
        """
        if relay is not None and (target := relay.target(request)) is not None:
            return border.fallbacks.leaving(request, target)
        if request.method == "INVITE" and border.leads_out(request, parse_uri(user).user):
            copy = request.copy()
            if user not in map(canonical, addresses(request, ASSERTED)):
                serve(copy, user, SessionCase.ORIGINATING_CDIV)
            return serving.services.hand(server, copy)
        return None

    serving = Serving(
        place,
        open_subscribers(place.present, cleanup, place.unix_time()),
        found["scscf"].uri,
        neighbours=around,
        server=server,
        leaving=leave,
    )
    door = door_of(place, border, around)
    node = _assemble(place, serving.router, door, border)
    serving.follow(node, door)

    def on_location(event: LocationEvent) -> None:
        keep(event)
        serving.registrations.note(event)

    node.on_location = on_location
    hop = Hop("scscf", stack, place.listeners, node, border)
    hop.serving = serving
    return hop


def _kept(
    place: Place, cleanup: AsyncExitStack, file: str, beside: Beside | None = None
) -> Callable[[LocationEvent], object]:
    """Bring back the bindings of the last run and keep those of this one; return what is to be told of changes."""
    config = place.present()
    if not config.registrar.survive_restart:
        return lambda event: None
    bindings = BindingsStore(config.storage.path / file, clock=place.clock, beside=beside)
    bindings.restore(place.location, list(place.listeners))
    bindings.start()
    cleanup.callback(bindings.close)
    return bindings.note
