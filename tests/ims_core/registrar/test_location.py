"""The location service: three indexes and a clock, kept in step."""

from math import ceil, inf
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ims_core.errors import BadRequest
from ims_core.flow import Flow
from ims_core.messages.uri import parse_uri
from ims_core.registrar.location import (
    Binding,
    BindingAdded,
    BindingRefreshed,
    BindingRemoved,
    Domains,
    Location,
    LocationEvent,
    Removal,
)

rfc = pytest.mark.rfc

ALICE = "sip:alice@ims.example"
LOCAL = ("127.0.0.1", 5060)
UDP = Flow("UDP", LOCAL, ("127.0.0.1", 5070))
TCP = Flow("TCP", LOCAL, ("127.0.0.1", 40000), 1)


def binding(contact: str = "sip:alice@127.0.0.1:5070", flow: Flow | None = UDP, expires_at: float = 60.0) -> Binding:
    return Binding(ALICE, contact, flow, call_id="1", cseq=1, expires_at=expires_at)


def events(location: Location) -> list[LocationEvent]:
    return list(iter(location.next_event, None))


@rfc("3261-10.3")
@pytest.mark.parametrize(
    ("uri", "aor"),
    [
        ("sip:alice@ims.example", "sip:alice@ims.example"),
        ("sip:%61lice@IMS.example:5070;transport=tcp", "sip:alice@ims.example"),
        ("sips:alice@ims.example", "sip:alice@ims.example"),
        ("sip:alice@ims.example.", "sip:alice@ims.example"),
        ("sip:alice@Pbx.Example.:5080;transport=tcp", "sip:alice@ims.example"),
        ("sip:alice@127.0.0.1", "sip:alice@ims.example"),
        ("sip:alice@127.0.0.1:5080", "sip:alice@ims.example"),
        ("sip:alice@pbx.example", "sip:alice@ims.example"),
        ("sip:alice@127.0.0.1:16060", None),
        ("sip:alice@other.example", None),
        ("tel:+1555", None),
    ],
)
def test_an_address_of_record_is_canonical(uri: str, aor: str | None) -> None:
    domains = Domains("IMS.example", ["127.0.0.1", "127.0.0.1:5080", "PBX.example"])
    assert domains.aor_of(parse_uri(uri)) == aor
    assert domains.serves(parse_uri(uri)) is (aor is not None)


def test_a_domain_may_be_written_with_a_dot_at_its_end() -> None:
    assert Domains("IMS.example.").aor_of(parse_uri("sip:alice@ims.example")) == "sip:alice@ims.example"


def test_a_malformed_alias_is_refused() -> None:
    with pytest.raises(BadRequest):
        Domains("ims.example", ["127.0.0.1:x"])


def test_a_binding_is_found_three_ways() -> None:
    location, held = Location(), binding()
    location.add(held)
    assert ALICE in location
    assert location.bindings(ALICE) == (held,)
    assert location.has_flow(UDP)
    assert list(location.bindings_from("UDP", ("127.0.0.1", 5070))) == [held]
    assert location.binding_at(parse_uri("sip:alice@127.0.0.1:5070;ob")) is held
    assert location.match(ALICE, parse_uri("sip:alice@127.0.0.1:5070")) is held
    assert events(location) == [BindingAdded(ALICE, held, first=True)]
    assert (len(location), list(location)) == (1, [held])


def test_what_is_not_there_is_not_found() -> None:
    location = Location()
    assert ALICE not in location
    assert location.bindings(ALICE) == ()
    assert not location.has_flow(UDP)
    assert list(location.bindings_from("UDP", ("127.0.0.1", 5070))) == []
    assert location.binding_at(parse_uri("sip:alice@127.0.0.1:5070")) is None
    assert location.match(ALICE, parse_uri("sip:alice@127.0.0.1:5070")) is None
    assert location.next_event() is None
    assert location.next_deadline() is None


def test_a_flow_of_another_transport_or_port_is_another() -> None:
    location = Location()
    location.add(binding())
    assert not location.has_flow(UDP._replace(transport="TCP"))
    assert not location.has_flow(UDP._replace(remote=("127.0.0.1", 5071)))


def test_contacts_are_ordered_by_preference_then_age() -> None:
    location = Location()
    for name, q in (("low", 0.2), ("first", None), ("second", 1.0), ("half", 0.5)):
        held = binding(f"sip:{name}@127.0.0.1")
        held.q = q
        location.add(held)
    names = [held.uri.user for held in location.bindings(ALICE)]
    assert names == ["first", "second", "half", "low"]


