"""Which agent is first: each policy, their combination, chance, and who is next across queues."""

from collections import Counter
from random import Random

import pytest

from acd.core.events import AgentReady, AgentRegistered, CallArrived, CallEnded, CallLeft
from acd.core.needs import needs
from acd.core.policies import POLICIES
from acd.core.profiles import AgentProfile, Membership, QueueProfile, UnderLoad
from tests.acd.core.virtual_floor import Floor, offer_in, pairs


def queue(*strategy: str, queue_id: str = "sales", **more: object) -> QueueProfile:
    return QueueProfile(queue_id, queue_id.title(), wrap_up_seconds=0, strategy=strategy or ("longest_idle",), **more)  # type: ignore[arg-type]


def agent(agent_id: str, level: int = 1, weight: float = 1.0, **skills: int) -> AgentProfile:
    return AgentProfile(agent_id, agent_id.title(), (Membership("sales", level, weight),), skills=skills)


def floor(*agents: AgentProfile, strategy: tuple[str, ...], seed: int = 1) -> Floor:
    return Floor(*agents, queues=[queue(*strategy)], random=Random(seed).random)


def order(strategy: str, happened: list[tuple[str, float]]) -> list[str]:
    """Who is offered calls, one after the other, after each in `happened` talked for so long, all ready anew since."""
    stage = floor(agent("ann"), agent("bob"), agent("cem"), strategy=("ordered",))
    for number, (agent_id, seconds) in enumerate(happened):
        aside = [f"aside{number}-{n}" for n in range(3)]
        for call in aside:
            offer = offer_in(stage.arrive(call))
            if offer.agent_id == agent_id:
                stage.answer(offer)
                break
        stage.now += seconds
        for call in reversed(aside):
            stage.tell(CallLeft(call))
    profiles = [agent("ann"), agent("bob"), agent("cem")]
    stage.distributor.install([queue(strategy)], profiles, stage.now)
    return [offer_in(stage.arrive(f"c{n}")).agent_id for n in range(3)]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("ordered", ["ann", "bob", "cem"]),
        ("longest_idle", ["cem", "ann", "bob"]),  # bob talked last, before him ann
        ("round_robin", ["cem", "ann", "bob"]),
        ("fewest_calls", ["cem", "bob", "ann"]),
        ("least_talk", ["cem", "ann", "bob"]),
        ("least_occupied", ["cem", "ann", "bob"]),
    ],
)
def test_each_policy_by_what_agents_did(strategy: str, expected: list[str]) -> None:
    assert order(strategy, [("ann", 5.0), ("ann", 6.0), ("bob", 30.0)]) == expected


def test_tiers_come_before_what_follows_them() -> None:
    stage = floor(agent("ann", 2), agent("bob", 1), agent("cem", 1), strategy=("tiers", "longest_idle"))
    assert [offer_in(stage.arrive(f"c{n}")).agent_id for n in range(3)] == ["bob", "cem", "ann"]


def test_best_skills_count_up_to_the_level_wished_for() -> None:
    stage = floor(agent("ann", en=5), agent("bob", en=2, vip=1), agent("cem", zh=9), strategy=("best_skills",))
    wishes = needs(preferred={"en": 2, "vip": 1})
    tried = [offer_in(stage.tell(CallArrived(f"c{n}", "sales", needs=wishes))).agent_id for n in range(3)]
    assert tried == ["bob", "ann", "cem"]


@pytest.mark.parametrize(
    ("strategy", "shares"),
    [(("random",), [1 / 3, 1 / 3, 1 / 3]), (("weighted_random",), [1 / 6, 2 / 6, 3 / 6])],
)
def test_chance_is_fair_to_the_weights(strategy: tuple[str, ...], shares: list[float]) -> None:
    stage = floor(agent("ann", weight=1), agent("bob", weight=2), agent("cem", weight=3), strategy=strategy)
    picked = Counter[str]()
    for number in range(6000):
        stage.now += 1.0
        offer = offer_in(stage.arrive(f"c{number}"))
        picked[offer.agent_id] += 1
        stage.tell(CallLeft(offer.call_id))
    chi_square = sum(
        (picked[a] - 6000 * share) ** 2 / (6000 * share) for a, share in zip(("ann", "bob", "cem"), shares, strict=True)
    )
    assert chi_square < 13.8  # 0.1 % of fair ones with two degrees of freedom


