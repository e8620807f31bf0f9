"""Extensions that peers may begin with and we do not: what is said of them, and of what they need (RFC 3261 19.2)."""

import pytest

from tests.kit import Pair
from tests.kit.phone import Phone

OPTION = "precondition"


def understanding() -> Pair:
    """Bob understands the option."""
    pair = Pair(takes_offers=True)
    pair.bob.ua.understand(OPTION)
    return pair


def options(pair: Pair, summary: str, header: str) -> list[str]:
    """The option tags of the first message of that kind."""
    return pair.network.packets(summary)[0].message.values(header)


@pytest.mark.rfc("3261-8.2.2.3", "3312-11")
def test_what_is_understood_may_be_required_and_is_named_in_responses() -> None:
    pair = understanding()
    pair.call(headers=(("Require", OPTION),))
    assert options(pair, "200 INVITE", "Supported") == ["100rel", OPTION]
    assert pair.peer.names_preconditions
    pair.leg.hang_up()
    pair.finish()


@pytest.mark.rfc("3261-8.2.2.3")
def test_what_is_not_understood_may_not_be_required() -> None:
    pair = Pair()
    pair.call(headers=(("Require", OPTION),))
    assert options(pair, "420 INVITE", "Unsupported") == [OPTION]
    pair.finish()


@pytest.mark.rfc("3261-13.2.1", "3312-11")
def test_requests_of_ours_do_not_name_it() -> None:
    pair = understanding()
    pair.call()
    assert not pair.peer.names_preconditions
    pair.peer.reinvite(b"another")
    pair.network.run(1)
    asked = [packet.message for packet in pair.network.packets("INVITE")][-1]
    assert {"Supported", "Require"}.isdisjoint(line.partition(":")[0] for line in asked.lines)
    pair.leg.hang_up()
    pair.finish()
    caller = Phone(pair.network, "carol")
    caller.ua.understand(OPTION)
    caller.call(pair.bob.uri, sdp=b"offer").hang_up()
    pair.network.run(1)
    assert pair.network.packets("INVITE")[-1].message.values("Supported") == ["100rel"]


@pytest.mark.rfc("3312-11", "3262-3")
def test_what_a_description_requires_goes_where_it_goes() -> None:
    pair = understanding()
    pair.call(answer=None, headers=(("Require", "100rel, precondition"),))
    pair.peer.required = OPTION
    pair.peer.progress(183, b"answer")
    pair.network.run(0.1)
    assert options(pair, "180 INVITE", "Require") == ["100rel"]
    assert options(pair, "183 INVITE", "Require") == ["100rel", OPTION]
    pair.leg.update(b"offer again")
    pair.network.run(0.1)
    pair.peer.answer(b"")
    pair.network.run(0.1)
    assert options(pair, "200 UPDATE", "Require") == [OPTION]
    assert options(pair, "200 INVITE", "Require") == [], "it has none"
    pair.peer.reinvite(b"another")
    pair.network.run(0.1)
    asked = [packet.message for packet in pair.network.packets("INVITE")][-1]
    assert asked.values("Require") == [OPTION]
    pair.peer.required = ""
    pair.leg.hang_up()
    pair.finish()
