"""A server that did not serve, and serves again before it would have been forgotten (RFC 3263 section 4.3)."""

import pytest

from ims_core.locate.courier import DEAD_SECONDS
from tests.ims_core.locate.test_courier import NAME, Bench

FIRST = "sip:bob@s0.lab.example:5060"  # the first server alone


def serve(b: Bench, hop: str) -> list[int | str]:
    user, _ = b.client.send(hop)
    b.network.run(1.0)
    return user.told


@pytest.mark.parametrize("status", [200, 404, 100])
def test_a_server_that_answers_again_is_tried_first_again(status: int) -> None:
    b = Bench((503,), (200,))
    assert serve(b, NAME) == [200]
    assert (b.requests(), b.client.courier.dead()) == ([1, 1], 1)
    b.servers[0].answers = (status,)
    assert serve(b, FIRST)[0] == status
    assert b.client.courier.dead() == 0
    serve(b, NAME)
    assert b.requests() == [3, 1]
    assert b.network.now < DEAD_SECONDS


def test_a_server_that_still_does_not_serve_stays_the_last() -> None:
    b = Bench((503,), (200,))
    assert serve(b, NAME) == [200]
    assert serve(b, FIRST) == [503]
    assert serve(b, NAME) == [200]
    assert (b.requests(), b.client.courier.dead()) == ([2, 2], 1)


def test_a_server_that_serves_by_one_transport_may_be_dead_by_another() -> None:
    b = Bench((503,), (200,))
    assert serve(b, NAME) == [200]
    b.servers[0].answers = (200,)
    assert serve(b, f"{FIRST};transport=tcp") == [200]
    assert serve(b, NAME) == [200]
    assert (b.requests(), b.client.courier.dead()) == ([2, 2], 1)
