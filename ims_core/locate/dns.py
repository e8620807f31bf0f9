"""Asks nameservers what a resolver wants to know (RFC 1035), bounded in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog
from dns.asyncresolver import Resolver
from dns.exception import DNSException
from dns.message import QueryMessage
from dns.nameserver import Do53Nameserver
from dns.resolver import NXDOMAIN, NoResolverConfiguration

from ims_core.flow import Address
from ims_core.locate.records import Answer, Kind, Naptr, Question, Record, Srv
from ims_core.messages.uri import is_ip_address

TRY_SECONDS, LOOKUP_SECONDS = 1.0, 4.0  # for one nameserver to answer, and for all tries together
HOSTS_SECONDS = 3600.0  # for which what the hosts file says is good
HOSTS = Path("/etc/hosts")
PAYLOAD = 1232  # octets of a response by UDP

log = structlog.get_logger("sip")


class Dns:
    """Finds answers and hands them to ``answered``, one for each question.

    ``nameservers`` are tried in this order; None takes those of the system. ``hosts`` are addresses by name that need
    no nameserver, by default those in the hosts file of the system.
    """

    def __init__(
        self,
        answered: Callable[[Question, Answer], None],
        *,
        nameservers: Sequence[Address] | None = None,
        hosts: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._answered = answered
        self._hosts = _read_hosts(HOSTS) if hosts is None else hosts
        self._resolver = _resolver(nameservers)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, question: Question) -> None:
        """Find the answer; it does not come before this has returned."""
        known = self._hosts.get(question.name) if question.kind in {"A", "AAAA"} else None
        if known is not None:
            records = tuple(host for host in known if (":" in host) == (question.kind == "AAAA"))
            self._loop.call_soon(self._answered, question, Answer(records, HOSTS_SECONDS))
            return
        task = self._loop.create_task(self._look_up(question))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Wait for no more answers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look_up(self, question: Question) -> None:
        try:
            found = await self._resolver.resolve(
                question.name, question.kind, raise_on_no_answer=False, search=False, lifetime=LOOKUP_SECONDS
            )
            chain = found.chaining_result
            answer = Answer(_records(question.kind, chain.answer or ()), chain.minimum_ttl)
        except NXDOMAIN as error:
            answer = Answer((), _negative_ttl(error))
        except (DNSException, OSError, ValueError) as error:
            log.info("lookup.failed", question=str(question), reason=str(error) or type(error).__name__)
            answer = Answer(failed=True)
        self._answered(question, answer)


def _resolver(nameservers: Sequence[Address] | None) -> Resolver:
    resolver = Resolver(configure=False)
    if nameservers is None:
        try:
            resolver = Resolver()
        except NoResolverConfiguration:
            log.info("nameservers.missing")
    else:
        resolver.nameservers = [Do53Nameserver(host, port) for host, port in nameservers]
    resolver.timeout = TRY_SECONDS
    resolver.use_edns(0, payload=PAYLOAD)
    return resolver


def _records(kind: Kind, rrset: object) -> tuple[Record, ...]:
    """Convert records; names come in lower case without the dot at their end, so that the root is empty."""
    records: list[Record] = []
    for data in rrset:  # type: ignore[attr-defined]  # a set of what dnspython has a class for each kind
        match kind:
            case "NAPTR":
                flags, service = data.flags.decode("latin-1"), data.service.decode("latin-1")
                records.append(Naptr(data.order, data.preference, flags, service, _name(data.replacement)))
            case "SRV":
                records.append(Srv(data.priority, data.weight, data.port, _name(data.target)))
            case _:
                records.append(data.address)
    return tuple(records)


def _name(name: object) -> str:
    return str(name).rstrip(".").lower()


def _negative_ttl(error: NXDOMAIN) -> float:
    """Return for how long there is no such name (RFC 2308 section 5)."""
    responses = error.responses().values()  # type: ignore[no-untyped-call]
    ttls = [response.resolve_chaining().minimum_ttl for response in responses if isinstance(response, QueryMessage)]
    return float(min(ttls, default=0))


def _read_hosts(path: Path) -> dict[str, list[str]]:
    hosts: dict[str, list[str]] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return hosts
    for line in lines:
        host, *names = line.partition("#")[0].split() or [""]
        if is_ip_address(host):
            for name in names:
                hosts.setdefault(name.lower(), []).append(host)
    return hosts