def test_of_contacts_at_one_place_the_exact_one_is_chosen() -> None:
    location = Location()
    over_udp, over_tcp = binding("sip:a@127.0.0.1:5070"), binding("sip:a@127.0.0.1:5070;transport=tcp")
    location.add(over_udp)
    location.add(over_tcp)
    assert location.binding_at(parse_uri("sip:a@127.0.0.1:5070")) is over_udp
    assert location.binding_at(parse_uri("sip:a@127.0.0.1:5070;transport=tcp")) is over_tcp
    assert location.binding_at(parse_uri("sip:a@127.0.0.1:5070;x=1")) is over_tcp


def test_a_refresh_moves_the_binding_in_every_index() -> None:
    location, held = Location(), binding()
    location.add(held)
    moved = UDP._replace(remote=("127.0.0.1", 5099))
    location.refresh(held, binding("sip:alice@127.0.0.1:5099", moved, expires_at=90.0))
    assert not location.has_flow(UDP)
    assert location.has_flow(moved)
    assert location.binding_at(parse_uri("sip:alice@127.0.0.1:5070")) is None
    assert location.binding_at(parse_uri("sip:alice@127.0.0.1:5099")) is held
    assert events(location)[1:] == [BindingRefreshed(ALICE, held, renewed=False)]


def test_a_removed_binding_leaves_nothing_behind() -> None:
    location, held, other = Location(), binding(), binding("sip:alice@127.0.0.1:5080")
    location.add(held)
    location.add(other)
    location.remove(held, Removal.DEREGISTERED)
    assert location.bindings(ALICE) == (other,)
    location.remove(other, Removal.DEREGISTERED)
    assert ALICE not in location
    assert not location.has_flow(UDP)
    assert [event.last for event in events(location) if isinstance(event, BindingRemoved)] == [False, True]
    assert len(location) == 0
    location.expire(1000.0)
    assert events(location) == []


@rfc("3261-10.3")
def test_a_binding_goes_at_its_time_within_a_second() -> None:
    location, held = Location(), binding(expires_at=60.25)
    location.add(held)
    assert location.next_deadline() == 61.0
    location.expire(60.9)
    assert ALICE in location
    location.expire(61.0)
    assert events(location)[1:] == [BindingRemoved(ALICE, held, last=True, reason=Removal.EXPIRED)]
    assert location.next_deadline() is None


@pytest.mark.parametrize(("second", "gone_at"), [(90.0, 90.0), (30.0, 30.0), (60.0, 60.0)])
def test_a_refresh_changes_the_time(second: float, gone_at: float) -> None:
    location, held = Location(), binding(expires_at=60.0)
    location.add(held)
    location.refresh(held, binding(expires_at=second))
    location.expire(gone_at - 0.5)
    assert ALICE in location
    assert location.next_deadline() == gone_at
    location.expire(gone_at)
    assert ALICE not in location


def test_refreshing_costs_no_memory_per_refresh() -> None:
    location, held = Location(), binding()
    location.add(held)
    for number in range(1000):
        location.refresh(held, binding(expires_at=61.0 + number))
        location.next_event()
    assert sum(map(len, location._due.values())) == 1
    assert len(location._seconds) == 1


def test_a_fixed_binding_stays() -> None:
    location, held = Location(), Binding(ALICE, "sip:alice@127.0.0.1:16060")
    location.add(held)
    location.expire(1e12)
    assert held.fixed
    assert held.expires_at == inf
    assert location.bindings(ALICE) == (held,)
    assert location.next_deadline() is None


@rfc("3261-18.1.1")
def test_when_its_connection_is_lost_a_contact_that_listens_elsewhere_stays() -> None:
    location, held = Location(), binding("sip:alice@127.0.0.1:5070;transport=tcp", TCP)
    location.add(held)
    location.connection_lost(TCP)
    assert location.bindings(ALICE) == (held,)
    assert held.flow is None
    assert not location.has_flow(TCP)


def test_when_its_connection_is_lost_a_contact_at_its_far_end_goes() -> None:
    location, held = Location(), binding("sip:alice@127.0.0.1:40000;transport=tcp", TCP)
    location.add(held)
    location.connection_lost(TCP)
    assert events(location)[1:] == [BindingRemoved(ALICE, held, last=True, reason=Removal.FLOW_LOST)]


def test_the_loss_of_a_former_connection_changes_nothing() -> None:
    location, held = Location(), binding("sip:alice@127.0.0.1:40000;transport=tcp", TCP)
    location.add(held)
    location.connection_lost(TCP._replace(connection=2))
    location.connection_lost(TCP._replace(remote=("127.0.0.1", 40001)))
    assert held.flow == TCP


FLOWS = [UDP, UDP._replace(remote=("127.0.0.1", 5071)), TCP, TCP._replace(connection=2), None]
CONTACTS = ["sip:a@127.0.0.1:5070", "sip:a@127.0.0.1:5070;transport=tcp", "sip:a@127.0.0.1:40000", "sip:b@127.0.0.1"]
INSTANCE = "<urn:uuid:1>"
USERS = ["sip:a@ims.example", "sip:b@ims.example"]


