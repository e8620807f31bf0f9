from acd import facts
from acd.kpi.fold import Fold
from acd.kpi.grid import HOUR, WHOLE, Grid
from acd.kpi.policy import Policy, read_policy
from acd.kpi.tally import Calls, Time
from tests.acd.kpi.day import Day, at


def counts(calls: Calls) -> tuple[int, ...]:
    return (calls.offered, calls.answered, calls.abandoned, calls.overflowed, calls.released, calls.called_back)


def test_a_call_counts_in_the_interval_in_which_it_was_offered() -> None:
    day = Day()
    day.change("1001", "ready", at("10:00"))
    day.queue("a", at("10:14:50"))
    day.answer("a", "1001", at("10:16"), waited=70)
    day.part("a", "1001", at("10:31"), talked=900, held=60)
    day.change("1001", "ready", at("10:31:20"))
    calls = day.calls("10:00")
    assert counts(calls) == (1, 1, 0, 0, 0, 0)
    assert (calls.answer_seconds, calls.longest_wait, calls.offers) == (70, 70, 1)
    assert (calls.handled, calls.talk_seconds, calls.hold_seconds, calls.wrap_up_seconds) == (1, 840, 60, 20)
    assert counts(day.number("10:00")) == counts(calls)
    agent = day.time("10:00")
    assert (agent.answered, agent.handled, agent.talk_seconds, agent.wrap_up_seconds, agent.offers) == (
        1,
        1,
        840,
        20,
        1,
    )
    assert day.interval("10:15").queues == {}


def test_the_time_of_an_agent_is_split_at_the_ends_of_intervals() -> None:
    day = Day()
    day.change("1001", "ready", at("10:05"))
    day.change("1001", "paused", at("10:50"))
    day.change("1001", "logged_out", at("11:00"))
    assert [(interval.start, interval.agents["1001"].seconds) for interval in day.fold.intervals()] == [
        (at("10:00"), {"ready": 600}),
        (at("10:15"), {"ready": 900}),
        (at("10:30"), {"ready": 900}),
        (at("10:45"), {"ready": 300, "paused": 600}),
        (at("11:00"), {}),
    ]


def test_a_state_that_lasts_counts_up_to_now() -> None:
    day = Day(Fold(Grid(HOUR)))
    day.change("1001", "ready", at("10:30"))
    assert [interval.agents["1001"].seconds for interval in day.fold.intervals(at("11:10"))] == [
        {"ready": 1800},
        {"ready": 600},
    ]
    day.change("1001", "paused", at("11:20"))
    assert day.time("11:00").seconds == {"ready": 1200}


def test_who_was_in_a_state_before_the_first_fact_is_told_by_it() -> None:
    day = Day(Fold(start=at("10:10")))
    day.tell(facts.AgentChanged("1001", "ready", "paused", lasted=7200.0), at("10:20"))
    assert day.time("10:10").seconds == {"ready": 300}
    assert day.time("10:15").seconds == {"ready": 300}


def test_floor_stood_tells_of_those_who_do_not_move() -> None:
    day = Day(Fold(Grid(HOUR), start=at("10:00")))
    day.tell(facts.FloorStood((("1001", "ready", 30.0, "", "", ""),)), at("09:50"))
    day.tell(facts.AgentChanged("1002", "logged_out", "ready", lasted=99999.0), at("10:30"))
    assert {name: time.seconds for name, time in day.fold.intervals(at("10:45"))[0].agents.items()} == {
        "1001": {"ready": 2700},
        "1002": {"ready": 900},
    }


def test_what_lies_outside_is_known_and_not_counted() -> None:
    fold = Fold(Grid(WHOLE), start=at("10:00"), end=at("11:00"))
    day = Day(fold)
    day.change("1001", "ready", at("09:00"))
    day.queue("early", at("09:59"))
    day.queue("within", at("10:59"))
    day.answer("early", "1001", at("11:05"), waited=3960)
    day.part("early", "1001", at("11:06"), talked=60)
    day.change("1001", "ready", at("11:07"))
    assert not fold.complete()
    day.queue("late", at("11:08"))
    day.answer("within", "1001", at("11:10"), waited=660)
    assert not fold.complete()
    day.part("within", "1001", at("11:11"), talked=60)
    assert not fold.complete()
    day.change("1001", "ready", at("11:12"))
    assert fold.complete()
    (interval,) = fold.intervals(at("11:30"))
    assert (interval.start, interval.end) == (at("10:00"), at("11:00"))
    assert counts(interval.queues["sales"]) == (1, 1, 0, 0, 0, 0)
    assert interval.queues["sales"].wrap_up_seconds == 60
    assert interval.agents["1001"].seconds == {"ready": 3600}


