"""The media backend of several rtpengines."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import structlog

from media.api import (
    Capability,
    MediaCounters,
    MediaError,
    MediaEvent,
    MediaLeg,
    MediaUnavailable,
    Member,
    Protection,
    Unsupported,
    allowed,
)
from media.conference import Gains
from media.rtpengine.digits import DigitListener
from media.rtpengine.leg import RtpengineLeg
from media.rtpengine.node import RtpengineNode
from media.rtpengine.protection import draft
from media.rtpengine.report import Tally
from media.rtpengine.settings import CAPABILITIES, Node, RtpengineSettings
from media.rtpengine.spool import Spool
from media.sdp.local import Local
from media.sdp.negotiation import Negotiation

START_SECONDS: Final = 5.0

log = structlog.get_logger()


class RtpengineMedia:
    """A `Media` that spreads its legs over rtpengines in proportion to their weights.

    You must call `start` before `open` and `stop` at the end. Legs of an rtpengine that goes are told `Lost`; it is
    used again when it returns.
    """

    def __init__(self, settings: RtpengineSettings) -> None:
        self._settings = settings
        self._spool = Spool(settings.prompt_directories, settings.speech_directory, settings.spool)
        self._joined = asyncio.Event()
        self._digits = DigitListener(self._pressed)
        self._nodes = {
            node.name: RtpengineNode(node, settings, self._spool, self._joined.set) for node in settings.nodes
        }
        self._gone = Tally()  # what those counted that were taken away
        self._gone_counts = [0] * 5
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Try each rtpengine; those that fail are tried again later, as they may be starting as well.

        Raises MediaUnavailable when none serves in time.
        """
        try:
            await self._digits.listen(self._settings.digits)
        except OSError as error:
            where = "{}:{}".format(*self._settings.digits)
            raise MediaUnavailable(f"Digits cannot be heard of at {where}: {error.strerror}.") from error
        for node in self._nodes.values():
            node.start()
        await asyncio.gather(*(node.first_verdict for node in self._nodes.values()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await self._joined.wait()
        if not self.healthy():
            reasons = " ".join(f"{member.name}: {member.reason}" for member in self.members())
            await self.stop()
            raise MediaUnavailable(f"No rtpengine serves. {reasons}")

    async def stop(self) -> None:
        """Let go of the rtpengines; open legs are told `Lost`."""
        await asyncio.gather(*(node.stop() for node in self._nodes.values()))
        self._digits.close()

    async def open(
        self,
        leg_id: str,
        on_event: Callable[[MediaEvent], None],
        *,
        offer: str | None = None,
        like: MediaLeg | None = None,
        heeds_preconditions: bool = False,
        protection: Protection = Protection.NONE,
        family: str = "",
    ) -> MediaLeg:
        """Open a leg where `like` is, else where there are the fewest for the weight; if that fails, somewhere else.

        Raises NotAcceptable, CannotReserve, MediaUnavailable.
        """
        if like is not None and not isinstance(like, RtpengineLeg):
            raise MediaError("like must be a leg of this media backend.")
        for node in self._candidates(like):
            negotiate = partial(
                _negotiate, node.address, secrets.randbits(48), like, heeds_preconditions=heeds_preconditions
            )
            local = draft(self._settings, protection)
            if offer is not None:
                negotiate(local).take_offer(offer)
            try:
                return await node.open(leg_id, on_event, negotiate, local, offer)
            except MediaError as error:
                log.warning("rtpengine.leg_refused", rtpengine=node.node.name, leg_id=leg_id, reason=str(error))
        raise MediaUnavailable("No rtpengine takes the leg.")

    def connect(self, gains: Gains) -> None:
        """Refuse to mix. Raises Unsupported."""
        raise Unsupported("rtpengine does not mix.")

    def capabilities(self) -> frozenset[Capability]:
        """Tell what rtpengine can do for us."""
        settings = self._settings
        return allowed(CAPABILITIES, srtp=settings.srtp, dtls=settings.dtls, ice=settings.ice)

    def healthy(self) -> bool:
        """Tell whether at least one rtpengine serves."""
        return any(node.serves for node in self._nodes.values())

    def members(self) -> list[Member]:
        """Return the rtpengines."""
        return [node.member() for node in self._nodes.values()]

    def counters(self) -> MediaCounters:
        """Return the sums over all rtpengines; what legs counted is known when they are looked at, and at their end."""
        nodes = list(self._nodes.values())
        total = self._gone
        for node in nodes:
            for tally in (node.closed, *(leg.tally for leg in node.legs.values())):
                total = total.plus(tally)
        digits, missing, timeouts, returns, repeated = map(
            sum, zip(self._gone_counts, *map(_counts, nodes), strict=True)
        )
        return MediaCounters(
            packets_received=total.received,
            packets_sent=total.forwarded,
            octets_received=total.octets,
            digits=digits,
            prompts_missing=missing,
            rtp_timeouts=timeouts,
            worker_restarts=returns,
            requests_repeated=repeated,
            legs=sum(len(node.legs) for node in nodes),
            workers=len(nodes),
            workers_healthy=sum(node.serves for node in nodes),
        )

    # While calls go on --------------------------------------------------------------------------------------------

    def add(self, node: Node) -> Member:
        """Use another rtpengine too, as soon as it has been tried; one that drains is used again."""
        present = self._nodes.get(node.name)
        if present is None:
            present = self._nodes[node.name] = RtpengineNode(node, self._settings, self._spool, self._joined.set)
            present.start()
            log.info("rtpengine.added", rtpengine=node.name, weight=node.weight)
        present.node = node
        present.is_draining = False
        return present.member()

    def drain(self, name: str) -> Member:
        """Open no more legs there, and let go of it when the last one has ended. Raises KeyError, MediaError."""
        node = self._nodes[name]
        if all(other.is_draining for other in self._nodes.values() if other is not node):
            raise MediaError("It is the only rtpengine that is not draining.")
        if not node.is_draining:
            node.is_draining = True
            log.info("rtpengine.draining", rtpengine=name, legs=len(node.legs))
            task = asyncio.get_running_loop().create_task(self._leave(node), name=f"drain {name}")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        return node.member()

    def follow(self, nodes: Iterable[Node]) -> None:
        """Use these, and drain those that are not among them."""
        wanted = {node.name: node for node in nodes}
        for node in wanted.values():
            self.add(node)
        for name in self._nodes.keys() - wanted.keys():
            self.drain(name)

    # Inside -------------------------------------------------------------------------------------------------------

    def _candidates(self, like: RtpengineLeg | None) -> list[RtpengineNode]:
        serving = [node for node in self._nodes.values() if node.serves]
        return sorted(
            serving,
            key=lambda node: (
                like is None or node.legs.get(like.call_id) is not like,
                (len(node.legs) + 1) / node.node.weight,
            ),
        )

    async def _leave(self, node: RtpengineNode) -> None:
        while node.legs and node.is_draining:
            await node.emptied()
        if node.is_draining and self._nodes.get(node.node.name) is node:  # it may have been drained twice
            del self._nodes[node.node.name]
            self._gone = self._gone.plus(node.closed)
            self._gone_counts = [sum(pair) for pair in zip(self._gone_counts, _counts(node), strict=True)]
            await node.stop()
            log.info("rtpengine.removed", rtpengine=node.node.name)

    def _pressed(self, call_id: str, side: str, digit: str, ms: int) -> None:
        for node in self._nodes.values():
            node.pressed(call_id, side, digit, ms)


def _negotiate(
    address: str, session_id: int, like: RtpengineLeg | None, local: Local, *, heeds_preconditions: bool
) -> Negotiation:
    negotiation = Negotiation(address, session_id, local=local, heeds_preconditions=heeds_preconditions)
    if like is not None:
        negotiation.prefer(like.negotiation)
    return negotiation


def _counts(node: RtpengineNode) -> list[int]:
    return [node.digits, node.missing_prompts, node.timeouts, node.returns, node.repeated]
