"""What goes along with a forwarded request: it edits what comes back, and knows another way when all have failed."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from ims_core.errors import Forbidden, SipError, TemporarilyUnavailable
from ims_core.flow import Flow, format_address
from ims_core.messages.message import Request, Response
from ims_core.proxy.forking import Target
from ims_core.proxy.forward import Forward, Passing, ToService
from ims_core.roles.routing import Decision
from tests.kit.forks import Forks


@dataclass
class Marker:
    """Marks what comes back, and goes on to ``others``, one after the other."""

    others: list[Forward | ToService | SipError] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)

    def returned(self, response: Response) -> None:
        response.add("P-Mark", str(len(self.others)))

    def instead(self, status: int) -> Forward | ToService | None:
        self.failed.append(status)
        other = self.others.pop(0) if self.others else None
        if isinstance(other, SipError):
            raise other
        return other


class Onward:
    """A router that forwards everything as it is told."""

    def __init__(self, forks: Forks, companion: Marker | None = None, *, patience: float = 0.0) -> None:
        self.forks = forks
        self.companion = companion
        self.patience = patience
        forks.site.node._router = self

    def to(self, *callees: int, subject: str = "") -> Forward:
        request = None
        if subject:
            request = self.forks.last.request.copy()
            request.set("Subject", subject)
        uris = [f"sip:bob@{format_address(self.forks.callees[callee].address)}" for callee in callees]
        return Forward(tuple(map(Target, uris)), request, self.companion, self.patience)

    def route(self, request: Request, flow: Flow, now: float) -> Decision:
        edited = request.copy()
        edited.set("Subject", "edited")
        return self.to(0)._replace(request=edited)


def test_the_edited_request_goes_on_and_its_responses_are_edited() -> None:
    forks = Forks(1)
    Onward(forks, Marker())
    forks.send(headers=[("Subject", "as it came")])
    assert forks.forwarded().values("Subject") == ["edited"]
    forks.reply(180)
    forks.reply(200)
    assert [forks.responses(status)[0].get("P-Mark") for status in (180, 200)] == ["0", "0"]
    forks.finish()


@pytest.mark.parametrize("status", [408, 486, 503, 603])
def test_another_way_is_gone_when_the_first_fails(status: int) -> None:
    forks = Forks(3)
    marker = Marker()
    router = Onward(forks, marker)
    forks.send()
    marker.others += [router.to(1, subject="second"), router.to(2)]
    forks.reply(status, 0)
    assert forks.final == []
    assert forks.forwarded(1).get("Subject") == "second"
    forks.reply(500, 1)
    forks.reply(486, 2)
    assert marker.failed == [status, 500, 486]
    assert forks.final == [486]
    forks.finish()


def test_nobody_is_asked_for_another_way_once_the_caller_heard_it_ring_or_gave_up() -> None:
    forks = Forks(2)
    marker = Marker()
    router = Onward(forks, marker)
    forks.send()
    marker.others.append(router.to(1))
    forks.reply(180)
    forks.reply(500)
    assert forks.final == [500]
    forks.send()
    forks.reply(100)
    forks.caller.endpoint.cancel(forks.last)
    forks.network.run(0.1)
    forks.reply(487)
    assert forks.final == [500, 487]
    assert marker.failed == []
    forks.finish()


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_silence_is_a_failure_as_soon_as_patience_ends(method: str) -> None:
    forks = Forks(2)
    marker = Marker()
    router = Onward(forks, marker, patience=3.0)
    forks.send(method)
    marker.others.append(router.to(1)._replace(patience=0.0))
    forks.network.run(2.8)
    assert forks.asked()[-1] == 0
    forks.network.run(0.4)
    assert forks.asked()[-1] == 1
    assert marker.failed == [408]
    forks.reply(200, 1)
    assert forks.final == [200]
    forks.reply(487, 0)
    assert forks.final == [200], "too late"
    forks.finish()


def test_who_is_working_on_it_has_time() -> None:
    forks = Forks(2)
    marker = Marker()
    router = Onward(forks, marker, patience=3.0)
    forks.send()
    marker.others.append(router.to(1))
    forks.reply(100)
    forks.network.run(60.0)
    assert marker.failed == []
    forks.reply(200)
    assert forks.final == [200]
    forks.finish()


def test_another_way_that_must_not_be_gone_is_the_failure() -> None:
    forks = Forks(1)
    marker = Marker()
    Onward(forks, marker)
    forks.send()
    marker.others.append(Forward(()))
    forks.reply(500)
    assert forks.final == [480], "no target (3261-16.5)"
    forks.finish()


def test_the_companion_says_what_the_failure_is() -> None:
    forks = Forks(1)
    marker = Marker()
    Onward(forks, marker)
    forks.send()
    marker.others.append(TemporarilyUnavailable())
    forks.reply(500)
    assert forks.final == [480]
    forks.finish()


def test_a_service_takes_the_call_instead() -> None:
    forks = Forks(1)
    marker = Marker()
    Onward(forks, marker, patience=3.0)
    forks.send()
    edited = forks.last.request.copy()
    edited.set("Subject", "for the desk")
    marker.others.append(ToService("desk", "alice", edited))
    forks.network.run(3.5)
    call = forks.site.calls[0]
    assert (call.identity, call.request.get("Subject")) == ("alice", "for the desk")
    assert set(forks.final) == {200}
    assert not forks.site.node.proxy.active
    forks.reply(487, 0)
    assert set(forks.final) == {200}, "too late"


def test_a_request_within_a_dialog_is_edited_too_or_refused() -> None:
    forks = Forks(1)
    marker = Marker()
    Onward(forks)
    forks.send()
    forks.reply(200)
    route = forks.forwarded().get("Record-Route")
    answered = forks.responses(200)[0]

    def within(request: Request, flow: Flow, now: float) -> Passing | None:
        if request.get("Subject") == "forbidden":
            raise Forbidden
        edited = request.copy()
        edited.set("Subject", "edited")
        return Passing(edited, marker)

    forks.site.node.within = within
    contact = f"sip:bob@{format_address(forks.callee.address)}"
    for subject, status in (("hello", 200), ("forbidden", 403)):
        headers = [("Route", route), ("Subject", subject)]
        forks.send("BYE", contact, to=answered.get("To"), cseq=2, headers=headers)
        if status == 200:
            assert forks.forwarded().get("Subject") == "edited"
            forks.reply(200)
        assert forks.final[-1] == status
    assert [response.get("P-Mark") for response in forks.responses(200)] == [None, "0"]
    forks.finish()
