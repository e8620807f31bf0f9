"""Two endpoints, and two phones with a node between them, on a network that loses, doubles and reorders.

Whatever happens to the datagrams: each side comes to one end, both ends agree, and nothing is left over.
"""

from functools import partial

import pytest

from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.ua.incoming import IncomingCall
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.session_events import Acknowledged, Answered, Ended, Rejected, Ringing
from tests.kit import Faults, Network, Party, Phone, Site, request_bytes

SEEDS = range(12)
LOSSES = [0.0, 0.1, 0.2, 0.3, 0.4]

on_a_bad_network = pytest.mark.parametrize("loss", LOSSES)


def bad_network(seed: int, loss: float) -> Network:
    return Network(seed, Faults(loss=loss, duplicate=0.15, delay=0.01, jitter=0.9))


def ask(network: Network, method: str, answers: tuple[int, ...]) -> tuple[Party, Party]:
    client, server = Party(network, "client"), Party(network, "server", answers=answers)
    request = parse_message(request_bytes(method))
    assert isinstance(request, Request)
    request.remove("Via")
    client.endpoint.request(request, client.flow(server), None)
    return client, server


@pytest.mark.rfc("3261-17.1.2")
@pytest.mark.rfc("3261-17.2.2")
@on_a_bad_network
@pytest.mark.parametrize("answers", [(200,), (404,), (100, 503)], ids=str)
def test_a_non_invite_ends_once_on_both_sides(answers: tuple[int, ...], loss: float) -> None:
    outcomes = []
    for seed in SEEDS:
        network = bad_network(seed, loss)
        client, server = ask(network, "OPTIONS", answers)
        network.run()
        final = [status for status in client.statuses if status == "timeout" or int(status) >= 200]
        assert final in ([answers[-1]], ["timeout"]), seed
        assert len(server.requests) == 1 or final == ["timeout"], seed
        client.assert_idle()
        server.assert_idle()
        outcomes.append(final[0])
    assert outcomes.count(answers[-1]) >= len(SEEDS) - 1, "eleven attempts rarely all fail"


@pytest.mark.rfc("3261-17.1.1")
@pytest.mark.rfc("3261-17.2.1")
@on_a_bad_network
@pytest.mark.parametrize("answers", [(486,), (100, 180, 603)], ids=str)
def test_a_refused_invite_ends_once_on_both_sides(answers: tuple[int, ...], loss: float) -> None:
    for seed in SEEDS:
        network = bad_network(seed, loss)
        client, server = ask(network, "INVITE", answers)
        network.run()
        final = [status for status in client.statuses if status == "timeout" or int(status) >= 200]
        assert final in ([answers[-1]], ["timeout"]), seed
        assert len(server.requests) <= 1, seed
        client.assert_idle()
        server.assert_idle()
        if final == [answers[-1]]:
            assert network.packets("ACK"), seed


@pytest.mark.rfc("3261-18.2.1")
def test_a_network_without_loss_that_reorders_makes_one_request_of_each() -> None:
    for seed in SEEDS:
        network = Network(seed, Faults(duplicate=0.5, jitter=3.0))
        client, server = ask(network, "OPTIONS", (200,))
        network.run()
        assert (client.statuses, len(server.requests)) == ([200], 1)


class Call:
    """One call over a bad network: what both owners were told."""

    def __init__(self, network: Network, alice: Phone, bob: Phone, target: str) -> None:
        self.network = network
        self.alice, self.bob = alice, bob
        self.leg: OutgoingCall = alice.call(target, sdp=b"offer")

    @property
    def told_alice(self) -> list[object]:
        return [event for event in self.alice.told_by(self.leg) if not isinstance(event, Ringing)]

    @property
    def told_bob(self) -> list[object]:
        return [event for _, event in self.bob.told]

    def check(self, seed: int) -> None:
        """One end on each side, and the two agree."""
        network = self.network
        network.run()
        assert network.is_quiet()
        self.alice.assert_idle()
        self.bob.assert_idle()
        assert len(self.bob.incoming) <= 1, seed
        told = self.told_alice
        kinds = [type(event) for event in told]
        assert kinds in ([], [Answered], [Answered, Ended], [Rejected]), (seed, told)
        assert sum(isinstance(event, Ended) for event in self.told_bob) <= 1, (seed, self.told_bob)
        assert sum(isinstance(event, Acknowledged) for event in self.told_bob) <= 1, (seed, self.told_bob)
        if Acknowledged in [type(event) for event in self.told_bob]:
            assert Rejected not in kinds, (seed, "bob talks to nobody")