class Held(NamedTuple):
    contact: str
    flow: Flow | None
    expires_at: float


class LocationMachine(RuleBasedStateMachine):
    """Whatever is done, the indexes agree with a plain dictionary, and the events tell its history."""

    lifetimes = st.one_of(st.floats(0.1, 20), st.just(inf))

    def __init__(self) -> None:
        super().__init__()
        self.location = Location()
        self.model: dict[Binding, Held] = {}
        self.told: list[Binding] = []
        self.now = 100.0

    @rule(
        aor=st.sampled_from(USERS),
        contact=st.sampled_from(CONTACTS),
        flow=st.sampled_from(FLOWS),
        lifetime=lifetimes,
        reg_id=st.sampled_from([0, 0, 1, 2]),
    )
    def add(self, aor: str, contact: str, flow: Flow | None, lifetime: float, reg_id: int) -> None:
        held = self.location.match(aor, parse_uri(contact), INSTANCE, reg_id)
        if reg_id:
            assert (held is None) is all((other.aor, other.reg_id) != (aor, reg_id) for other in self.model)
        if held is None:
            added = Binding(aor, contact, flow, expires_at=self.now + lifetime, instance=INSTANCE, reg_id=reg_id)
            self.location.add(added)
            self.model[added] = Held(contact, flow, added.expires_at)

    @precondition(lambda self: self.model)
    @rule(source=st.data(), contact=st.sampled_from(CONTACTS), flow=st.sampled_from(FLOWS), lifetime=lifetimes)
    def refresh(self, source: st.DataObject, contact: str, flow: Flow | None, lifetime: float) -> None:
        held = source.draw(st.sampled_from(list(self.model)))
        if self.location.match(held.aor, parse_uri(contact), INSTANCE, held.reg_id) in {None, held}:
            new = Binding(
                held.aor, contact, flow, expires_at=self.now + lifetime, instance=INSTANCE, reg_id=held.reg_id
            )
            self.location.refresh(held, new)
            self.model[held] = Held(contact, flow, new.expires_at)

    @precondition(lambda self: self.model)
    @rule(source=st.data())
    def remove(self, source: st.DataObject) -> None:
        held = source.draw(st.sampled_from(list(self.model)))
        self.location.remove(held, Removal.DEREGISTERED)
        del self.model[held]

    @rule(flow=st.sampled_from([flow for flow in FLOWS if flow is not None and flow.reliable]))
    def lose(self, flow: Flow) -> None:
        self.location.connection_lost(flow)
        for held, state in list(self.model.items()):
            if state.flow == flow:
                self.model[held] = state._replace(flow=None)
                if held.reg_id or parse_uri(state.contact).address == flow.remote:
                    del self.model[held]

    @rule(seconds=st.floats(0, 15))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.location.expire(self.now)
        kept = set(self.location)
        for held, state in list(self.model.items()):  # it goes when its time has come, at most one second after
            if state.expires_at <= self.now and (held not in kept or ceil(state.expires_at) <= self.now):
                del self.model[held]

    @invariant()
    def everything_is_found_where_it_belongs(self) -> None:
        location, model = self.location, self.model
        assert len(location) == len(model)
        assert set(location) == set(model)
        for held, state in model.items():
            assert Held(held.contact, held.flow, held.expires_at) == state
        for aor in USERS:
            assert set(location.bindings(aor)) == {held for held in model if held.aor == aor}
            assert (aor in location) is any(held.aor == aor for held in model)
        for flow in filter(None, FLOWS):
            expected = {held for held, state in model.items() if state.flow and state.flow[::2] == flow[::2]}
            assert set(location.bindings_from(flow.transport, flow.remote)) == expected
            assert location.has_flow(flow) is bool(expected)
        for contact in CONTACTS:
            found = location.binding_at(parse_uri(contact))
            exact = {held for held, state in model.items() if state.contact == contact}
            assert (
                found in exact
                if exact
                else found is None or found.uri.same_resource == parse_uri(contact).same_resource
            )

    @invariant()
    def the_deadline_is_not_later_than_the_first_expiry(self) -> None:
        first = min((state.expires_at for state in self.model.values()), default=inf)
        if first < inf:
            deadline = self.location.next_deadline()
            assert deadline is not None
            assert deadline <= ceil(first)

    @invariant()
    def events_tell_what_happened(self) -> None:
        for event in events(self.location):
            others = [held for held in self.told if held.aor == event.aor and held is not event.binding]
            match event:
                case BindingAdded():
                    assert event.first is (not others)
                    self.told.append(event.binding)
                case BindingRemoved():
                    assert event.last is (not others)
                    self.told.remove(event.binding)
                case BindingRefreshed():
                    assert event.binding in self.told
        assert set(self.told) == set(self.model)


TestLocationMachine = LocationMachine.TestCase
TestLocationMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
