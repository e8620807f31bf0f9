"""Whatever the branches answer, in whatever order: one final response goes up, and nothing is left."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ims_core.messages.uri import Uri
from ims_core.proxy.best import rank
from ims_core.proxy.forking import Recursion
from ims_core.transactions.endpoint import CancelReceived, Event, RequestReceived
from ims_core.transactions.machines import ServerTransaction
from tests.kit import NODE_ADDRESS, Party
from tests.kit.forks import Forks

FINALS = [200, 200, 302, 401, 404, 407, 408, 480, 486, 487, 500, 503, 600, 603]
Script = tuple[float, bool, list[tuple[int, int]], tuple[int, int] | None]

scripts = st.tuples(
    st.sampled_from([1.0, 0.8, 0.3]),
    st.booleans(),  # whether it heeds a CANCEL
    st.lists(st.tuples(st.integers(0, 300), st.sampled_from([100, 180, 183])), max_size=3),
    st.one_of(st.none(), st.tuples(st.integers(0, 300), st.sampled_from(FINALS))),
)


class Callee:
    """Answers by a script; ``sent`` is its final status, 0 when it had none."""

    def __init__(self, forks: Forks, party: Party, script: Script) -> None:
        self.forks = forks
        self.party = party
        _, self.heeds, self.early, self.last = script
        self.rings = False
        self.is_over = False
        party.react = self.react

    def react(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            transaction = event.transaction
            later = self.forks.network.call_later
            for tenths, status in self.early:
                later(tenths / 10, partial(self.say, transaction, status))
            if self.last is not None:
                tenths, final = self.last
                later(tenths / 10, partial(self.say, transaction, final))
        elif isinstance(event, CancelReceived) and self.heeds:
            self.say(event.transaction, 487)

    def say(self, transaction: ServerTransaction, status: int) -> None:
        if self.is_over or transaction.is_answered:
            return
        self.is_over = status >= 200
        self.rings = True
        contact = (("Contact", "<sip:bob@203.0.113.99>"),) if status == 302 else ()
        self.party.endpoint.reply(transaction, status, headers=contact)


def nowhere(_: Uri) -> bool:
    return True


@pytest.mark.rfc("3261-16.7", "3261-16.10")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    tree=st.lists(scripts, min_size=1, max_size=5),
    gives_up=st.one_of(st.none(), st.integers(0, 500)),
    follows=st.booleans(),
)
def test_one_final_response_goes_up_and_all_losers_are_cancelled(
    tree: list[Script], gives_up: int | None, follows: bool
) -> None:
    forks = Forks([q for q, *_ in tree], recursion=Recursion(nowhere) if follows else None)
    callees = [Callee(forks, party, script) for party, script in zip(forks.callees, tree, strict=True)]
    forks.send()
    if gives_up is not None:
        forks.network.call_later(gives_up / 10, lambda: forks.caller.endpoint.cancel(forks.last))
    forks.network.run()
    finals = forks.final
    answers = {response.to.tag for response in forks.responses(200)}
    if 200 in finals:
        assert finals == [200] * len(answers), "each 2xx once, and nothing else"
    else:
        assert len(finals) == 1
    assert 503 not in finals, "16.7: a 503 says nothing of this proxy"
    forks.site.assert_idle()
    forks.caller.assert_idle()
    asked = {forks.callees[number] for number in forks.asked()}
    for callee in callees:  # whoever rang and was not asked for a final response any more was told so
        if callee.party in asked and callee.rings and not callee.is_over:
            assert forks.callees.index(callee.party) in forks.cancelled()


@pytest.mark.rfc("3261-16.7", "4320-4.1", "4320-4.2")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=st.lists(scripts, min_size=1, max_size=4))
def test_anything_but_an_invite_gets_one_response_or_none_and_nobody_is_cancelled(tree: list[Script]) -> None:
    forks = Forks([q for q, *_ in tree])
    for party, script in zip(forks.callees, tree, strict=True):
        Callee(forks, party, script)
    forks.send("MESSAGE")
    forks.network.run()
    assert len(forks.final) == 1
    sent = forks.network.wire(by=NODE_ADDRESS)
    assert "408 MESSAGE" not in sent
    assert "503 MESSAGE" not in sent
    assert "CANCEL" not in sent
    assert not {"180 MESSAGE", "183 MESSAGE"} & set(sent)
    forks.site.assert_idle()
    forks.caller.assert_idle()


@pytest.mark.rfc("3261-16.7")
@given(st.lists(st.sampled_from([status for status in FINALS if status >= 300]), min_size=1, max_size=6))
def test_the_order_of_responses_does_not_choose_between_classes(statuses: list[int]) -> None:
    chosen = {min(order, key=lambda status: rank(status, is_invite=True)) for order in (statuses, statuses[::-1])}
    worth = {rank(status, is_invite=True)[0] for status in chosen}
    assert len(worth) == 1
    assert worth == ({0} if max(statuses) >= 600 else {min(statuses) // 100})
