"""REFER: two of our user agents, and peers written by hand (RFC 3515, 4488, 7647)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.errors import Declined, LocalProtocolError, SipError
from ims_core.messages.message import Request
from ims_core.ua.outgoing import OutgoingCall
from ims_core.ua.refer_to import ReferTo, parse_refer_to
from ims_core.ua.referral import Referral, serve_referrals, serve_shared_dialogs
from ims_core.ua.referring import (
    ReferAccepted,
    ReferEvent,
    ReferFinished,
    ReferProgress,
    ReferRefused,
    Referring,
)
from ims_core.ua.replaces import Replaces
from tests.kit import Network, Phone, request_bytes
from tests.kit.network import Faults

CAROL = "<sip:carol@ims.example>"


class Pair:
    """Alice has called bob, and refers him; ``referrals`` keeps what he was asked for."""

    def __init__(
        self, *, transport: str = "UDP", faults: Faults | None = None, seed: int = 0, talking: bool = True
    ) -> None:
        self.network = Network(seed, faults)
        self.alice = Phone(self.network, "alice", transport=transport)
        self.bob = Phone(self.network, "bob", transport=transport)
        self.referrals: list[Referral] = []
        self.told: list[ReferEvent] = []
        serve_shared_dialogs(self.alice.ua)
        serve_referrals(self.bob.ua, self.referrals.append)
        self.leg: OutgoingCall
        if talking:
            self.leg = self.alice.call(self.bob.uri, sdp=b"offer")
            self.network.run(40 if faults else 0.1)
        self.network.sent.clear()

    def refer(self, to: str = CAROL, **options: object) -> Referring:
        referring = Referring(self.alice.ua, self.told.append)
        referring.within(self.leg, to, **options)  # type: ignore[arg-type]
        self.network.run(0.1)
        return referring

    def refer_outside(self, to: str = CAROL) -> Referring:
        referring = Referring(self.alice.ua, self.told.append)
        referring.outside(self.bob.uri, self.bob.uri, "<sip:alice@ims.example>", to)
        self.network.run(0.1)
        return referring

    def messages(self, summary: str) -> list[Request]:
        return [packet.message for packet in self.network.packets(summary)]  # type: ignore[misc]

    def finish(self) -> None:
        if hasattr(self, "leg"):
            self.leg.hang_up()
        self.network.run()
        self.alice.assert_idle()
        self.bob.assert_idle()


# The good way --------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3515-2.4.4")
@pytest.mark.rfc("3515-2.4.5")
@pytest.mark.rfc("7647-5")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_refer_is_accepted_and_reported_on(transport: str, inside: bool) -> None:
    pair = Pair(transport=transport, talking=inside)
    if inside:
        pair.refer(referred_by="<sip:alice@ims.example>")
    else:
        pair.refer_outside()
    (referral,) = pair.referrals
    assert referral.refer_to == ReferTo("sip:carol@ims.example")
    assert (referral.session is pair.bob.incoming[0]) if inside else (referral.session is None)
    assert referral.identity == ("" if inside else "alice")
    assert referral.referred_by == ("<sip:alice@ims.example>" if inside else None)
    assert referral.follow_headers == ((("Referred-By", "<sip:alice@ims.example>"),) if inside else ())
    assert pair.network.wire() == ["REFER"]
    referral.accept()
    referral.accept()
    pair.network.run(0.1)
    assert pair.network.wire() == ["REFER", "200 REFER", "NOTIFY", "200 NOTIFY"]
    (notify,) = pair.messages("NOTIFY")
    cseq = pair.messages("REFER")[0].cseq.number
    assert notify.require("Event") == (f"refer;id={cseq}" if inside else "refer")
    assert notify.require("Subscription-State") == "active;expires=180"
    assert notify.require("Content-Type") == "message/sipfrag;version=2.0"
    assert notify.body == b"SIP/2.0 100 Trying\r\n"
    referral.progress(180, "Ringing")
    pair.network.run(0.1)
    referral.finish(200, "OK")
    pair.network.run(0.1)
    last = pair.messages("NOTIFY")[-1]
    assert last.require("Subscription-State") == "terminated;reason=noresource"
    assert last.body == b"SIP/2.0 200 OK\r\n"
    assert pair.told == [
        ReferAccepted(reports=True),
        ReferProgress(100, "Trying"),
        ReferProgress(180, "Ringing"),
        ReferFinished(200, "OK"),
    ]
    assert len(pair.alice.ua.usages) == len(pair.bob.ua.usages) == 0
    pair.finish()


@pytest.mark.rfc("3515-2.4.2")
def test_a_refer_is_refused() -> None:
    pair = Pair()
    pair.refer()
    pair.referrals[0].refuse(Declined())
    pair.referrals[0].refuse(Declined())
    pair.network.run(0.1)
    assert pair.told == [ReferRefused(603, "Decline")]
    assert pair.network.wire() == ["REFER", "603 REFER"]
    assert len(pair.alice.ua.usages) == 0
    pair.finish()


@pytest.mark.rfc("4488-4")
def test_no_reports_are_sent_where_none_are_wanted() -> None:
    pair = Pair()
    pair.refer(reports=False)
    assert pair.messages("REFER")[0].get("Refer-Sub") == "false"
    assert pair.messages("REFER")[0].get("Supported") == "norefersub"
    pair.referrals[0].accept()
    pair.network.run(0.1)
    assert pair.messages("200 REFER")[0].get("Refer-Sub") == "false"
    pair.referrals[0].finish(200, "OK")
    pair.network.run(0.1)
    assert pair.told == [ReferAccepted(reports=False)]
    assert pair.network.wire() == ["REFER", "200 REFER"]
    pair.finish()


@pytest.mark.rfc("3515-2.4.6")
def test_two_refers_in_one_dialog_are_told_apart() -> None:
    pair = Pair()
    first: list[ReferEvent] = []
    second: list[ReferEvent] = []
    Referring(pair.alice.ua, first.append).within(pair.leg, CAROL)
    Referring(pair.alice.ua, second.append).within(pair.leg, "<sip:dave@ims.example>")
    pair.network.run(0.1)
    for referral, status in zip(pair.referrals, (486, 200), strict=True):
        referral.accept()
        referral.finish(status, "Done")
    pair.network.run(0.1)
    assert (first[-1], second[-1]) == (ReferFinished(486, "Done"), ReferFinished(200, "Done"))
    pair.finish()


@pytest.mark.rfc("5057-4")
@pytest.mark.parametrize("by_referrer", [True, False])
def test_reports_outlive_the_call_that_the_refer_came_in(by_referrer: bool) -> None:
    pair = Pair()
    pair.refer()
    pair.referrals[0].accept()
    pair.network.run(0.1)
    (pair.leg if by_referrer else pair.bob.incoming[0]).hang_up()
    pair.network.run(1)
    assert len(pair.alice.ua) == len(pair.bob.ua) == 0
    pair.referrals[0].finish(404, "Not Found")
    pair.network.run(0.1)
    assert pair.told[-1] == ReferFinished(404, "Not Found")
    assert pair.network.wire()[-2:] == ["NOTIFY", "200 NOTIFY"]
    pair.finish()


@pytest.mark.rfc("3515-2.4.4")
@pytest.mark.parametrize("seed", range(6))
def test_a_transfer_is_followed_over_a_bad_network(seed: int) -> None:
    pair = Pair(faults=Faults(loss=0.25, duplicate=0.15, jitter=0.3), seed=seed)
    pair.refer()
    pair.network.run(20)
    assert len(pair.referrals) == 1
    pair.referrals[0].accept()
    for second, status in enumerate((180, 183, 200), start=1):
        act = pair.referrals[0].finish if status == 200 else pair.referrals[0].progress
        pair.network.call_later(second * 2, lambda act=act, status=status: act(status, "So"))  # type: ignore[misc]
    pair.network.run(60)
    assert pair.told[-1] == ReferFinished(200, "So")
    statuses = [event.status for event in pair.told if isinstance(event, ReferProgress | ReferFinished)]
    assert statuses == sorted(statuses), "never backwards"
    pair.finish()


# Ends that are not the usual one -------------------------------------------------------------------------------------


@pytest.mark.rfc("3515-2.4.4")
def test_the_referrer_may_stop_the_reports() -> None:
    pair = Pair()
    pair.refer()
    pair.referrals[0].accept()
    pair.network.run(0.1)
    assert pair.leg.dialog is not None
    cseq = pair.messages("REFER")[0].cseq.number
    stop = pair.leg.dialog.request("SUBSCRIBE")
    for name, value in (("Event", f"refer;id={cseq}"), ("Expires", "0"), ("Contact", f"<{pair.alice.uri}>")):
        stop.add(name, value)
    pair.alice.endpoint.request(stop, pair.alice.flow(pair.bob), None)
    pair.network.run(0.1)
    assert pair.network.wire()[-4:] == ["SUBSCRIBE", "200 SUBSCRIBE", "NOTIFY", "200 NOTIFY"]
    assert pair.told[-1] == ReferFinished(0, "timeout")
    before = len(pair.network.sent)
    pair.referrals[0].finish(200, "OK")
    pair.network.run(0.1)
    assert len(pair.network.sent) == before
    pair.finish()


def test_reports_that_never_end_expire_on_both_sides() -> None:
    pair = Pair()
    pair.refer()
    pair.referrals[0].accept()
    pair.network.run(200)
    assert pair.told[-1] == ReferFinished(0, "timeout")
    assert len(pair.alice.ua.usages) == len(pair.bob.ua.usages) == 0
    pair.finish()


def test_a_refer_that_nobody_answers_and_one_that_is_never_reported_on() -> None:
    pair = Pair()
    pair.refer()
    pair.network.run(40)
    assert pair.told == [ReferRefused(408, "No answer")]
    pair.referrals[0].refuse(Declined())
    pair.told.clear()
    pair.bob.ua.serve("REFER", lambda _, transaction, __: pair.bob.endpoint.reply(transaction, 202))
    pair.refer()
    pair.network.run(40)
    assert pair.told == [ReferAccepted(reports=True), ReferFinished(0, "No report")]
    pair.finish()


def test_a_call_without_a_dialog_cannot_be_transferred() -> None:
    pair = Pair(talking=False)
    pair.bob.on_call = lambda call: call.progress()
    pair.leg = pair.alice.call(pair.bob.uri, sdp=b"offer")
    with pytest.raises(LocalProtocolError):
        pair.refer()
    pair.finish()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 400),
        ([("Refer-To", CAROL), ("Refer-To", CAROL)], 400),
        ([("Refer-To", "<sip:>")], 400),
        ([("Refer-To", "<urn:service:sos>")], 416),
        ([("Refer-To", "carol")], 400),
        ([("Refer-To", "<sip:carol@x?Replaces=a%0d%0ab>")], 400),
        ([("Refer-To", CAROL), ("Require", "multiple-refer")], 420),
    ],
)
@pytest.mark.rfc("3515-2.4.2")
def test_a_refer_that_makes_no_sense_is_refused_without_asking(headers: list[tuple[str, str]], status: int) -> None:
    pair = Pair(talking=False)
    data = request_bytes("REFER", pair.bob.uri, headers=headers)
    pair.bob.receive(data, pair.bob.flow(("198.51.100.77", 5060)))
    pair.network.flush()
    assert pair.network.wire() == [f"{status} REFER"]
    assert pair.referrals == []
    pair.finish()


def test_a_refer_without_a_way_back_is_refused_without_asking() -> None:
    pair = Pair(talking=False)
    data = request_bytes("REFER", pair.bob.uri, headers=[("Refer-To", CAROL)], contact=None)
    pair.bob.receive(data, pair.bob.flow(("198.51.100.77", 5060)))
    pair.network.flush()
    assert (pair.network.wire(), pair.referrals) == (["400 REFER"], [])
    pair.finish()


@pytest.mark.rfc("3261-8.2.2.2")
def test_a_refer_that_was_forked_on_its_way_is_followed_once() -> None:
    pair = Pair(talking=False)
    for branch in ("z9hG4bKone", "z9hG4bKtwo"):
        data = request_bytes("REFER", pair.bob.uri, headers=[("Refer-To", CAROL)], branch=branch)
        pair.bob.receive(data, pair.bob.flow(("198.51.100.77", 5060)))
    pair.referrals[0].refuse(Declined())
    pair.network.flush()
    assert pair.network.wire() == ["482 REFER", "603 REFER"]
    pair.network.run(33)
    pair.bob.receive(data, pair.bob.flow(("198.51.100.77", 5060)))
    assert len(pair.referrals) == 2, "forgotten with its transaction"
    pair.referrals[1].refuse(Declined())
    pair.finish()


def test_a_callee_cannot_transfer_us_before_it_answers() -> None:
    pair = Pair(talking=False)
    pair.alice.on_call = lambda call: call.progress()
    leg = pair.bob.call(pair.alice.uri, sdp=b"offer")
    pair.network.run(0.1)
    pair.alice.incoming[0].send("REFER", (("Refer-To", CAROL), ("Contact", f"<{pair.alice.uri}>")))
    pair.network.run(0.1)
    assert pair.network.wire()[-1] == "403 REFER"
    assert pair.referrals == []
    leg.hang_up()
    pair.finish()


@pytest.mark.rfc("3515-2.4.5")
@pytest.mark.parametrize(
    ("kind", "body", "state", "status"),
    [
        ("text/plain", b"SIP/2.0 200 OK", "active", 415),
        ("message/sipfrag", b"fine", "active", 400),
        ("message/sipfrag", b"", "active", 400),
        ("message/sipfrag", b"SIP/2.0 200 OK", None, 400),
        ("message/sipfrag", b"SIP/2.0 200 OK", "active;expires=x", 400),
    ],
)
def test_a_report_that_makes_no_sense_is_refused(kind: str, body: bytes, state: str | None, status: int) -> None:
    pair = Pair()
    pair.refer()
    pair.referrals[0].accept()
    pair.network.run(0.1)
    dialog = pair.bob.incoming[0].dialog
    assert dialog is not None
    notify = dialog.request("NOTIFY")
    notify.add("Event", "refer")
    if state is not None:
        notify.add("Subscription-State", state)
    notify.set_body(body, kind)
    before = len(pair.told)
    pair.bob.endpoint.request(notify, pair.bob.flow(pair.alice), None)
    pair.network.run(0.1)
    assert pair.network.wire()[-1] == f"{status} NOTIFY"
    assert len(pair.told) == before
    pair.referrals[0].finish(200, "OK")
    pair.finish()
    assert pair.told[-1] == ReferFinished(200, "OK")


def test_a_peer_that_reports_the_end_twice_is_heard_once() -> None:
    pair = Pair()
    pair.refer()
    pair.referrals[0].accept()
    pair.network.run(0.1)
    dialog = pair.bob.incoming[0].dialog
    assert dialog is not None
    for state in ("active;expires=60", "terminated;reason=noresource"):
        notify = dialog.request("NOTIFY")
        notify.add("Event", "refer")
        notify.add("Subscription-State", state)
        notify.set_body(b"SIP/2.0 200 OK\r\n", "message/sipfrag")
        pair.bob.endpoint.request(notify, pair.bob.flow(pair.alice), None)
        pair.network.run(0.1)
        assert pair.network.wire()[-1] == "200 NOTIFY"
    assert pair.told.count(ReferFinished(200, "OK")) == 1
    pair.finish()


@pytest.mark.rfc("3261-8.2.1")
def test_refer_is_named_in_allow_only_where_it_is_served() -> None:
    pair = Pair(talking=False)
    assert "REFER" in pair.bob.ua.allow.split(", ")
    assert "norefersub" in pair.bob.ua.supported
    assert "REFER" not in pair.alice.ua.allow.split(", ")


# Refer-To ------------------------------------------------------------------------------------------------------------


@pytest.mark.rfc("3515-2.1")
@pytest.mark.rfc("3261-19.1.5")
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sip:carol@ims.example", ReferTo("sip:carol@ims.example")),
        ("<sip:carol@x;transport=tcp;method=SUBSCRIBE>", ReferTo("sip:carol@x;transport=tcp", "SUBSCRIBE")),
        (
            '"Carol" <sips:carol@x:5061?Subject=a%20b&Priority=urgent>',
            ReferTo("sips:carol@x:5061", "INVITE", (("Subject", "a b"), ("Priority", "urgent"))),
        ),
        ("<sip:carol@x?From=%3csip:evil%3e&Via=x&Route=y&Call-ID=1>", ReferTo("sip:carol@x")),
        ("<tel:+37160000000>", ReferTo("tel:+37160000000")),
    ],
)  # fmt: skip
def test_what_a_refer_to_asks_for(text: str, found: ReferTo) -> None:
    assert parse_refer_to(text) == found


@pytest.mark.rfc("3891-4")
def test_replaces_in_a_refer_to_is_unescaped() -> None:
    wanted = Replaces("12345@192.0.2.1;x", "to+1", "from 2", early_only=True)
    found = parse_refer_to(f"<sip:carol@x?{wanted.as_uri_header}&Require=replaces>")
    assert found.uri == "sip:carol@x"
    assert dict(found.headers)["Require"] == "replaces"
    plain = parse_refer_to("<sip:carol@x?Replaces=a%40b%3Bto-tag%3Dt%3Bfrom-tag%3Df>")
    assert plain.replaces == Replaces("a@b", "t", "f")
    assert parse_refer_to("<sip:carol@x>").replaces is None


@given(st.text(max_size=80))
def test_any_refer_to_is_read_or_refused(text: str) -> None:
    try:
        found = parse_refer_to(text)
        _ = found.replaces
    except SipError:
        return
    assert all(character >= " " for _, value in found.headers for character in value)