def test_chance_has_no_memory_of_who_waits_for_long() -> None:
    """Ann returns for every call, bob has been there all the time: he must not be picked more often for it."""
    picked = 0
    for seed in range(400):
        stage = floor(agent("ann"), agent("bob"), agent("cem"), strategy=("random",), seed=seed)
        first = offer_in(stage.arrive("c1"))
        stage.tell(CallLeft("c1"))
        picked += offer_in(stage.arrive("c2")).agent_id == first.agent_id
    assert abs(picked - 400 / 3) < 3.3 * (400 * 2 / 9) ** 0.5


def test_chance_needs_a_source() -> None:
    with pytest.raises(ValueError, match="queue 'sales': a strategy of chance needs a source of it"):
        Floor(queues=[queue("tiers", "random")])


@pytest.mark.parametrize("strategy", [("oldest",), ("longest_idle", "oldest")])
def test_unknown_policy(strategy: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="queue 'sales': no policy oldest"):
        queue(*strategy)
    assert len(POLICIES) == 10


def test_load_changes_the_strategy_until_few_wait() -> None:
    load = UnderLoad(from_waiting=3, to_waiting=1, strategy=("ordered",))
    stage = Floor(
        *(
            AgentProfile(a, a.title(), ("sales",), skills={"zh": 1} if a == "cem" else {})
            for a in ("ann", "bob", "cem")
        ),
        queues=[queue("longest_idle", under_load=load)],
        registered=False,
    )
    for now, agent_id in ((1.0, "bob"), (2.0, "ann")):
        stage.now = now
        stage.tell(AgentRegistered(agent_id))
    speaks = needs({"zh": 1})
    strategies = []
    for waiting in (0, 1, 2, 3, 2, 1):  # who speaks Chinese waits, for cem, who is not there
        while stage.distributor.waiting("sales") < waiting:
            stage.tell(CallArrived(f"zh{stage.distributor.waiting('sales')}", "sales", needs=speaks))
        while stage.distributor.waiting("sales") > waiting:
            stage.tell(CallLeft(f"zh{stage.distributor.waiting('sales') - 1}"))
        offer = offer_in(stage.arrive(f"c{waiting}"))
        strategies.append({"bob": "longest_idle", "ann": "ordered"}[offer.agent_id])
        stage.tell(CallLeft(offer.call_id))
    # One who arrives counts, too: with two waiting before him he is the third.
    assert strategies == ["longest_idle", "longest_idle", "longest_idle", "ordered", "ordered", "longest_idle"]


def served(stage: Floor, count: int) -> list[str]:
    """Who is served, one after the other, by the one agent, who is in call c0."""
    found, call = [], "c0"
    for _ in range(count):
        offer = offer_in(stage.tell(CallEnded(call)))
        stage.answer(offer)
        call = offer.call_id
        found.append(call)
    return found


def test_waiting_makes_up_for_priority_where_priority_ages() -> None:
    stage = Floor(agent("ann"), queues=[queue(ageing_seconds=10)])
    stage.talk("c0")
    for now, call, priority in ((0, "old", 0), (9, "vip", 1), (11, "late", 1), (21, "later", 2), (22, "last", 2)):
        stage.now = float(now)
        stage.arrive(call, priority=priority)
    assert served(stage, 5) == ["vip", "old", "late", "later", "last"]


def test_queues_weigh_the_time_waited() -> None:
    ann = AgentProfile("ann", "Ann", ("sales", "gold"))
    stage = Floor(ann, queues=[queue(), queue(queue_id="gold", weight=3.0)])
    stage.talk("c0")
    for now, call, queue_id in ((0, "s1", "sales"), (10, "s2", "sales"), (20, "g1", "gold"), (28, "g2", "gold")):
        stage.now = float(now)
        stage.arrive(call, queue_id)
    stage.now = 30.0
    # Weighed: 30, 20, 30, 6 seconds; of equals the first to arrive.
    assert served(stage, 4) == ["s1", "g1", "s2", "g2"]


def test_a_kept_place_counts_as_waited() -> None:
    stage = Floor(agent("ann"), queues=[queue()])
    stage.talk("c0")
    stage.now = 50.0
    stage.arrive("new")
    stage.tell(CallArrived("back", "sales", waited_seconds=30.0))
    assert [stage.distributor.position(call) for call in ("back", "new")] == [1, 2]
    assert served(stage, 1) == ["back"]


def test_strategy_of_a_refuser_does_not_bring_him_back_before_his_delay() -> None:
    stage = Floor(agent("ann"), agent("bob"), queues=[queue("ordered")])
    assert pairs(stage.fail(offer_in(stage.arrive("c1")))) == [("c1", "bob")]
    assert pairs(stage.arrive("c2")) == []
    assert pairs(stage.tell(AgentReady("ann"))) == [("c2", "ann")]
