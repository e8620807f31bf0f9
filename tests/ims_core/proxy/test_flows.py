"""Several flows to one phone: one at a time, and the next when one has failed (RFC 5626 section 7)."""

import pytest

from ims_core.proxy.forking import Target, in_groups
from tests.kit.forks import Forks

rfc = pytest.mark.rfc

PHONE, DESK = "<urn:uuid:1>", "<urn:uuid:2>"


def forks_with(*instances: str) -> Forks:
    """Callees that are flows to these instances; an empty one is a contact of its own."""
    forks = Forks(len(instances))
    for number, (binding, instance) in enumerate(
        zip(forks.site.location.bindings("sip:bob@ims.example"), instances, strict=True), 1
    ):
        binding.instance, binding.reg_id = instance, number if instance else 0
    return forks


@rfc("5626-7")
def test_of_an_instance_one_flow_is_in_the_target_set_at_a_time() -> None:
    flows = [Target("sip:1", instance=PHONE), Target("sip:2"), Target("sip:3", instance=PHONE), Target("sip:4", q=0.5)]
    first, second = in_groups(flows)
    assert [(target.uri, target.other_flows) for target in first] == [("sip:1", (flows[2],)), ("sip:2", ())]
    assert [target.uri for target in second] == ["sip:4"]


@rfc("5626-7")
@pytest.mark.parametrize("status", [430, 408])
def test_when_a_flow_has_failed_the_next_is_tried(status: int) -> None:
    forks = forks_with(PHONE, PHONE, PHONE, DESK)
    forks.send()
    assert forks.asked() == [0, 3]
    forks.reply(status, 0)
    assert forks.asked() == [0, 3, 1]
    forks.reply(status, 1)
    assert forks.asked() == [0, 3, 1, 2]
    forks.reply(486, 3)
    assert forks.final == []
    forks.reply(200, 2)
    assert forks.final == [200]
    forks.finish()


@rfc("5626-7")
@pytest.mark.parametrize("status", [486, 404, 503, 302, 480])
def test_a_phone_that_has_answered_is_not_asked_by_another_flow(status: int) -> None:
    forks = forks_with(PHONE, PHONE)
    forks.send()
    forks.reply(status, 0)
    forks.finish()
    assert forks.asked() == [0]
    assert forks.final == [status if status != 503 else 500]


@rfc("5626-7")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
def test_a_flow_without_answer_has_failed(method: str) -> None:
    forks = forks_with(PHONE, PHONE)
    forks.callees[0].answers = ()
    forks.send(method)
    forks.network.drop = lambda packet: packet.flow.remote == forks.callees[0].address
    forks.network.run(33)
    assert forks.asked() == [0, 1]


@rfc("5626-7")
def test_after_a_cancel_no_other_flow_is_tried() -> None:
    forks = forks_with(PHONE, PHONE)
    forks.send()
    forks.reply(180, 0)
    forks.caller.endpoint.cancel(forks.last)
    forks.finish()
    assert forks.asked() == [0]
    assert forks.final == [487]


@rfc("5626-11.5")
def test_when_all_flows_have_failed_the_caller_is_told() -> None:
    forks = forks_with(PHONE, PHONE)
    forks.send()
    forks.reply(430, 0)
    forks.reply(430, 1)
    assert forks.asked() == [0, 1]
    assert forks.final == [480]
    forks.finish()
