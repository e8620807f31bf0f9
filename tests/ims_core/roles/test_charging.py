"""P-Charging-Vector as it goes from network to network and back."""

from __future__ import annotations

import pytest

from ims_core.messages.message import Request, response_to
from ims_core.roles.charging import (
    TYPE_1,
    TYPE_3,
    ChargingVector,
    answer_vector,
    charging_vector,
    write_vector,
)

rfc = pytest.mark.rfc


def vector(text: str) -> ChargingVector:
    request = Request("INVITE", "sip:bob@ims.example")
    request.add("P-Charging-Vector", text)
    found = charging_vector(request)
    assert found is not None
    return found


@rfc("7315-4.6", "7315-5.6")
@pytest.mark.parametrize("text", ["", ";", "orig-ioi=a", "icid-value", ";;icid-value=1"])
def test_what_is_no_vector_is_none(text: str) -> None:
    request = Request("INVITE", "sip:bob@ims.example")
    request.add("P-Charging-Vector", text)
    assert charging_vector(request) is None
    assert charging_vector(Request("INVITE", "sip:bob@ims.example")) is None


@rfc("7315-5.6")
def test_it_is_written_as_it_is_read() -> None:
    text = 'icid-value="AyretyU0dm+6O2IrT5tAFrbHLso=023551024";icid-generated-at=[2001:db8::1];orig-ioi=home1.example'
    assert str(vector(text)) == text


@rfc("TS24.229-4.5.4", "TS24.229-5.4.3.2")
def test_each_network_names_itself_in_the_type_of_the_hop() -> None:
    asked = vector("icid-value=1;orig-ioi=visited.example;term-ioi=stale.example")
    assert str(asked.sent_by("home.example")) == "icid-value=1;orig-ioi=home.example"
    assert str(asked.sent_by("home.example", TYPE_3)) == 'icid-value=1;orig-ioi="Type 3home.example"'


@rfc("TS24.229-5.4.3.2", "TS24.229-5.4.3.3")
@pytest.mark.parametrize(
    ("orig_ioi", "term_ioi"),
    [
        ("other.example", "home.example"),
        ('"Type 1visited.example"', '"Type 1home.example"'),
        ('"Type 3as.example"', '"Type 3home.example"'),
    ],
)
def test_the_answer_is_of_the_type_of_the_question(orig_ioi: str, term_ioi: str) -> None:
    asked = vector(f"icid-value=1;orig-ioi={orig_ioi};eps-info=secret")
    assert str(asked.answered_by("home.example")) == f"icid-value=1;orig-ioi={orig_ioi};term-ioi={term_ioi}"
    assert str(vector("icid-value=1").answered_by("home.example")) == "icid-value=1;term-ioi=home.example"


@rfc("TS24.229-5.4.3.2", "7315-4.6.3")
def test_what_the_access_network_told_does_not_leave() -> None:
    told = vector(f'icid-value=1;ggsn=[5555::4b4:3c3];pdp-info="pdp-item=1";orig-ioi="{TYPE_1}v.example"')
    assert str(told.for_others()) == 'icid-value=1;orig-ioi="Type 1v.example"'


def test_a_response_says_what_we_answer_and_nothing_without_a_question() -> None:
    request = Request("INVITE", "sip:bob@ims.example")
    request.add("P-Charging-Vector", "icid-value=1")
    response = response_to(request, 200, to_tag="1")
    response.add("P-Charging-Vector", "icid-value=2;term-ioi=callee.example")
    answer_vector(response, charging_vector(request), "home.example")
    assert response.values("P-Charging-Vector") == ["icid-value=1;term-ioi=home.example"]
    answer_vector(response, None, "home.example")
    assert "P-Charging-Vector" not in response
    trying = response_to(request, 100)
    answer_vector(trying, charging_vector(request), "home.example")
    assert "P-Charging-Vector" not in trying
    write_vector(request, None)
    assert "P-Charging-Vector" not in request