def connect(seed: int, loss: float, through_node: bool) -> tuple[Network, Phone, Phone, str, Site | None]:
    network = bad_network(seed, loss)
    if not through_node:
        alice, bob = Phone(network, "alice"), Phone(network, "bob")
        return network, alice, bob, bob.uri, None
    perfect, network.faults = network.faults, Faults()
    site = Site(network)
    alice, bob = site.phone("alice"), site.phone("bob")
    network.faults = perfect
    return network, alice, bob, "sip:bob@ims.example", site


through = pytest.mark.parametrize("through_node", [False, True], ids=["directly", "through a node"])


@pytest.mark.rfc("3261-13")
@pytest.mark.rfc("3261-16.7")
@through
@on_a_bad_network
@pytest.mark.parametrize("by_caller", [True, False], ids=["caller ends", "callee ends"])
def test_an_answered_call(by_caller: bool, loss: float, through_node: bool) -> None:
    talked = 0
    for seed in SEEDS:
        network, alice, bob, target, site = connect(seed, loss, through_node)
        call = Call(network, alice, bob, target)
        network.run(12)
        talked += call.told_alice == [Answered(b"answer of bob")] and Acknowledged(b"") in call.told_bob
        if by_caller:
            call.leg.hang_up()
        else:
            for incoming in bob.incoming:
                incoming.hang_up()
        call.check(seed)
        if site is not None:
            site.assert_idle()
        if by_caller and Acknowledged(b"") in call.told_bob:
            assert isinstance(call.told_bob[-1], Ended) or not _bye_arrived(call), seed
    assert talked >= len(SEEDS) * (1 if loss == 0 else 0.6 if loss < 0.4 else 0.4)


def _bye_arrived(call: Call) -> bool:
    return any(event.request.method == "BYE" for event in call.bob.requests)


@pytest.mark.rfc("3261-13.3.1.3")
@through
@on_a_bad_network
def test_a_refused_call(loss: float, through_node: bool) -> None:
    refused = 0
    for seed in SEEDS:
        network, alice, bob, target, site = connect(seed, loss, through_node)
        bob.on_call = lambda incoming: incoming.reject(486)
        call = Call(network, alice, bob, target)
        call.check(seed)
        assert call.told_alice in (
            [Rejected(486, "Busy Here")],
            [Rejected(408, "No answer")],
            [Rejected(408, "Request Timeout")],
        ), (seed, call.told_alice)
        refused += call.told_alice == [Rejected(486, "Busy Here")]
        if site is not None:
            site.assert_idle()
    assert refused >= len(SEEDS) - 2


def ring_then_answer(network: Network, incoming: IncomingCall) -> None:
    def answer() -> None:
        if incoming.state == "invited":
            incoming.answer(b"answer")

    incoming.progress()
    network.call_later(2.0, answer)


@pytest.mark.rfc("3261-9")
@pytest.mark.rfc("3261-16.10")
@through
@on_a_bad_network
@pytest.mark.parametrize("after", [0.0, 0.5, 2.0, 3.0], ids=lambda after: f"{after} s")
def test_a_call_given_up(after: float, loss: float, through_node: bool) -> None:
    """The callee answers after two seconds: the CANCEL comes before, at the same time or too late."""
    for seed in SEEDS:
        network, alice, bob, target, site = connect(seed, loss, through_node)
        bob.on_call = partial(ring_then_answer, network)
        call = Call(network, alice, bob, target)
        network.call_later(after, call.leg.hang_up)
        network.run(after)
        before = call.told_alice
        call.check(seed)
        assert call.told_alice == before, (seed, "who hung up is told nothing more")
        ends = [event for event in call.told_bob if isinstance(event, Ended)]
        if call.bob.incoming:
            assert len(ends) == 1, (seed, call.told_bob)
        if site is not None:
            site.assert_idle()