def test_who_is_moved_overflowed_here_and_is_offered_there_but_dialled_once() -> None:
    day = Day()
    day.queue("a", at("10:14"), "sales")
    day.tell(facts.CallMoved("a", "sales", "support", "length"), at("10:16"))
    day.answer("a", "1001", at("10:17"), waited=180, queue="support")
    assert counts(day.calls("10:00", "sales")) == (1, 0, 0, 1, 0, 0)
    assert counts(day.calls("10:15", "support")) == (1, 1, 0, 0, 0, 0)
    assert day.calls("10:15", "support").answer_seconds == 180
    assert counts(day.number("10:00")) == (1, 1, 0, 0, 0, 0)
    assert day.fold.imbalances() == []


def test_every_end_of_a_wait_has_its_count() -> None:
    day = Day()
    for call in "abcdef":
        day.queue(call, at("10:00"))
    day.leave("a", at("10:01"), 12.0)
    day.leave("b", at("10:01"), 20.0, "overflowed")
    day.leave("c", at("10:01"), 30.0, "released")
    day.leave("d", at("10:01"), 40.0, "overflowed")
    day.tell(facts.CallbackOwed("d", "sales", "13800138000"), at("10:01"))
    day.tell(facts.CallEnded("e", "peer_lost", "system"), at("10:02"))
    calls = day.calls("10:00")
    assert counts(calls) == (6, 0, 1, 1, 2, 1)
    assert (calls.waiting, calls.abandon_seconds, calls.other_seconds, calls.longest_wait) == (1, 12, 90, 40)
    day.tell(facts.CallbackSettled("d", "kept"), at("15:00"))
    assert (calls.callbacks_kept, calls.callbacks_dropped) == (1, 0)
    assert day.fold.imbalances() == []


def test_a_place_not_given_is_not_offered() -> None:
    day = Day()
    day.tell(facts.CallArrived("a", "x", "10001", "alice"), at("10:00"))
    day.tell(facts.CallTurnedAway("a", "sales", "nobody logged in"), at("10:00"))
    assert (day.calls("10:00").offered, day.calls("10:00").turned_away) == (0, 1)
    assert day.number("10:00", "10001").turned_away == 1


def test_the_number_is_that_of_the_call_where_the_queue_is_not_told() -> None:
    day = Day()
    day.tell(facts.CallArrived("a", "x", "10001", "alice"), at("10:00"))
    day.queue("a", at("10:00"), number="")
    assert day.number("10:00", "10001").offered == 1


def test_offers_that_failed_are_told_apart() -> None:
    day = Day()
    day.queue("a", at("10:00"))
    for cause in ("refused", "busy", "no_answer", "unreachable", "error"):
        day.offer("a", "1001", at("10:00"))
        day.tell(facts.OfferFailed("a", "1001", day.epoch, cause), at("10:00:05"))
    for work in (day.calls("10:00"), day.number("10:00"), day.time("10:00")):
        assert (work.offers, work.refused, work.unanswered, work.unreachable) == (5, 2, 1, 2)


def test_after_a_crash_everybody_was_logged_out_as_of_the_last_fact() -> None:
    day = Day(Fold(Grid(HOUR)))
    day.tell(facts.ServerStarted("acd", "1"), at("08:00"))
    day.change("1001", "ready", at("10:30"))
    day.queue("a", at("10:40"))
    day.tell(facts.ServerStarted("acd", "1"), at("13:00"))
    day.tell(facts.CallEnded("a", "failed", "system", "crash"), at("13:00"))
    assert day.time("10:00").seconds == {"ready": 600}
    assert counts(day.calls("10:00")) == (1, 0, 0, 0, 1, 0)
    day.tell(facts.AgentChanged("1001", "ready", "logged_out", lasted=9000.0), at("13:00"))
    assert [interval.start for interval in day.fold.intervals(at("14:00")) if interval.agents] == [
        at("10:00"),
        at("13:00"),
    ]
    assert day.time("13:00").seconds == {}


def test_the_end_of_a_run_logs_everybody_out() -> None:
    day = Day(Fold(Grid(HOUR)))
    day.change("1001", "ready", at("10:30"))
    day.tell(facts.ServerStopped("acd"), at("10:50"))
    assert day.fold.intervals(at("12:00"))[0].agents["1001"].seconds == {"ready": 1200}


