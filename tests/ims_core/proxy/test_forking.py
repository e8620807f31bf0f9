"""Forking in the order of q, what losers are told, and redirections that the proxy follows itself."""

import pytest

from ims_core.flow import Flow, format_address
from ims_core.messages.message import Request
from ims_core.messages.uri import Uri
from ims_core.proxy.forking import Recursion, Target, in_groups
from ims_core.registrar.location import Removal
from ims_core.roles.routing import Decision, Forward
from tests.kit import NODE_ADDRESS
from tests.kit.forks import Forks


class Nobody:
    """A router that finds no target."""

    def route(self, request: Request, flow: Flow, now: float) -> Decision:
        return Forward(())


@pytest.mark.rfc("3261-16.6", "3261-10.2.1.2")
@pytest.mark.parametrize(
    ("qs", "groups"),
    [
        ([1.0], [[1.0]]),
        ([0.5, 1.0, 0.5], [[1.0], [0.5, 0.5]]),
        ([0.1, 0.2, 0.3], [[0.3], [0.2], [0.1]]),
        ([1.0, 1.0], [[1.0, 1.0]]),
        ([0.0, 1.0], [[1.0], [0.0]]),
    ],
)
def test_targets_of_equal_preference_make_a_group(qs: list[float], groups: list[list[float]]) -> None:
    found = in_groups([Target(f"sip:{number}@192.0.2.9", q=q) for number, q in enumerate(qs)])
    assert [[target.q for target in group] for group in found] == groups
    for group in found:
        users = [target.uri for target in group]
        assert users == sorted(users), "among equals the order given stays"


@pytest.mark.rfc("3261-16.5")
def test_a_uri_is_in_the_target_set_once() -> None:
    way = Flow("UDP", NODE_ADDRESS, ("203.0.113.1", 5060))
    a, b = "sip:a@192.0.2.9", "sip:b@192.0.2.9"
    found = in_groups([Target(a, q=0.5), Target(b, q=0.7), Target(a), Target(b, way)])
    assert found == [[Target(a), Target(b, way)], [Target(b, q=0.7)]], "behind two NATs, one URI may be two phones"


@pytest.mark.rfc("3261-16.5")
def test_a_target_set_without_targets_is_a_480() -> None:
    forks = Forks()
    forks.site.node._router = Nobody()
    forks.send()
    assert forks.final == [480]
    forks.finish()


@pytest.mark.rfc("3261-16.6")
def test_the_next_group_is_tried_when_the_former_has_failed() -> None:
    forks = Forks([0.5, 1.0, 0.5, 1.0, None])
    forks.send()
    assert forks.asked() == [1, 3, 4], "no q counts as 1 (20.10)"
    forks.reply(486, 1)
    forks.reply(404, 3)
    assert forks.asked() == [1, 3, 4]
    forks.reply(480, 4)
    assert forks.asked() == [1, 3, 4, 0, 2]
    assert forks.final == []
    forks.reply(180, 2)
    forks.reply(200, 2)
    assert forks.final == [200]
    assert forks.cancelled() == []
    forks.reply(100, 0)
    assert forks.cancelled() == [0], "not before its 100"
    forks.finish()


@pytest.mark.rfc("3261-16.7")
@pytest.mark.parametrize(
    ("answers", "chosen"),
    [
        ([(486,), (404,)], 486),
        ([(503,), (503,)], 500),
        ([(503,), (502,)], 502),
        ([(500,), (302,)], 302),
        ([(407,), (486,)], 407),
        ([(486,), (200,)], 200),
    ],
    ids=str,
)
def test_the_best_of_all_groups_is_chosen(answers: list[tuple[int]], chosen: int) -> None:
    forks = Forks([1.0, 0.5])
    for callee, given in zip(forks.callees, answers, strict=True):
        callee.answers = given
    forks.send()
    forks.network.run()
    assert forks.final == [chosen]
    forks.finish()


@pytest.mark.rfc("3261-16.7")
def test_challenges_of_all_groups_are_put_together() -> None:
    forks = Forks([1.0, 0.5])
    forks.send()
    forks.reply(407, 0, (("Proxy-Authenticate", 'Digest realm="one", nonce="1"'),))
    forks.reply(401, 1, (("WWW-Authenticate", 'Digest realm="two", nonce="2"'),))
    (challenge,) = forks.responses(407)
    assert challenge.whole_values("Proxy-Authenticate") == ['Digest realm="one", nonce="1"']
    assert challenge.whole_values("WWW-Authenticate") == ['Digest realm="two", nonce="2"']
    forks.finish()


