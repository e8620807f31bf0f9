"""Calls that no way serves are refused so that a handset calls by the circuit-switched network."""

from __future__ import annotations

import pytest

from ims_core.messages.message import Request
from ims_core.roles.fallback import NOT_SERVING, REFUSALS, Fallback
from tests.kit.edge import Edge

FAILED: list[int] = []


@pytest.fixture
def edge() -> Edge:
    """A P-CSCF whose handsets fall back at 504."""
    FAILED.clear()
    edge = Edge()
    edge.hop.fallback = along
    return edge


def along(_: Request) -> Fallback:
    return Fallback(REFUSALS[504], FAILED.append)


@pytest.mark.parametrize("status", [0, 408, 502, 503, 504])
def test_a_core_that_does_not_serve_makes_a_handset_fall_back(edge: Edge, status: int) -> None:
    handset = edge.handset()
    handset.ask("INVITE", "sip:bob@home.example")
    if status:
        edge.answer(status, headers=[("Retry-After", "120")])
    else:
        edge.network.run(6.0)
    final = [response for response in handset.responses() if response.status >= 200]
    assert [(response.status, response.reason) for response in final] == [(504, "Server Time-out")]
    assert ("Retry-After" in final[0], final[0].body) == (False, b"")
    assert [status or 408] == FAILED


def test_the_answers_of_the_core_may_be_believed(edge: Edge) -> None:
    edge.hop.fallback = lambda _: Fallback(REFUSALS[504], FAILED.append, believes_answers=True)
    handset = edge.handset()
    handset.ask("INVITE", "sip:bob@home.example")
    edge.answer(408)
    handset.ask("INVITE", "sip:bob@home.example", call_id="silence")
    edge.network.run(6.0)
    assert [response.status for response in handset.responses() if response.status >= 200] == [408, 504]
    assert FAILED == [408]


@pytest.mark.parametrize("status", [480, 486, 500, 603])
def test_what_is_said_of_the_callee_is_passed_back(edge: Edge, status: int) -> None:
    handset = edge.handset()
    handset.ask("INVITE", "sip:bob@home.example")
    edge.answer(status)
    assert handset.last.status == status
    assert FAILED == []


def test_once_it_rang_and_for_other_requests_nobody_falls_back(edge: Edge) -> None:
    handset = edge.handset()
    handset.ask("INVITE", "sip:bob@home.example")
    edge.answer(180)
    edge.answer(504)
    handset.ask("MESSAGE", "sip:bob@home.example", call_id="message")
    edge.answer(504)
    assert [response.status for response in handset.responses() if response.status >= 200] == [504, 504]
    assert FAILED == []


def test_there_is_a_refusal_for_each_status_that_may_be_configured() -> None:
    assert {refusal().status for refusal in REFUSALS.values()} == REFUSALS.keys()
    assert all(refusal().headers == () for refusal in REFUSALS.values())
    assert 480 not in NOT_SERVING
