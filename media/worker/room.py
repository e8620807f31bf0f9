"""Who hears whom: legs, and the gain at which each of them hears each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from media.analysis.conversation import Conversation
from media.worker.mixing import Mixing, Part, arrange
from media.worker.outgoing import can_relay
from media.worker.ticker import Ticker

if TYPE_CHECKING:
    from media.worker.decoding import Decoding
    from media.worker.outgoing import Outgoing
    from media.worker.session import Session

Gains = Mapping[tuple["Session", "Session"], float]
"""The gain from a speaker (first) to a hearer (second); who is not in it is not heard."""


class Room:
    """Legs connected by a matrix of gains: a bridge has two ones, an echo is a leg that hears itself.

    A hearer with exactly one audible speaker, at gain 1 and of the same bitstream, is relayed to packet by packet; what
    others hear is mixed each 20 ms. Whatever changes that (the matrix, volume, SDP, what plays, the codec that a
    speaker changes to) calls `plan`. `conversation` is told who takes part, by the legs themselves.
    """

    __slots__ = (
        "_asking",
        "_audible",
        "_decodings",
        "_gains",
        "_members",
        "_mixed",
        "_mixings",
        "_ticker",
        "conversation",
    )

    def __init__(self, ticker: Ticker) -> None:
        self.conversation = Conversation()
        self._ticker = ticker
        self._members: tuple[Session, ...] = ()
        self._gains: Gains = {}
        self._audible: dict[Session, list[tuple[Session, float]]] = {}
        self._mixed: list[Session] = []
        self._decodings: list[Decoding] = []
        self._mixings: list[Mixing] = []
        self._asking: list[tuple[Session, list[Decoding]]] = []

    def connect(self, gains: Gains) -> None:
        """Connect these legs exactly so: each leaves the room it was in, and who is not named leaves this one."""
        members = dict.fromkeys(leg for pair in gains for leg in pair)
        for leg in self._members:
            if leg not in members:
                leg.room = None
                leg.route((), ())
                leg.speech.ask(None)
        for leg in members:
            if leg.room is not self:
                leg.leave()
                leg.room = self
        self._members = tuple(members)
        self._gains = dict(gains)
        self._audible = {leg: [] for leg in members}
        for (speaker, hearer), gain in gains.items():
            if gain > 0:
                self._audible[hearer].append((speaker, gain))
        self.plan()

    def rearrange(self, gains: Gains) -> None:
        """Connect these legs exactly so; those of this room that are not named go on among themselves, in another."""
        named = {leg for pair in gains for leg in pair}
        others = {pair: gain for pair, gain in self._gains.items() if named.isdisjoint(pair)}
        self.connect(gains)
        if others:
            Room(self._ticker).connect(others)

    def leave(self, leg: Session) -> None:
        """Take one leg out; the others stay as they are."""
        self.connect({pair: gain for pair, gain in self._gains.items() if leg not in pair})

    def dissolve(self) -> None:
        """Part all legs."""
        self.connect({})

    def plan(self) -> None:
        """Find anew how each leg's packets reach those who hear it."""
        hearers: dict[Session, list[Outgoing]] = {leg: [] for leg in self._members}
        relays: dict[Session, list[Session]] = {leg: [] for leg in self._members}
        mixed: dict[Session, dict[Session, float]] = {}
        for hearer in self._members:
            speakers = self._speakers(hearer) if hearer.listens else {}
            for speaker in speakers:
                hearers[speaker].append(hearer.outgoing)
            audible = {speaker: gain for speaker, gain in speakers.items() if gain > 0}
            if len(audible) == 1:
                ((speaker, gain),) = audible.items()
                if gain == 1 and can_relay(speaker.spoken, hearer.stream.send):
                    relays[speaker].append(hearer)
                    continue
            if speakers:
                mixed[hearer] = audible
        decoded = {speaker for audible in mixed.values() for speaker in audible}
        for leg in self._members:
            relayed = tuple(hearer.outgoing for hearer in relays[leg])
            leg.route(relayed, tuple(hearers[leg]), decoded=leg in decoded)
            leg.speech.ask(None)
        self._mixed = list(mixed)
        self._decodings = [leg.decoding for leg in decoded if leg.decoding is not None]
        self._mixings = arrange(
            Part(leg.speech, {speaker.decoding: gain for speaker, gain in audible.items() if speaker.decoding})
            for leg, audible in mixed.items()
        )
        self._asking = [
            (speaker, [hearer.decoding for hearer in relays[speaker] if hearer.decoding is not None])
            for speaker in mixed
        ]
        if self._mixings:
            self._ticker.add(self)
        else:
            self._ticker.discard(self)

    def tick(self, now: float) -> None:
        """Mix 20 ms."""
        for decoding in self._decodings:
            decoding.tick(now)
        for leg in self._mixed:
            if leg.decoding is not None:
                leg.speech.follow(leg.decoding.playout.mode_request)
        for speaker, hearers in self._asking:
            # Who hears a speaker undecoded asks that speaker's encoder, but what it sends ends here.
            wanted = (hearer.playout.mode_request for hearer in hearers)
            speaker.speech.ask(min((mode for mode in wanted if mode is not None), default=None))
        for mixing in self._mixings:
            mixing.tick(self, now)

    def mixes_for(self, hearer: Session) -> bool:
        """Tell whether what a leg hears is mixed or converted here, rather than relayed."""
        return hearer in self._mixed

    def hearers_of(self, speaker: Session) -> list[Session]:
        """Return who is connected to hear a leg, also while they hear a prompt, or somebody is mute or deaf."""
        if not speaker.stream.receives:
            return []
        return [hearer for (who, hearer), gain in self._gains.items() if who is speaker and gain > 0]

    def _speakers(self, hearer: Session) -> dict[Session, float]:
        """Return who is connected to the hearer, at which gain; 0 where somebody is mute or deaf."""
        volume = hearer.speech.volume
        return {
            speaker: gain * speaker.gain * volume for speaker, gain in self._audible[hearer] if speaker.stream.receives
        }
