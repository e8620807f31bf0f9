"""The registrar, by the steps of RFC 3261 10.3 and against a model."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ims_core.errors import BadExtension
from ims_core.flow import Flow
from ims_core.ids import Ids
from ims_core.messages.headers import parse_name_addr
from ims_core.messages.message import Request, Response, error_response
from ims_core.messages.parser import parse_message
from ims_core.registrar.location import (
    Binding,
    BindingAdded,
    BindingRefreshed,
    BindingRemoved,
    Domains,
    Location,
    Removal,
)
from ims_core.registrar.registrar import Registrar
from ims_core.security.digest import DigestAuthenticator, Unauthorized, answer_challenge

rfc = pytest.mark.rfc

FLOW = Flow("UDP", ("127.0.0.1", 5060), ("127.0.0.1", 5070))
ALICE = "sip:alice@ims.example"
PHONE = "<sip:alice@127.0.0.1:5070>"


class Site:
    """A registrar with all that it needs; ``register`` sends it one request after the other."""

    def __init__(
        self,
        *,
        known_user: Callable[[str], bool] | None = None,
        passwords: dict[str, str] | None = None,
        **options: float,
    ) -> None:
        self.location = Location()
        self.cseq = 0
        self.challenge = ""
        self.registrar = Registrar(
            Domains("ims.example", ["127.0.0.1"]),
            self.location,
            Ids(random.Random(1).getrandbits),
            authenticator=None
            if passwords is None
            else DigestAuthenticator("ims.example", passwords.get, b"0123456789abcdef", nonce_lifetime=60),
            known_user=known_user,
            **options,  # type: ignore[arg-type]
        )

    def register(
        self,
        *lines: str,
        to: str = ALICE,
        uri: str = "sip:ims.example",
        call_id: str = "1@127.0.0.1",
        cseq: int | None = None,
        flow: Flow = FLOW,
        now: float = 0.0,
    ) -> Response:
        self.cseq = self.cseq + 1 if cseq is None else cseq
        head = [
            f"REGISTER {uri} SIP/2.0",
            "Via: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bK1",
            "From: <sip:alice@ims.example>;tag=1",
            f"To: <{to}>",
            f"Call-ID: {call_id}",
            f"CSeq: {self.cseq} REGISTER",
        ]
        request = parse_message("\r\n".join([*head, *lines, "", ""]).encode())
        assert isinstance(request, Request)
        before = request.encode()
        response = self.registrar.handle(request, flow, now)
        if isinstance(response, Unauthorized):
            response = error_response(request, response, to_tag="1")
        assert request.encode() == before
        if response.status == 401:
            self.challenge = response.require("WWW-Authenticate")
        return response

    def answer(self, user: str = "alice", password: str = "demo", nc: int = 1) -> str:
        credentials = answer_challenge(
            self.challenge, "REGISTER", "sip:ims.example", user, password, cnonce="abc", nc=nc
        )
        return f"Authorization: {credentials}"

    def contacts(self, aor: str = ALICE) -> list[str]:
        return [binding.contact for binding in self.location.bindings(aor)]


def listed(response: Response) -> dict[str, str]:
    addresses = [parse_name_addr(value) for value in response.values("Contact")]
    return {address.uri_text: address.params["expires"] for address in addresses}


@rfc("3261-10.3")
def test_a_contact_is_bound_with_the_flow_it_came_by() -> None:
    site = Site()
    response = site.register(f"Contact: {PHONE}", "Expires: 600", now=10.0)
    assert response.status == 200
    assert response.to.tag
    assert listed(response) == {"sip:alice@127.0.0.1:5070": "600"}
    (binding,) = site.location.bindings(ALICE)
    assert (binding.flow, binding.call_id, binding.cseq, binding.expires_at) == (FLOW, "1@127.0.0.1", 1, 610.0)
    assert site.location.next_event() == BindingAdded(ALICE, binding, first=True)


@rfc("3261-10.3")
def test_all_contacts_are_listed_with_what_is_left_of_their_time() -> None:
    site = Site()
    site.register(f"Contact: {PHONE}", "Expires: 600", now=0.0)
    response = site.register("Contact: <sip:alice@127.0.0.1:5080>;q=0.25;expires=100", now=10.5)
    assert response.values("Contact") == [
        "<sip:alice@127.0.0.1:5070>;expires=590",
        "<sip:alice@127.0.0.1:5080>;expires=100;q=0.25",
    ]


@rfc("3261-10.2.3")
def test_a_request_without_contact_asks_and_changes_nothing() -> None:
    site = Site()
    assert listed(site.register()) == {}
    site.register(f"Contact: {PHONE}")
    assert listed(site.register("Expires: 0", now=60.0)) == {"sip:alice@127.0.0.1:5070": "3540"}
    assert [type(event) for event in iter(site.location.next_event, None)] == [BindingAdded]


@rfc("3261-10.2.1.1")
@pytest.mark.parametrize(
    ("lines", "granted"),
    [
        (["Contact: <sip:a@127.0.0.1>;expires=100", "Expires: 200"], 100),
        (["Contact: <sip:a@127.0.0.1>", "Expires: 200"], 200),
        (["m: <sip:a@127.0.0.1>"], 3600),
        (["Contact: <sip:a@127.0.0.1>;expires=4294967295"], 7200),
        (["Contact: <sip:a@127.0.0.1>;expires=7201"], 7200),
        (["Contact: <sip:a@127.0.0.1>;expires=60"], 60),
        (["Contact: <sip:a@127.0.0.1>;expires=soon"], 3600),
        (["Contact: <sip:a@127.0.0.1>;expires", "Expires: 200"], 3600),
        (["Contact: <sip:a@127.0.0.1>", "Expires: -5"], 3600),
        (["Contact: sip:a@127.0.0.1;expires=100"], 100),
    ],
)
def test_the_lifetime_asked_for_is_granted_within_limits(lines: list[str], granted: int) -> None:
    assert list(listed(Site().register(*lines)).values()) == [str(granted)]


@rfc("3261-10.3")
@pytest.mark.parametrize("lines", [["Contact: <sip:a@127.0.0.1>;expires=59"], [f"Contact: {PHONE}", "Expires: 1"]])
def test_too_brief_an_interval_is_refused_with_the_least(lines: list[str]) -> None:
    site = Site()
    response = site.register(*lines)
    assert (response.status, response.get("Min-Expires")) == (423, "60")
    assert site.contacts() == []


@rfc("3261-10.2.2")
@pytest.mark.parametrize("lines", [[f"Contact: {PHONE};expires=0"], [f"Contact: {PHONE}", "Expires: 0"]])
def test_a_contact_is_taken_away_with_expires_0(lines: list[str]) -> None:
    site = Site()
    site.register(f"Contact: {PHONE}")
    binding = site.location.bindings(ALICE)[0]
    response = site.register(*lines)
    assert response.status == 200
    assert listed(response) == {}
    changes = list(iter(site.location.next_event, None))
    assert changes[-1] == BindingRemoved(ALICE, binding, last=True, reason=Removal.DEREGISTERED)


def test_taking_away_what_is_not_there_is_no_fault() -> None:
    response = Site().register(f"Contact: {PHONE}", "Expires: 0")
    assert (response.status, listed(response)) == (200, {})


@rfc("3261-10.2.2")
def test_a_star_takes_all_contacts_away() -> None:
    site = Site()
    site.register(f"Contact: {PHONE}, <sip:alice@127.0.0.1:5080>")
    site.register("Contact: <sip:bob@127.0.0.1>", to="sip:bob@ims.example", call_id="2")
    response = site.register("Contact: *", "Expires: 0")
    assert (response.status, listed(response)) == (200, {})
    assert site.contacts("sip:bob@ims.example") == ["sip:bob@127.0.0.1"]


@rfc("3261-10.3")
@pytest.mark.parametrize(
    "lines",
    [
        ["Contact: *"],
        ["Contact: *", "Expires: 60"],
        ["Contact: *", "Expires: x"],
        ["Contact: *, <sip:alice@127.0.0.1:5080>", "Expires: 0"],
        ["Contact: *", "Contact: *", "Expires: 0"],
    ],
)
def test_a_star_with_anything_but_expires_0_is_refused(lines: list[str]) -> None:
    site = Site()
    site.register(f"Contact: {PHONE}")
    assert site.register(*lines).status == 400
    assert site.contacts() == ["sip:alice@127.0.0.1:5070"]


@rfc("3261-10.3")
@pytest.mark.parametrize(
    "contact",
    [
        "",
        "<>",
        "<sip:alice@>",
        "<sip:alice@127.0.0.1",
        "<mailto:alice@ims.example>",
        "<sip:alice@127.0.0.1>;q=2",
        "<sip:alice@127.0.0.1>;q=x",
        "<sip:alice@127.0.0.1>;q=0.1234",
        "<sip:alice@127.0.0.1>;q=1.001",
        "<sip:alice@127.0.0.1>;q=.",
    ],
)
def test_a_malformed_contact_spoils_the_whole_request(contact: str) -> None:
    site = Site()
    assert site.register(f"Contact: {PHONE}", f"Contact: {contact}").status == 400
    assert site.contacts() == []
    assert site.location.next_event() is None


@rfc("3261-10.3")
@pytest.mark.parametrize(
    ("call_id", "cseq", "status"),
    [("1@127.0.0.1", 6, 200), ("1@127.0.0.1", 5, 500), ("1@127.0.0.1", 4, 500), ("2", 1, 200)],
)
@pytest.mark.parametrize(
    "lines", [[f"Contact: {PHONE}"], [f"Contact: {PHONE}", "Expires: 0"], ["Contact: *", "Expires: 0"]]
)
def test_a_request_out_of_order_changes_nothing(lines: list[str], call_id: str, cseq: int, status: int) -> None:
    site = Site()
    site.register(f"Contact: {PHONE}", cseq=5)
    response = site.register(
        "Contact: <sip:new@127.0.0.1>" if lines[0] == f"Contact: {PHONE}" else "X: y",
        *lines,
        call_id=call_id,
        cseq=cseq,
        now=9.0,
    )
    assert response.status == status
    if status == 500:
        assert site.contacts() == ["sip:alice@127.0.0.1:5070"]
        assert site.location.bindings(ALICE)[0].expires_at == 3600.0


@rfc("3261-10.2.4")
def test_a_refresh_keeps_the_binding_and_takes_the_new_flow() -> None:
    site = Site()
    site.register(f"Contact: {PHONE};expires=100")
    binding = site.location.bindings(ALICE)[0]
    moved = FLOW._replace(remote=("127.0.0.1", 6000))
    site.register("Contact: <sip:alice@127.0.0.1:5070;ob>;expires=200;q=0.5", now=50.0, flow=moved)
    assert site.location.bindings(ALICE) == (binding,)
    assert (binding.expires_at, binding.flow, binding.q) == (250.0, moved, 0.5)
    assert binding.contact == "sip:alice@127.0.0.1:5070;ob"
    events = list(iter(site.location.next_event, None))
    assert events[1:] == [BindingRefreshed(ALICE, binding, renewed=False)]


@rfc("3261-10.3")
def test_a_binding_whose_time_is_over_is_not_listed() -> None:
    site = Site()
    site.register(f"Contact: {PHONE};expires=60", now=0.5)
    assert listed(site.register(now=60.0)) == {"sip:alice@127.0.0.1:5070": "1"}
    assert listed(site.register(now=60.6)) == {}
    assert listed(site.register(now=61.0)) == {}
    assert site.contacts() == []


@rfc("3261-10.3")
def test_of_two_values_for_one_contact_the_later_counts() -> None:
    site = Site()
    response = site.register(f"Contact: {PHONE};expires=100, {PHONE};expires=200")
    assert response.values("Contact") == [f"{PHONE};expires=200"]
    response = site.register(f"Contact: {PHONE};expires=0", f"Contact: {PHONE};expires=300")
    assert response.values("Contact") == [f"{PHONE};expires=300"]


@rfc("3261-10.3")
@pytest.mark.parametrize(
    ("to", "uri"),
    [
        ("sip:alice@other.example", "sip:ims.example"),
        ("sip:alice@ims.example", "sip:other.example"),
        ("sip:stranger@ims.example", "sip:ims.example"),
        ("sip:ims.example", "sip:ims.example"),
        ("tel:+1555", "sip:ims.example"),
    ],
)
def test_an_address_of_record_that_is_not_ours_is_not_found(to: str, uri: str) -> None:
    site = Site(known_user={"alice", ""}.__contains__)
    assert site.register(f"Contact: {PHONE}", to=to, uri=uri).status == 404
    assert len(site.location) == 0


def test_anybody_may_register_where_nobody_is_asked() -> None:
    site = Site()
    assert site.register("Contact: <sip:x@127.0.0.1>", to="sip:any%20body@127.0.0.1", uri="sip:127.0.0.1").status == 200
    assert site.contacts("sip:any body@ims.example") == ["sip:x@127.0.0.1"]


@pytest.mark.parametrize("to", ["mailto:alice", "sip:", "x"])
def test_a_malformed_to_is_told(to: str) -> None:
    assert Site().register(f"Contact: {PHONE}", to=to).status in {400, 416}


@rfc("3261-22.2")
def test_who_knows_the_password_may_register() -> None:
    site = Site(passwords={"alice": "demo"})
    assert site.register(f"Contact: {PHONE}").status == 401
    assert site.contacts() == []
    assert site.register(f"Contact: {PHONE}", site.answer()).status == 200
    assert site.register(f"Contact: {PHONE}", site.answer(nc=2)).status == 200
    registrar = site.registrar
    assert (registrar.accepted, registrar.challenged, registrar.wrong_credentials) == (2, 1, 0)


@rfc("3261-22.1")
def test_a_wrong_password_and_an_unknown_user_look_the_same() -> None:
    site = Site(passwords={"alice": "demo"})
    site.register(f"Contact: {PHONE}")
    answers = [
        site.register(f"Contact: {PHONE}", site.answer(user, "wrong"), to=to, cseq=9)
        for user, to in (("alice", ALICE), ("nobody", "sip:nobody@ims.example"), ("nobody", ALICE))
    ]
    assert {answer.status for answer in answers} == {401}
    assert all("stale" not in answer.require("WWW-Authenticate") for answer in answers)
    shapes = {tuple(answer.keys) for answer in answers}
    assert len(shapes) == 1
    assert site.registrar.wrong_credentials == 3
    assert len(site.location) == 0


@rfc("3261-22.4")
def test_an_old_nonce_is_told_to_be_stale() -> None:
    site = Site(passwords={"alice": "demo"})
    site.register(now=0.0)
    response = site.register(f"Contact: {PHONE}", site.answer(), now=61.0)
    assert response.status == 401
    assert response.require("WWW-Authenticate").endswith("stale=true")
    assert site.register(f"Contact: {PHONE}", site.answer(), now=61.0).status == 200


@rfc("3261-10.3")
def test_nobody_registers_for_another() -> None:
    site = Site(passwords={"alice": "demo", "bob": "demo"})
    site.register()
    assert site.register(f"Contact: {PHONE}", site.answer("bob")).status == 403
    assert site.contacts() == []


def test_a_stranger_is_challenged_before_anything_is_told() -> None:
    site = Site(passwords={"alice": "demo"})
    assert site.register(f"Contact: {PHONE}", to="sip:nobody@ims.example").status == 401
    assert site.register("Contact: <>", to="sip:nobody@other.example").status == 401


@rfc("3261-10.3")
def test_an_extension_that_is_not_supported_is_refused() -> None:
    site = Site()
    with pytest.raises(BadExtension) as refused:
        site.register(f"Contact: {PHONE}", "Require: path, gruu", "Require: pref")
    assert refused.value.headers == (("Unsupported", "gruu, pref"),)
    assert site.contacts() == []
    assert site.register(f"Contact: {PHONE}", "Require: Path").status == 200


@rfc("3327-5.3")
def test_the_path_is_kept_and_told() -> None:
    site = Site()
    response = site.register(f"Contact: {PHONE}", "Path: <sip:p1;lr>, <sip:p2;lr>", "Supported: path")
    assert response.values("Path") == ["<sip:p1;lr>", "<sip:p2;lr>"]
    assert site.location.bindings(ALICE)[0].path == ("<sip:p1;lr>", "<sip:p2;lr>")


@rfc("5626-4.1")
def test_the_instance_is_kept_and_told() -> None:
    site = Site()
    contact = f'{PHONE};+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'
    response = site.register(f"Contact: {contact}")
    assert response.contact is not None
    instance = "<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"
    assert response.contact.params["+sip.instance"] == instance
    assert site.location.bindings(ALICE)[0].instance == instance


def test_contacts_per_user_are_bounded() -> None:
    site = Site(max_contacts=2)
    site.register("Contact: <sip:a@127.0.0.1>, <sip:b@127.0.0.1>")
    assert site.register("Contact: <sip:c@127.0.0.1>").status == 403
    assert site.register(*(f"Contact: <sip:{number}@127.0.0.1>;expires=0" for number in range(5))).status == 403
    assert site.register("Contact: <sip:a@127.0.0.1>;expires=0, <sip:c@127.0.0.1>").status == 200
    assert site.contacts() == ["sip:b@127.0.0.1", "sip:c@127.0.0.1"]


def test_a_contact_of_the_configuration_is_not_changed_by_a_request() -> None:
    site = Site()
    site.location.add(Binding(ALICE, "sip:alice@127.0.0.1:5070"))
    response = site.register(f"Contact: {PHONE};expires=60, <sip:alice@127.0.0.1:5080>")
    assert listed(response) == {"sip:alice@127.0.0.1:5070": "7200", "sip:alice@127.0.0.1:5080": "3600"}
    assert site.register("Contact: *", "Expires: 0").status == 200
    assert site.contacts() == ["sip:alice@127.0.0.1:5070"]
    assert site.register(f"Contact: {PHONE}", "Expires: 0").status == 200
    assert site.location.bindings(ALICE)[0].fixed


@rfc("3261-20.17")
def test_the_date_is_told_where_it_is_known() -> None:
    assert "Date" not in Site().register()
    dated = Registrar(
        Domains("ims.example"), Location(), Ids(random.Random(1).getrandbits), unix_time=lambda now: now + 1_289_433_600
    )
    request = parse_message(
        b"REGISTER sip:ims.example SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@ims.example>;tag=1\r\n"
        b"To: <sip:a@ims.example>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n\r\n"
    )
    assert isinstance(request, Request)
    for now, date in ((9.9, "Thu, 11 Nov 2010 00:00:09 GMT"), (10.0, "Thu, 11 Nov 2010 00:00:10 GMT")):
        response = dated.handle(request, FLOW, now)
        assert isinstance(response, Response)
        assert response.get("Date") == date


@rfc("3261-10.3")
@pytest.mark.parametrize(
    "limits",
    [(3601, 3600, 7200), (-1, 3600, 7200), (60, 7201, 7200), (60, 59, 7200), (60, 100, 99)],
)
def test_limits_that_make_no_sense_are_refused(limits: tuple[int, int, int]) -> None:
    least, default, most = limits
    with pytest.raises(ValueError, match="min_expires"):
        Site(min_expires=least, default_expires=default, max_expires=most)


_contacts = st.lists(
    st.tuples(
        st.sampled_from(["sip:a@127.0.0.1", "sip:b@127.0.0.1", "sip:c@127.0.0.1"]), st.sampled_from([0, 30, 60, 90])
    ),
    max_size=3,
    unique_by=lambda value: value[0],
)
_requests = st.tuples(
    st.one_of(_contacts, st.just("*")),
    st.sampled_from(["1", "2"]),
    st.integers(1, 12),
    st.integers(0, 40),
)


@rfc("3261-10.3")
@settings(deadline=None)
@given(st.lists(_requests, max_size=12))
def test_any_requests_leave_what_the_model_says(
    requests: list[tuple[list[tuple[str, int]] | str, str, int, int]],
) -> None:
    site = Site(max_contacts=2)
    model: dict[str, tuple[str, int, int]] = {}
    now = 0
    for contacts, call_id, cseq, wait in requests:
        now += wait
        model = {contact: state for contact, state in model.items() if state[2] > now}
        if isinstance(contacts, str):
            lines, wanted = ["Contact: *", "Expires: 0"], dict.fromkeys(model, 0)
        else:
            lines, wanted = [f"Contact: <{contact}>;expires={seconds}" for contact, seconds in contacts], dict(contacts)
        changed = model | {contact: (call_id, cseq, now + seconds) for contact, seconds in wanted.items()}
        changed = {contact: state for contact, state in changed.items() if wanted.get(contact) != 0}
        late = any(
            model[contact][0] == call_id and model[contact][1] >= cseq for contact in wanted.keys() & model.keys()
        )
        response = site.register(*lines, call_id=call_id, cseq=cseq, now=float(now))
        if 30 in wanted.values():
            assert response.status == 423
        elif len(changed) > max(2, len(model)):
            assert response.status == 403
        elif late:
            assert response.status == 500
        else:
            assert response.status == 200
            model = changed
            assert listed(response) == {contact: str(state[2] - now) for contact, state in model.items()}
        found = {held.contact: (held.call_id, held.cseq, held.expires_at) for held in site.location.bindings(ALICE)}
        assert found == model
