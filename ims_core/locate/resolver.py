"""From a URI to servers, without I/O: questions out, answers in (RFC 3263 section 4).

resolver.resolve(uri, done)        done(servers) is called, at once when all is known already
ask(question)                      what the shell must find out: it calls ``answer`` exactly once for each
resolver.answer(question, answer)  lets go on whatever waited for it
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence

from ims_core.flow import SECURE, Address
from ims_core.locate.cache import Cache
from ims_core.locate.ordering import MOST_SERVERS, SRV_NAMES, in_order, usable
from ims_core.locate.records import Answer, Kind, Naptr, Question, Server, Srv
from ims_core.messages.uri import Uri, is_ip_address

MOST_OPEN = 1000  # questions that may wait for an answer
ADDRESSES_EACH = 4  # of one host

Done = Callable[[Sequence[Server]], None]
Published = list[tuple[str, list[Srv]]]
"""The servers that a domain publishes for each transport, in the order to try them."""

Steps = Generator[Sequence[Question], Sequence[Answer], list[Server]]

DEFAULT_PORTS = {"UDP": 5060, "TCP": 5060, "TLS": 5061}


class Resolver:
    """Finds the servers of URIs by way of NAPTR, SRV and address records.

    ``listeners`` say which transports and which versions of IP can be used, those preferred first. ``number(n)`` is a
    random number below n. Until ``ask`` is set no name is looked up. ``outcomes`` counts answers by kind and outcome.
    """

    def __init__(
        self, listeners: Iterable[tuple[str, Address]], *, clock: Callable[[], float], number: Callable[[int], int]
    ) -> None:
        self.ask: Callable[[Question], None] | None = None
        self.cache = Cache()
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self._clock = clock
        self._number = number
        self._kinds: dict[str, list[Kind]] = {}
        for transport, (host, _) in listeners:
            kinds = self._kinds.setdefault(transport, [])
            kind: Kind = "AAAA" if ":" in host else "A"
            if kind not in kinds:
                kinds.append(kind)
        self._waiting: dict[Question, list[_Search]] = {}

    @property
    def open_questions(self) -> int:
        """How many answers are awaited."""
        return len(self._waiting)

    def can_find(self, uri: Uri) -> bool:
        """Whether ``uri`` may have servers that we can reach: its transport, if it names one, has a listener."""
        if self.ask is None and not is_ip_address(_target(uri)):
            return False
        if uri.scheme == "sips":
            return uri.transport in SECURE and not SECURE.isdisjoint(self._kinds)
        return uri.transport in self._kinds if "transport" in uri.params or uri.port is not None else True

    def resolve(self, uri: Uri, done: Done) -> None:
        """Find the servers of ``uri``, best first; none when there are none or nobody could say."""
        self._go_on(_Search(self._steps(uri), done), None)

    def answer(self, question: Question, answer: Answer) -> None:
        """Take what the shell found out."""
        self.outcomes[question.kind, answer.outcome] += 1
        self.cache.put(question, answer, self._clock())
        for search in self._waiting.pop(question, ()):
            search.known[question] = answer
            search.missing -= 1
            if not search.missing:
                self._go_on(search, [search.known[wanted] for wanted in search.wanted])

    # Inside -------------------------------------------------------------------------------------------------

    def _go_on(self, search: _Search, answers: Sequence[Answer] | None) -> None:
        """Take steps until one needs an answer that is not there."""
        try:
            while True:
                search.wanted = search.steps.send(answers)  # type: ignore[arg-type]  # None to begin with
                now = self._clock()
                known = {question: self.cache.get(question, now) for question in search.wanted}
                search.known = {question: answer for question, answer in known.items() if answer is not None}
                missing = [question for question, answer in known.items() if answer is None]
                search.missing = len(missing)
                if missing:
                    break
                answers = [search.known[question] for question in search.wanted]
        except StopIteration as finished:
            search.done(finished.value)
            return
        for question in missing:
            self._waiting.setdefault(question, []).append(search)
        for question in missing:
            self._ask(question, first=self._waiting.get(question) == [search])

    def _ask(self, question: Question, *, first: bool) -> None:
        """Ask unless somebody has asked the same already."""
        if not first:
            return
        if self.ask is None or len(self._waiting) > MOST_OPEN:
            self.answer(question, Answer(failed=True))
        else:
            self.ask(question)

    def _steps(self, uri: Uri) -> Steps:
        """Do as section 4 says."""
        target = _target(uri)
        is_sips = uri.scheme == "sips"
        transport = uri.transport if uri.params.get("transport") else ""
        if is_ip_address(target):
            return [self._server(transport or ("TLS" if is_sips else "UDP"), target, uri.port, uri.host)]
        if uri.port is not None:
            # 4.1: no transport but a port: "UDP for a SIP URI, and TCP for a SIPS URI", which is over TLS
            return (yield from self._addresses(transport or ("TLS" if is_sips else "UDP"), target, uri.port, uri.host))
        if transport:
            found = yield from self._published([transport], target)
        else:
            found = yield from self._by_service(target, is_sips=is_sips)
        if not found:  # 4.1, 4.2: no SRV records at all
            return (yield from self._addresses(transport or ("TLS" if is_sips else "UDP"), target, None, uri.host))
        return (yield from self._hosts(found, uri.host))

    def _by_service(self, target: str, *, is_sips: bool) -> Generator[Sequence[Question], Sequence[Answer], Published]:
        """Find by NAPTR what transports the domain has, or by the SRV records that it has (4.1)."""
        (naptr,) = yield [Question("NAPTR", target)]
        records = [record for record in naptr.records if isinstance(record, Naptr)]
        services = usable(records, self._kinds, secure=is_sips)
        if services:
            return (yield from self._srv(services))
        usual = [transport for transport in self._kinds if transport in (SECURE if is_sips else SRV_NAMES)]
        return (yield from self._published(usual, target))[:1]  # the first of ours that the domain has

    def _published(
        self, transports: Sequence[str], target: str
    ) -> Generator[Sequence[Question], Sequence[Answer], Published]:
        """Find SRV records under their usual names."""
        return self._srv([(name, f"{SRV_NAMES[name]}.{target}") for name in transports if name in SRV_NAMES])

    def _srv(self, services: Sequence[tuple[str, str]]) -> Generator[Sequence[Question], Sequence[Answer], Published]:
        """Return the servers of those services that have any, in their order."""
        answers = (yield [Question("SRV", name) for _, name in services]) if services else ()
        published = [
            (transport, [record for record in answer.records if isinstance(record, Srv)])
            for (transport, _), answer in zip(services, answers, strict=True)
        ]
        return [(transport, in_order(records, self._number)) for transport, records in published if records]

    def _hosts(self, published: Published, domain: str) -> Steps:
        """Go from SRV records to addresses (4.2)."""
        servers: list[Server] = []
        named = [(transport, record) for transport, records in published for record in records if record.target]
        del named[MOST_SERVERS:]
        questions = [Question(kind, record.target) for transport, record in named for kind in self._kinds[transport]]
        answers = dict(zip(questions, (yield questions), strict=True)) if questions else {}
        for transport, record in named:
            for kind in self._kinds[transport]:
                hosts = answers[Question(kind, record.target)].records[:ADDRESSES_EACH]
                servers.extend(self._server(transport, str(host), record.port, domain) for host in hosts)
        return servers[:MOST_SERVERS]

    def _addresses(self, transport: str, name: str, port: int | None, domain: str) -> Steps:
        """Look up a host (4.2)."""
        kinds = self._kinds.get(transport, ())
        answers = (yield [Question(kind, name) for kind in kinds]) if kinds else ()
        return [
            self._server(transport, str(host), port, domain)
            for answer in answers
            for host in answer.records[:ADDRESSES_EACH]
        ]

    @staticmethod
    def _server(transport: str, host: str, port: int | None, domain: str) -> Server:
        name = domain if transport in SECURE and not is_ip_address(domain) else ""
        return Server(transport, host, port or DEFAULT_PORTS.get(transport, 5060), name)


def _target(uri: Uri) -> str:
    """Return the host to look for: ``maddr`` says so in place of the host (section 4)."""
    return uri.params.get("maddr", "").strip("[]").lower() or uri.host


class _Search:
    """One walk through the records, and the step that it waits for."""

    __slots__ = ("done", "known", "missing", "steps", "wanted")

    def __init__(self, steps: Steps, done: Done) -> None:
        self.steps = steps
        self.done = done
        self.wanted: Sequence[Question] = ()
        self.known: dict[Question, Answer] = {}
        self.missing = 0
