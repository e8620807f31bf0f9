"""PRACK, re-INVITE, UPDATE and session timers on a network that loses, doubles and reorders.

Whatever happens to the datagrams: who is told that a change was taken agrees with the peer on both descriptions, each
side comes to one end, and nothing is left over.
"""

from collections import Counter
from functools import partial

import pytest

from ims_core.ua.incoming import IncomingCall
from ims_core.ua.session import CONFIRMED, INVITED, OVER
from ims_core.ua.session_events import Answered, EarlyAnswered, Ended, OfferRefused, Reanswered, Rejected
from ims_core.ua.session_timer import TimerPolicy
from tests.kit import Faults, Pair

SEEDS = range(12)
on_a_bad_network = pytest.mark.parametrize("loss", [0.0, 0.1, 0.25, 0.4])


def bad(loss: float) -> Faults:
    return Faults(loss=loss, duplicate=0.2, delay=0.01, jitter=0.9)


def in_talk(seed: int, loss: float, timers: TimerPolicy | None = None) -> Pair:
    """A call that was set up well; the network is bad from then on."""
    p = Pair(seed=seed, takes_offers=True, alice_timers=timers, bob_timers=timers)
    p.call()
    assert p.leg.state == p.peer.state == CONFIRMED
    p.network.faults = bad(loss)
    return p


def answer_if_invited(call: IncomingCall) -> None:
    if call.state == INVITED:
        call.answer(b"of bob")


def agree(p: Pair) -> bool:
    return (p.leg.local_sdp, p.leg.remote_sdp) == (p.peer.remote_sdp, p.peer.local_sdp)


def end(p: Pair) -> None:
    p.network.faults = Faults()
    p.leg.hang_up()
    p.finish()
    assert p.leg.state == p.peer.state == OVER
    for session in (p.leg, p.peer):
        assert len([event for event in p.told(session) if isinstance(event, Ended)]) <= 1


@pytest.mark.rfc("3262-3", "3262-4", "3262-5")
@on_a_bad_network
@pytest.mark.parametrize("sdp", [b"offer", b""], ids=["offer in the INVITE", "offer in the 183"])
def test_an_answer_before_the_answer(sdp: bytes, loss: float) -> None:
    outcomes = Counter[str]()
    for seed in SEEDS:
        p = Pair(seed=seed, faults=bad(loss), takes_offers=True)

        def take(call: IncomingCall, p: Pair = p) -> None:
            p.mind(p.bob, call)
            call.progress(183, b"of bob")
            p.network.call_later(3, partial(answer_if_invited, call))

        p.bob.on_call = take
        p.leg = p.alice.call(p.bob.uri, sdp=sdp, headers=(("Require", "100rel"),))
        p.mind(p.alice, p.leg)
        p.network.run(90)
        told = p.alice.told_by(p.leg)
        decisive = [event for event in told if isinstance(event, Answered | Rejected)]
        outcomes.update(type(event).__name__ for event in decisive)
        assert len(decisive) == 1, seed
        if isinstance(decisive[0], Answered) and p.leg.state == CONFIRMED:
            assert decisive[0].sdp == b"of bob"
            assert agree(p), seed
            early = [event for event in p.bob.told_by(p.peer) if isinstance(event, EarlyAnswered)]
            assert len(early) == (0 if sdp else 1)
        end(p)
    assert outcomes["Answered"] >= len(SEEDS) - 3


@pytest.mark.rfc("3261-14.1", "3261-14.2", "3311-5.1", "3311-5.2")
@on_a_bad_network
@pytest.mark.parametrize("methods", ["INVITE INVITE", "UPDATE UPDATE", "INVITE UPDATE", "INVITE -", "UPDATE -"])
def test_changes_that_may_meet(methods: str, loss: float) -> None:
    taken = 0
    for seed in SEEDS:
        p = in_talk(seed, loss)
        for session, method in zip((p.leg, p.peer), methods.split(), strict=True):
            if method == "INVITE":
                session.reinvite(b"changed")
            elif method == "UPDATE":
                session.update(b"changed")
        p.network.run(200)
        wanted = 2 - methods.count("-")
        outcomes = [
            event
            for session in (p.leg, p.peer)
            for event in p.told(session)
            if isinstance(event, Reanswered | OfferRefused)
        ]
        if p.leg.state == p.peer.state == CONFIRMED:
            assert len(outcomes) == wanted, seed
            assert agree(p), seed
            taken += 1
        end(p)
    assert taken >= len(SEEDS) - 2, "eleven attempts rarely all fail"


@pytest.mark.rfc("4028-10")
@on_a_bad_network
def test_a_session_is_kept_alive_for_an_hour(loss: float) -> None:
    kept = 0
    for seed in SEEDS:
        p = in_talk(seed, loss, TimerPolicy(600))
        p.network.run(3600)
        refreshes = {packet.data for packet in p.network.packets("UPDATE")}
        if p.leg.state == p.peer.state == CONFIRMED:
            assert 11 <= len(refreshes) <= 12, seed
            kept += 1
        end(p)
    assert kept >= len(SEEDS) - 1


@pytest.mark.rfc("4028-10")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_network_that_goes_away_ends_both_sides(seed: int) -> None:
    p = in_talk(seed, 0.2, TimerPolicy(90))
    p.network.call_later(200 + 7 * seed, partial(setattr, p.network, "faults", Faults(loss=1.0)))
    p.network.run(1000)
    assert p.leg.state == p.peer.state == OVER
    reasons = {event.reason for session in (p.leg, p.peer) for event in p.told(session) if isinstance(event, Ended)}
    assert reasons <= {"Session timer expired", "408 No answer"}
    p.finish()
