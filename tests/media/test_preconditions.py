"""Preconditions of a stream: the status table, the answer, and when a session may be established (RFC 3312)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.api import CannotReserve, NotAcceptable, ReservationFailed
from media.sdp.description import MalformedSdp, MediaDescription, parse
from media.sdp.negotiation import Negotiation
from media.sdp.preconditions import read_peers

HANDSET = ("curr:qos local none", "curr:qos remote none", "des:qos mandatory local sendrecv")
ALSO_REMOTE = "des:qos mandatory remote sendrecv"
READY = "curr:qos local sendrecv"


def stream(*attributes: str) -> MediaDescription:
    return MediaDescription("audio", 4000, "RTP/AVP", ["0"], lines=[("a", value) for value in attributes])


def offer(*attributes: str, media: str = "m=audio 4000 RTP/AVP 0", more: str = "") -> str:
    lines = "".join(f"a={value}\r\n" for value in attributes)
    return f"v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n{media}\r\n{lines}{more}"


def negotiate(*, heeds: bool = True) -> Negotiation:
    negotiation = Negotiation("198.51.100.1", 1000, heeds_preconditions=heeds)
    negotiation.port = 20_000
    return negotiation


def is_met(negotiation: Negotiation) -> bool:
    """Whether what was negotiated last lets the session be established."""
    assert negotiation.preconditions is not None
    return negotiation.preconditions.met


def answered(*attributes: str) -> tuple[bool, list[str]]:
    """Whether the session may be established, and the lines of the answer."""
    table = read_peers(stream(*attributes))
    assert table is not None
    return table.met, [line.removeprefix("a=") for line in table.lines().splitlines()]


@pytest.mark.rfc("3312-5.2", "3312-7", "TS24.229-6.1.3")
def test_the_answer_says_that_we_have_our_resources_and_asks_to_be_told_of_the_peers() -> None:
    assert answered(*HANDSET, ALSO_REMOTE) == (
        False,
        [
            "curr:qos local sendrecv",
            "curr:qos remote none",
            "des:qos mandatory local sendrecv",
            "des:qos mandatory remote sendrecv",
            "conf:qos remote sendrecv",
        ],
    )


@pytest.mark.rfc("3312-6", "3312-7")
def test_once_the_peer_has_its_resources_the_session_may_be_established_and_nothing_is_to_be_confirmed() -> None:
    assert answered(READY, *HANDSET[1:], ALSO_REMOTE) == (
        True,
        [
            "curr:qos local sendrecv",
            "curr:qos remote sendrecv",
            "des:qos mandatory local sendrecv",
            "des:qos mandatory remote sendrecv",
        ],
    )


@pytest.mark.rfc("3312-4", "3312-5.2")
def test_the_peers_directions_are_turned_round() -> None:
    met, lines = answered("curr:qos local send", "curr:qos remote none", "des:qos mandatory local sendrecv")
    assert not met
    assert lines == [
        "curr:qos local sendrecv",
        "curr:qos remote recv",
        "des:qos mandatory remote sendrecv",
        "conf:qos remote send",
    ]


@pytest.mark.rfc("3312-5.1.1")
@pytest.mark.parametrize(
    ("current", "desired", "met"),
    [
        ("local none", ("mandatory local send",), False),
        ("local send", ("mandatory local send",), True),
        ("local recv", ("mandatory local send",), False),
        ("local send", ("mandatory local send", "optional local recv"), True),
        ("local send", ("mandatory local send", "mandatory local recv"), False),
        ("local none", ("optional local sendrecv",), True),
        ("local none", ("none local sendrecv",), True),
        ("local none", ("mandatory remote sendrecv",), True),
        ("e2e none", ("mandatory e2e recv",), True),
        ("e2e none", ("mandatory e2e sendrecv",), False),
        ("e2e send", ("mandatory e2e sendrecv",), True),
    ],
)
def test_only_what_is_mandatory_and_missing_suspends(current: str, desired: tuple[str, ...], met: bool) -> None:
    assert answered(f"curr:qos {current}", *(f"des:qos {each}" for each in desired))[0] is met


@pytest.mark.rfc("3312-5.1.1")
def test_a_segment_of_which_nothing_is_said_has_nothing() -> None:
    assert answered("des:qos mandatory local sendrecv") == (
        False,
        [
            "curr:qos local sendrecv",
            "curr:qos remote none",
            "des:qos mandatory remote sendrecv",
            "conf:qos remote sendrecv",
        ],
    )


@pytest.mark.rfc("3312-3.1", "3312-5.2")
def test_end_to_end_we_answer_for_our_direction_and_ask_for_the_other() -> None:
    assert answered("curr:qos e2e none", "des:qos mandatory e2e sendrecv") == (
        False,
        ["curr:qos e2e send", "des:qos mandatory e2e sendrecv", "conf:qos e2e recv"],
    )


@pytest.mark.rfc("4032-4.1")
def test_what_the_peer_believes_of_our_resources_counts_for_nothing_and_its_own_may_go_again() -> None:
    negotiation = negotiate()
    negotiation.take_offer(offer(READY, *HANDSET[1:]))
    assert negotiation.preconditions is not None
    assert negotiation.preconditions.met
    negotiation.take_offer(offer(*HANDSET, "curr:qos remote none"))
    assert "a=curr:qos local sendrecv\r\na=curr:qos remote none\r\n" in negotiation.answer()
    assert not negotiation.preconditions.met


@pytest.mark.rfc("4032-4.2", "3312-5.2")
def test_the_strength_may_change_with_each_offer_and_is_never_lowered_by_us() -> None:
    negotiation = negotiate()
    for strength, met in (("mandatory", False), ("optional", True), ("none", True), ("mandatory", False)):
        negotiation.take_offer(offer("curr:qos local none", f"des:qos {strength} local sendrecv"))
        assert f"a=des:qos {strength} remote sendrecv\r\n" in negotiation.answer()
        assert negotiation.preconditions is not None
        assert negotiation.preconditions.met is met


@pytest.mark.rfc("3312-9")
def test_an_unknown_type_that_is_mandatory_is_refused_and_the_session_stays_as_it_was() -> None:
    negotiation = negotiate()
    video = "m=video 4002 RTP/AVP 96\r\n"
    with pytest.raises(CannotReserve, match="sec is not served") as refused:
        negotiation.take_offer(offer("curr:sec local none", "des:sec mandatory local send", more=video))
    told = parse(refused.value.description)
    assert [(media.kind, media.port, media.attributes("des")) for media in told.media] == [
        ("audio", 9, ["sec unknown remote recv"]),
        ("video", 0, []),
    ]
    negotiation.take_offer(offer(*HANDSET))
    before = negotiation.answer()
    with pytest.raises(CannotReserve):
        negotiation.take_offer(offer("curr:sec e2e none", "des:sec mandatory e2e sendrecv", READY, *HANDSET[1:]))
    assert negotiation.answer() == before


@pytest.mark.rfc("3312-9", "3312-10")
@pytest.mark.parametrize("strength", ["optional", "none"])
def test_an_unknown_type_that_is_not_mandatory_counts_for_nothing(strength: str) -> None:
    other = ("curr:sec e2e none", f"des:sec {strength} e2e sendrecv")
    assert read_peers(stream(*other)) is None
    assert answered(*HANDSET, *other) == answered(*HANDSET)


@pytest.mark.rfc("3312-8")
def test_a_peer_who_could_not_reserve_is_understood() -> None:
    with pytest.raises(ReservationFailed) as refused:
        negotiate().take_offer(offer("curr:qos local none", "des:qos failure local sendrecv"))
    assert refused.value.description.endswith("m=audio 9 RTP/AVP 0\r\na=des:qos failure remote sendrecv\r\n")


@pytest.mark.rfc("3312-8")
def test_what_is_missing_can_be_told_in_place_of_the_status() -> None:
    negotiation = negotiate()
    negotiation.take_offer(
        offer("curr:qos local send", "des:qos mandatory local sendrecv", more="m=video 2 RTP/AVP 96\r\n")
    )
    assert negotiation.preconditions is not None
    audio, video = parse(negotiation.preconditions.refusal(negotiation.answer())).media
    assert [value for letter, value in audio.lines if "qos" in value] == ["des:qos failure remote send"]
    assert (audio.port, video.port, video.lines) == (20_000, 0, [])
    ready = read_peers(stream(READY, *HANDSET[1:]))
    assert ready is not None
    assert "qos" not in ready.refusal(negotiation.answer())


@pytest.mark.rfc("3312-8.1")
def test_preconditions_of_a_stream_that_we_do_not_take_are_not_heeded() -> None:
    video = "m=video 4002 RTP/AVP 96\r\na=curr:qos local none\r\na=des:sec mandatory e2e sendrecv\r\n"
    negotiation = negotiate()
    negotiation.take_offer(offer(READY, *HANDSET[1:], more=video))
    assert negotiation.preconditions is not None
    assert negotiation.preconditions.met
    assert negotiation.answer().endswith("m=video 0 RTP/AVP 96\r\n")


@pytest.mark.rfc("3312-4")
@pytest.mark.parametrize(
    "line",
    [
        "des:qos mandatory local",
        f"des:{'x' * 61} mandatory local send",
        "des:qos mandatory local sendrecv x",
        "des:qos urgent local sendrecv",
        "des:qos mandatory nowhere sendrecv",
        "des:qos mandatory local sideways",
        "curr:qos local",
        "curr:qos nowhere none",
        "curr:qos local sideways",
    ],
)
def test_lines_that_cannot_be_read_are_named(line: str) -> None:
    with pytest.raises(MalformedSdp, match="precondition"):
        read_peers(stream(*HANDSET, line))


def test_a_stream_without_desired_status_has_no_preconditions() -> None:
    assert read_peers(stream("curr:qos local none", "sendrecv")) is None
    negotiation = negotiate()
    negotiation.take_offer(offer())
    assert negotiation.preconditions is None
    assert "qos" not in negotiation.answer()


@pytest.mark.rfc("3312-11")
def test_a_leg_that_does_not_heed_them_answers_as_who_knows_none() -> None:
    negotiation = negotiate(heeds=False)
    negotiation.take_offer(offer(*HANDSET, "des:sec mandatory e2e sendrecv"))
    assert negotiation.preconditions is None
    assert "qos" not in negotiation.answer()


def test_later_offers_of_ours_have_none() -> None:
    negotiation = negotiate()
    negotiation.take_offer(offer(*HANDSET))
    assert "qos" not in negotiation.offer()
    assert negotiation.preconditions is None


@pytest.mark.rfc("3312-5.1", "3312-13.3")
def test_the_first_offer_asks_for_nothing_but_to_be_told_and_the_answer_may_ask_for_more() -> None:
    negotiation = negotiate()
    audio = parse(negotiation.offer()).media[0]
    assert audio.attributes("curr") == ["qos local sendrecv", "qos remote none"]
    assert audio.attributes("des") == ["qos optional local sendrecv", "qos optional remote sendrecv"]
    assert audio.attributes("conf") == ["qos remote sendrecv"]
    assert is_met(negotiation)
    negotiation.take_answer(offer(*HANDSET))
    assert not is_met(negotiation)
    negotiation.take_offer(offer(READY, *HANDSET[1:]))
    assert is_met(negotiation)


@pytest.mark.rfc("3312-5.2")
def test_an_answer_without_preconditions_knows_none() -> None:
    negotiation = negotiate()
    negotiation.offer()
    negotiation.take_answer(offer())
    assert negotiation.preconditions is None


def test_an_answer_that_is_refused_changes_nothing() -> None:
    negotiation = negotiate()
    negotiation.offer()
    stream, status = negotiation.stream, negotiation.preconditions
    with pytest.raises(CannotReserve):
        negotiation.take_answer(offer("des:sec mandatory e2e sendrecv"))
    assert (negotiation.stream, negotiation.preconditions) == (stream, status)


@pytest.mark.rfc("3264-8")
def test_an_answer_with_another_status_is_another_version() -> None:
    negotiation = negotiate()
    versions = []
    for current in ("none", "none", "sendrecv"):
        negotiation.take_offer(offer(f"curr:qos local {current}", "des:qos mandatory local sendrecv"))
        versions.append(dict(parse(negotiation.answer()).lines)["o"].split(" ")[2])
    assert versions == ["1000", "1000", "1001"]


WORDS = st.sampled_from(
    "qos sec local remote e2e none send recv sendrecv mandatory optional failure unknown QOS x".split()
)
LINES = st.lists(
    st.tuples(st.sampled_from(("curr", "des", "conf")), st.lists(WORDS, max_size=5)).map(
        lambda line: f"{line[0]}:{' '.join(line[1])}"
    ),
    max_size=6,
)


@pytest.mark.rfc("3312-5.2", "3312-6")
@given(LINES)
def test_any_lines_are_refused_or_answered_by_a_table_that_the_peer_reads_alike(lines: list[str]) -> None:
    try:
        table = read_peers(stream(*lines))
    except NotAcceptable:
        return
    if table is None:
        return
    ours = [line.removeprefix("a=") for line in table.lines().splitlines()]
    assert table.met is not any(line.startswith("conf:") for line in ours)
    turned = read_peers(stream(*(line for line in ours if not line.startswith("conf:"))))
    assert turned is not None
    assert {line for line in turned.lines().splitlines() if line.startswith("a=des:")} == {
        mirrored(line) for line in ours if line.startswith("des:")
    }


def mirrored(line: str) -> str:
    """A line of the one side as the other writes it."""
    swap = {"local": "remote", "remote": "local", "send": "recv", "recv": "send"}
    return "a=" + " ".join(swap.get(word, word) for word in line.split(" "))
