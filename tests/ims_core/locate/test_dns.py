"""Questions to a nameserver over real UDP."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from ims_core.locate import dns
from ims_core.locate.dns import HOSTS_SECONDS, Dns
from ims_core.locate.records import Answer, Kind, Naptr, Question, Srv
from tests.kit.dns import Nameserver

ZONE = """
@ 300 IN NAPTR 20 10 "s" "SIP+D2U" "" _sip._udp
@ 200 IN NAPTR 10 10 "S" "SIP+D2T" "" _sip._tcp.LAB.example.
_sip._udp 120 IN SRV 1 2 5060 one
_sip._udp 120 IN SRV 2 0 5062 .
one 60 IN A 192.0.2.1
one 60 IN A 192.0.2.2
one 60 IN AAAA 2001:db8::1
alias 50 IN CNAME one
void 60 IN TXT "nothing for SIP"
"""


def ask(
    *questions: tuple[Kind, str],
    nameserver: Nameserver | None,
    hosts: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}

    async def main() -> None:
        known = asyncio.Event()

        def answered(question: Question, answer: Answer) -> None:
            assert str(question) not in answers, "one answer for each question"
            answers[str(question)] = answer
            if len(answers) == len(questions):
                known.set()

        nameservers = [nameserver.address] if nameserver is not None else []
        lookups = Dns(answered, nameservers=nameservers, hosts=hosts or {})
        for kind, name in questions:
            lookups.ask(Question(kind, name))
        assert not answers, "none comes before the question has been asked"
        async with asyncio.timeout(20):
            await known.wait()
        await lookups.close()

    asyncio.run(main())
    return answers


@pytest.mark.rfc("2782", "3403-4")
def test_records_of_each_kind() -> None:
    with Nameserver("lab.example", ZONE) as nameserver:
        answers = ask(
            ("NAPTR", "lab.example"),
            ("SRV", "_sip._udp.lab.example"),
            ("A", "one.lab.example"),
            ("AAAA", "one.lab.example"),
            ("A", "alias.lab.example"),
            nameserver=nameserver,
        )
    assert set(answers["lab.example NAPTR"].records) == {
        Naptr(10, 10, "S", "SIP+D2T", "_sip._tcp.lab.example"),
        Naptr(20, 10, "s", "SIP+D2U", "_sip._udp.lab.example"),
    }
    srv = answers["_sip._udp.lab.example SRV"]
    assert set(srv.records) == {Srv(1, 2, 5060, "one.lab.example"), Srv(2, 0, 5062, "")}
    assert srv.ttl == 120
    assert set(answers["one.lab.example A"].records) == {"192.0.2.1", "192.0.2.2"}
    assert answers["one.lab.example AAAA"].records == ("2001:db8::1",)
    alias = answers["alias.lab.example A"]
    assert (set(alias.records), alias.ttl) == ({"192.0.2.1", "192.0.2.2"}, 50)


@pytest.mark.rfc("2308-5")
def test_no_such_name_and_no_such_record() -> None:
    with Nameserver("lab.example", ZONE) as nameserver:
        answers = ask(("A", "nobody.lab.example"), ("A", "void.lab.example"), nameserver=nameserver)
    assert set(answers.values()) == {Answer((), 60)}, "for as long as the SOA says"


def test_a_nameserver_in_trouble_and_one_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns, "TRY_SECONDS", 0.05)
    monkeypatch.setattr(dns, "LOOKUP_SECONDS", 0.5)
    with Nameserver("lab.example", ZONE) as nameserver:
        nameserver.broken.add("one.lab.example")
        nameserver.silent.add("two.lab.example")
        answers = ask(("A", "one.lab.example"), ("A", "two.lab.example"), nameserver=nameserver)
    assert set(answers.values()) == {Answer(failed=True)}
    assert nameserver.asked.count("A two.lab.example") > 1, "asked again, until the time is over"


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "..", "x." * 200 + "example"])
def test_what_is_no_name_of_the_dns_fails(name: str) -> None:
    assert ask(("A", name), nameserver=None) == {f"{name} A": Answer(failed=True)}


def test_the_hosts_file_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "hosts"
    file.write_text("127.0.0.7 Desk desk.example # ours\n::7 desk\nnonsense here\n\n")
    monkeypatch.setattr(dns, "HOSTS", file)
    found: list[Answer] = []

    async def main() -> None:
        lookups = Dns(lambda _, answer: found.append(answer), nameservers=[])
        lookups.ask(Question("A", "desk"))
        lookups.ask(Question("AAAA", "desk"))
        await asyncio.sleep(0)
        await lookups.close()

    asyncio.run(main())
    assert found == [Answer(("127.0.0.7",), HOSTS_SECONDS), Answer(("::7",), HOSTS_SECONDS)]