@pytest.mark.rfc("3261-16.7")
def test_a_6xx_ends_the_search() -> None:
    forks = Forks([1.0, 1.0, 0.5])
    forks.send()
    forks.reply(180, 0)
    forks.reply(603, 1)
    forks.finish()
    assert forks.asked() == [0, 1], "nobody else is asked"
    assert forks.cancelled() == [0]
    assert forks.final == [603]


@pytest.mark.rfc("3261-16.10")
def test_a_cancel_ends_the_search() -> None:
    forks = Forks([1.0, 0.5])
    forks.send()
    forks.reply(180)
    forks.caller.endpoint.cancel(forks.last)
    forks.finish()
    assert forks.asked() == [0]
    assert forks.final == [487]


@pytest.mark.rfc("3261-16.8")
def test_a_group_with_others_after_it_rings_for_its_own_time_only() -> None:
    forks = Forks([1.0, 0.5], group_seconds=20.0)
    forks.callees[0].answers = (180,)
    forks.send()
    forks.network.run(10)
    forks.reply(183, 0)
    forks.network.run(9.5)
    assert forks.asked() == [0], "not yet"
    forks.network.run(1)
    assert forks.asked() == [0, 1]
    assert forks.cancelled() == [0]
    forks.reply(180, 1)
    forks.network.run(150)
    assert forks.cancelled() == [0], "the last group has all of timer C"
    forks.reply(200, 1)
    assert forks.final == [200]
    forks.finish()


@pytest.mark.rfc("3261-16.8")
def test_a_group_that_is_silent_is_followed_by_the_next_and_may_still_answer() -> None:
    forks = Forks([1.0, 0.5], group_seconds=20.0)
    forks.callees[0].react = lambda _: None
    forks.send()
    forks.network.run(21)
    assert forks.asked() == [0, 1]
    assert forks.cancelled() == [], "9.1: no CANCEL before a provisional response"
    forks.reply(180, 1)
    forks.reply(200, 0)
    assert forks.final == [200], "it is a 2xx to an INVITE"
    forks.finish()
    assert forks.cancelled() == [1]


@pytest.mark.rfc("3261-16.6", "3261-16.8")
def test_a_message_to_a_silent_phone_goes_to_the_next_in_time() -> None:
    forks = Forks([1.0, 0.5], group_seconds=5.0)
    forks.callees[0].react = lambda _: None
    forks.send("MESSAGE")
    forks.network.run(4)
    assert forks.asked() == [0]
    forks.network.run(1)
    assert forks.asked() == [0, 1]
    assert forks.final == []
    forks.reply(202, 1)
    forks.reply(200, 0)
    assert forks.final == [202], "one response, and no CANCEL to anything but an INVITE"
    forks.finish()
    assert forks.cancelled() == []


@pytest.mark.rfc("3261-16.6", "3261-16.9")
def test_a_target_without_a_way_to_it_is_passed_over() -> None:
    forks = Forks([0.5])
    location = forks.site.location
    (binding,) = location.bindings("sip:bob@ims.example")
    location.add(type(binding)("sip:bob@ims.example", "sips:bob@203.0.113.9", q=1.0))
    forks.send()
    assert forks.asked() == [0]
    forks.reply(200)
    assert forks.final == [200]
    forks.finish()


# What losers are told ---------------------------------------------------------------------------------------------


def reasons(forks: Forks) -> set[tuple[str, ...]]:
    return {tuple(packet.message.whole_values("Reason")) for packet in forks.network.packets("CANCEL", by=NODE_ADDRESS)}


@pytest.mark.rfc("3326-2")
def test_losers_are_told_that_the_call_was_completed_elsewhere() -> None:
    forks = Forks(2)
    forks.send()
    forks.reply(180, 0)
    forks.reply(200, 1)
    assert reasons(forks) == {('SIP;cause=200;text="Call completed elsewhere"',)}
    forks.finish()


@pytest.mark.rfc("3326-2")
def test_others_are_told_which_6xx_ended_the_search() -> None:
    forks = Forks(2)
    forks.send()
    forks.reply(180, 0)
    forks.reply(600, 1)
    assert reasons(forks) == {("SIP;cause=600",)}
    forks.finish()


@pytest.mark.rfc("3326-2")
def test_the_reason_of_the_caller_is_passed_on() -> None:
    forks = Forks(2)
    forks.send()
    forks.reply(180, 0)
    forks.reply(180, 1)
    given = (("Reason", 'Q.850;cause=16;text="Terminated"'), ("Reason", "SIP ;cause=487"))
    forks.caller.endpoint.cancel(forks.last, given)
    forks.finish()
    assert reasons(forks) == {tuple(value for _, value in given)}


