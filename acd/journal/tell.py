"""The explanation of a call's offers, for people."""

from __future__ import annotations

from collections.abc import Iterator

from acd.journal.explain import Candidate, Excluded, Explained, Routing

RELATIVE = frozenset(("longest_idle", "round_robin", "ordered", "random", "weighted_random"))
"""Policies whose figure says nothing by itself: told is by how much one is behind."""


def tell(routing: Routing) -> str:
    """Return the explanation as a page of text."""
    ended = f"ended: {routing.outcome}" if routing.outcome else "under way"
    when = f"{routing.arrived:%Y-%m-%d %H:%M:%S} UTC"
    lines = [
        f"Call {routing.id}",
        f"  {routing.caller or 'anonymous'} dialled {routing.dialled} at {when}; {ended}",
    ]
    if not routing.offers:
        lines += ["", "  No agent was offered this call."]
    for number, offer in enumerate(routing.offers, 1):
        lines += ["", *_offer(number, len(routing.offers), offer)]
    return "\n".join(lines)


def _offer(number: int, total: int, offer: Explained) -> Iterator[str]:
    result = offer.result or "not decided yet"
    after = f" after {offer.result_seconds:.1f} s" if offer.result_seconds is not None else ""
    when = f"{offer.at:%H:%M:%S}.{offer.at.microsecond // 1000:03d}"
    yield f"{when}  Offer {number} of {total}: {offer.agent}, {result}{after}"
    sought = "the caller sought an agent" if offer.sought == "agent" else "the agent sought a caller"
    ring = "waiting for the preferred agent" if offer.ring < 0 else f"ring {offer.ring}"
    waiting = _number(offer.waiting, "caller")
    yield f"    queue {offer.queue}, waited {offer.waited_seconds:.1f} s, {waiting} waiting, {ring}; {sought}"
    wanted = [f"{skill} {level}" for skill, level in sorted(offer.required.items())]
    wished = [f"{skill} {level}" for skill, level in sorted(offer.preferred.items())]
    needs = [f"required {', '.join(wanted)}"] if wanted else []
    needs += [f"preferred {', '.join(wished)}"] if wished else []
    by = ", then ".join(offer.strategy)
    yield f"    policy {offer.policy}: by {by}" + (f"; {'; '.join(needs)}" if needs else "")
    many = len(offer.callers) > 1
    if offer.sought == "agent":
        yield f"    {_number(offer.could, 'agent')} could take it:"
    else:
        yield f"    {offer.agent} had become free" + (", and these were first in their lines:" if many else "")
    people: list[Candidate | Excluded] = [*offer.candidates, *offer.excluded]
    width = max(len(_called(person)) for person in people) + 2
    best = offer.candidates[0]
    for candidate in offer.candidates if offer.sought == "agent" else ():
        mark = "->" if candidate.chosen else "  "
        yield f"     {mark} {_person(candidate, width)}{_compared(candidate, best)}"
    for rival in offer.callers if many else ():
        mark = "->" if rival.chosen else "  "
        rank = f"priority {rival.priority:g}, {rival.weighted_wait_seconds:.1f} s by weight"
        yield f"     {mark} call {rival.call}: {rank}"
    unnamed = offer.could - len(offer.candidates)
    if unnamed > 0 and offer.sought == "agent":
        yield f"        and {unnamed} more"
    if offer.excluded:
        yield "    the others:"
        for person in offer.excluded:
            yield f"        {_person(person, width)}{_why(person)}"


def _compared(candidate: Candidate, best: Candidate) -> str:
    """Tell the scores: plainly, or by how much they are behind the best one's."""
    told = []
    for policy, score in candidate.score.items():
        if policy not in RELATIVE:
            told.append(f"{policy} {score:g}")
        elif candidate is best:
            told.append(f"first by {policy}")
        else:
            told.append(f"{policy} +{score - best.score.get(policy, 0.0):.1f}")
    return ", ".join(told)


def _why(person: Excluded) -> str:
    for_ = f" for {_duration(person.seconds)}" if person.seconds is not None else ""
    return f"{person.why}{for_}" + (f" (call {person.call})" if person.call else "")


def _person(person: Candidate | Excluded, width: int) -> str:
    return _called(person).ljust(width)


def _called(person: Candidate | Excluded) -> str:
    return f"{person.agent} ({person.name})" if person.name and person.name != person.agent else person.agent


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _number(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