def test_a_clock_that_steps_back_counts_no_time_twice() -> None:
    day = Day(Fold(Grid(HOUR)))
    day.change("1001", "ready", at("10:30"))
    day.change("1001", "paused", at("10:40"))
    day.tell(facts.AgentChanged("1001", "paused", "ready", 60.0), at("10:35"))
    day.tell(facts.AgentChanged("1001", "ready", "logged_out", 600.0), at("10:45"))
    day.tell(facts.AgentChanged("1001", "logged_out", "ready", 60.0), at("10:44"))
    day.tell(facts.AgentChanged("1001", "ready", "paused", 360.0), at("10:50"))
    assert day.time("10:00").seconds == {"ready": 600 + 300 + 300}


def test_in_time_is_by_the_threshold_of_the_queue_in_force() -> None:
    document = '{"queues":[{"id":"sales","service_level_seconds":30,"name":"Sales"}],"agents":[]}'
    day = Day(Fold(policy=Policy({"sales": 10.0})))
    for call, waited in (("a", 10.0), ("b", 10.5)):
        day.queue(call, at("10:00"))
        day.answer(call, "1001", at("10:01"), waited)
    assert day.calls("10:00").answered_in_time == 1
    day.tell(facts.PolicyInstalled(2, document, "reload"), at("10:02"))
    for call, waited in (("c", 30.0), ("d", 31.0)):
        day.queue(call, at("10:03"))
        day.leave(call, at("10:04"), waited)
    assert day.calls("10:00").abandoned_in_time == 1


def test_a_policy_tells_who_serves_which_queue() -> None:
    policy = read_policy(
        '{"queues":[{"id":"sales"},{"id":"vip","service_level_seconds":5.0}],'
        '"agents":[{"id":"1001","queues":["sales",{"queue":"vip","level":2}]},{"id":"1002","queues":["sales"]}]}'
    )
    assert policy.members == {"sales": ("1001", "1002"), "vip": ("1001",)}
    assert (policy.threshold("sales"), policy.threshold("vip"), policy.threshold("unknown")) == (15.0, 5.0, 15.0)


def test_waits_are_told_apart_by_the_thresholds() -> None:
    day = Day(Fold(thresholds=(20.0, 0.0, 10.0, 10.0)))
    assert day.fold.thresholds == (0.0, 10.0, 20.0)
    for number, waited in enumerate((0.0, 0.1, 10.0, 20.0, 20.1)):
        day.queue(f"a{number}", at("10:00"))
        day.answer(f"a{number}", "1001", at("10:01"), waited)
        day.queue(f"b{number}", at("10:00"))
        day.leave(f"b{number}", at("10:01"), waited)
    assert day.calls("10:00").answered_by == day.calls("10:00").abandoned_by == [1, 2, 1, 1]


def test_only_so_many_intervals_are_kept() -> None:
    day = Day(Fold(Grid(HOUR), keep=2))
    for hour in range(8, 14):
        day.queue(f"c{hour}", at(f"{hour}:30"))
    assert [interval.start for interval in day.fold.intervals()] == [at("12:00"), at("13:00")]


def test_facts_about_calls_that_are_not_known_are_counted() -> None:
    day = Day()
    day.leave("a", at("10:00"), 1.0)
    day.tell(facts.TalkEnded("b", "1001", "sales", 1.0), at("10:00"))
    assert day.fold.ignored == 2
    assert day.interval("10:00").queues == {}


def test_tallies_add_up() -> None:
    day = Day()
    day.change("1001", "ready", at("10:00"))
    for call, clock, waited in (("a", "10:01", 3.0), ("b", "10:20", 40.0)):
        day.queue(call, at(clock))
        day.answer(call, "1001", at(clock) + waited, waited)
        day.part(call, "1001", at(clock) + 100, talked=60.0)
    day.change("1001", "logged_out", at("10:40"))
    whole = Day(Fold(Grid(WHOLE)))
    for fact, when in day.told:
        whole.tell(fact, when)
    calls, time = Calls(len(day.fold.thresholds)), Time()
    for interval in day.fold.intervals():
        for queue in interval.queues.values():
            calls.add(queue)
        time.add(interval.agents["1001"])
    (one,) = whole.fold.intervals()
    for mine, its in ((calls, one.queues["sales"]), (time, one.agents["1001"])):
        names = [name for kind in type(its).__mro__[:-1] for name in vars(kind)["__slots__"]]
        assert {name: getattr(mine, name) for name in names} == {name: getattr(its, name) for name in names}