@pytest.mark.rfc("3261-16.7")
def test_a_second_answer_after_the_losers_were_cancelled_reaches_the_caller() -> None:
    forks = Forks(2)
    for callee in forks.callees:
        callee.react = lambda _: None
    forks.send()
    forks.reply(180, 0)
    forks.reply(180, 1)
    forks.reply(200, 1)
    assert forks.cancelled() == [0]
    forks.reply(200, 0)
    assert len({answer.to.tag for answer in forks.responses(200)}) == 2
    forks.finish()


# Redirections -----------------------------------------------------------------------------------------------------


def only_198(uri: Uri) -> bool:
    return uri.host.startswith("198.51.100.")


def contact(forks: Forks, callee: int, tail: str = "") -> str:
    return f"<sip:moved@{format_address(forks.callees[callee].address)}>{tail}"


def redirect(forks: Forks, *contacts: str, status: int = 302, callee: int = 0) -> None:
    forks.reply(status, callee, tuple(("Contact", value) for value in contacts))


class Redirected(Forks):
    """bob has one contact; the other callees are where he may redirect to."""

    def __init__(self, recursion: Recursion | None) -> None:
        super().__init__([1.0, 1.0, 1.0], recursion=recursion)
        location = self.site.location
        for binding in location.bindings("sip:bob@ims.example")[1:]:
            location.remove(binding, Removal.DEREGISTERED)
        while location.next_event() is not None:
            pass


@pytest.mark.rfc("3261-16.7")
def test_a_redirection_is_passed_on_by_default() -> None:
    forks = Redirected(None)
    forks.send()
    redirect(forks, contact(forks, 1))
    (response,) = forks.responses(302)
    assert response.values("Contact") == [contact(forks, 1)]
    assert forks.asked() == [0]
    forks.finish()


@pytest.mark.rfc("3261-16.7")
def test_a_redirection_is_followed_in_the_order_of_its_contacts() -> None:
    forks = Redirected(Recursion(only_198))
    forks.send()
    redirect(forks, f"{contact(forks, 1)};q=0.1", f"{contact(forks, 2)};q=0.9")
    assert forks.asked() == [0, 2]
    assert forks.forwarded(2).uri.startswith("sip:moved@")
    forks.reply(486, 2)
    assert forks.asked() == [0, 2, 1]
    forks.reply(200, 1)
    assert forks.final == [200]
    forks.finish()


@pytest.mark.rfc("3261-16.7")
@pytest.mark.parametrize(
    "target",
    ["sip:bob@203.0.113.9", "mailto:bob@ims.example", "sip:", "tel:+4930", "<sip:broken"],
)
def test_a_redirection_to_elsewhere_is_passed_on(target: str) -> None:
    forks = Redirected(Recursion(only_198))
    forks.send()
    redirect(forks, target if "<" in target else f"<{target}>")
    assert forks.final == [302]
    forks.finish()


@pytest.mark.rfc("3261-16.7")
def test_contacts_that_are_not_followed_are_passed_on_when_the_others_fail() -> None:
    forks = Redirected(Recursion(only_198))
    forks.send()
    redirect(forks, contact(forks, 1), "<mailto:bob@ims.example>", "<sip:bob@203.0.113.9>;q=0.2")
    assert forks.asked() == [0, 1]
    forks.reply(486, 1)
    (response,) = forks.responses(302)
    assert response.values("Contact") == ["<mailto:bob@ims.example>", "<sip:bob@203.0.113.9>;q=0.2"]
    forks.finish()


@pytest.mark.rfc("3261-21.3.4", "3261-21.3.5")
@pytest.mark.parametrize("status", [305, 380])
def test_what_is_no_other_address_is_passed_on(status: int) -> None:
    forks = Redirected(Recursion(only_198))
    forks.send()
    redirect(forks, contact(forks, 1), status=status)
    assert forks.asked() == [0]
    assert forks.final == [status]
    forks.finish()


@pytest.mark.rfc("3261-16.7")
def test_a_redirection_in_a_circle_is_followed_once() -> None:
    forks = Redirected(Recursion(only_198))
    forks.send()
    redirect(forks, contact(forks, 1))
    redirect(forks, contact(forks, 1), callee=1)
    assert forks.asked() == [0, 1]
    assert forks.final == [302]
    forks.finish()


@pytest.mark.rfc("3261-16.7")
def test_a_redirection_after_the_caller_gave_up_is_not_followed() -> None:
    forks = Redirected(Recursion(only_198))
    forks.callee.react = lambda _: None
    forks.send()
    forks.reply(180)
    forks.caller.endpoint.cancel(forks.last)
    forks.network.run(0.1)
    redirect(forks, contact(forks, 1))
    assert forks.asked() == [0]
    assert forks.final == [302]
    forks.finish()
