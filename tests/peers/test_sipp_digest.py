"""Digest with SIPp by each way at once: stale nonces, counts, what is protected, and which algorithms are offered."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ims_core.calls import Call
from ims_core.element import SERVICE
from ims_core.registrar.registrar import Registrar
from ims_core.roles.pcscf import Pcscf
from ims_core.roles.routing import ToService
from ims_core.security.credentials import Credentials
from ims_core.security.digest import DigestAuthenticator
from ims_core.trunks.registration import Account, Registration, State
from ims_core.ua.incoming import IncomingCall
from tests.peers.conftest import Bench
from tests.peers.kit import WAYS, Sipp
from tests.peers.kit.elements import OFFER, US, Here, here, succeed, until, uris
from tests.peers.test_kamailio_neighbour import lines

pytestmark = pytest.mark.peer("sipp")

EACH = len(WAYS)
SECRET = bytes(16)
OURS = Credentials("us", "demo")


@asynccontextmanager
async def registrar(bench: Bench, authenticator: DigestAuthenticator) -> AsyncIterator[tuple[Here, Registrar]]:
    async with here(bench) as us:
        element = us.element
        registrar = Registrar(element.domains, element.location, element.ids, authenticator=authenticator)
        element.register = registrar.handle
        yield us, registrar


def passwords(user: str) -> str | None:
    return "demo" if user in {way.name for way in WAYS} else None


def come(us: Here, scenario: str, password: str = "demo") -> list[Sipp]:
    """Have SIPp register the user that each way is named after."""
    return [
        us.bench.sipp(
            scenario,
            remote=us.at(way),
            way=way,
            keys={"caller": way.name},
            options=["-au", way.name, "-ap", password, "-auth_uri", f"{way.written}:{us.port}"],
        )
        for way in WAYS
    ]


@pytest.mark.rfc("7616-3.3", "7616-3.4", "3261-22.4")
async def test_a_stale_nonce_is_told_from_a_wrong_password_and_a_fresh_one_counts_on(bench: Bench) -> None:
    authenticator = DigestAuthenticator("ims.example", passwords, SECRET, nonce_lifetime=300)
    async with registrar(bench, authenticator) as (us, ours):
        # the first answer comes when the nonce of the first challenge has just become too old
        us.element.register = lambda request, flow, now: ours.handle(
            request, flow, now + 301 * (request.cseq.number > 1)
        )
        phones = come(us, "register_stale")
        await succeed(phones)
        assert [len(phone.said("stale")) for phone in phones] == [1] * EACH
        assert authenticator.verdicts() == {"accepted": 2 * EACH, "missing": EACH, "stale": EACH, "wrong": 0}


@pytest.mark.rfc("3261-22.4", "7616-3.4.1")
async def test_a_wrong_password_gets_challenge_after_challenge(bench: Bench) -> None:
    authenticator = DigestAuthenticator("ims.example", passwords, SECRET)
    async with registrar(bench, authenticator) as (us, _):
        await succeed(come(us, "register_refused", "wrong"))
        assert authenticator.verdicts() == {"accepted": 0, "missing": EACH, "stale": 0, "wrong": 2 * EACH}


@pytest.mark.rfc("7616-3.4.3", "3261-10.3")
async def test_the_body_is_protected_as_well_where_that_is_asked_for(bench: Bench) -> None:
    authenticator = DigestAuthenticator("ims.example", passwords, SECRET, qop=("auth-int",))
    async with registrar(bench, authenticator) as (us, _):
        phones = come(us, "register")
        await succeed(phones)
        assert all("expires=60" in phone.said("bound")[0] for phone in phones)
        assert authenticator.verdicts() == {"accepted": EACH, "missing": EACH, "stale": 0, "wrong": 0}


@pytest.mark.rfc("8760-2.4")
@pytest.mark.parametrize("offered", [("SHA-256", "MD5"), ("MD5",), ("SHA-512-256", "SHA-256", "MD5")], ids="-".join)
async def test_each_algorithm_is_a_challenge_the_preferred_one_first(bench: Bench, offered: tuple[str, ...]) -> None:
    authenticator = DigestAuthenticator("ims.example", passwords, SECRET, algorithms=offered)
    async with registrar(bench, authenticator) as (us, _):
        phones = us.come("register_challenged", options=["-trace_msg"])
        await succeed(phones)
        for phone in phones:
            challenges = lines(phone.heard("SIP/2.0 401")[0], "WWW-Authenticate")
            told = [found[1] for value in challenges if (found := re.fullmatch(r"algorithm=([\w-]+)", value))]
            assert tuple(told) == offered


@pytest.mark.rfc("3261-22.3", "3261-22.1")
async def test_who_calls_without_being_registered_is_challenged_by_the_proxy(bench: Bench) -> None:
    authenticator = DigestAuthenticator("ims.example", passwords, SECRET)
    called_by: set[str] = set()

    async def answer(call: Call) -> None:
        assert isinstance(call.session, IncomingCall)
        called_by.add(call.session.identity)
        await call.answer(OFFER)
        async for _ in call:
            pass

    async with registrar(bench, authenticator) as (us, _):
        element = us.element
        element.serve = answer
        edge = Pcscf(element.domains, element.location, authenticator=authenticator, is_trunk=lambda *_: False)
        element.route = lambda request, flow, now: ToService(SERVICE, edge.route(request, flow, now).identity)
        await succeed(come(us, "call_digest"))
        assert authenticator.verdicts() == {"accepted": EACH, "missing": EACH, "stale": 0, "wrong": 0}
        assert called_by == {way.name for way in WAYS}


@pytest.mark.rfc("3261-10.2.8", "3261-22.2", "3608-6.1")
async def test_we_register_with_sipp_answer_it_and_ask_for_as_long_as_it_wants(bench: Bench) -> None:
    """SIPp itself checks what our answers to its challenge are made of."""
    async with here(bench) as us:
        registrars = await us.waiting("registrar")
        changes: list[State] = []
        registrations = []
        for way, sipp in zip(WAYS, registrars, strict=True):
            server = way.uri("", sipp.port).replace("@", "")
            account = Account("sip:us@lab.example", "lab.example", (server,), OURS, "us", 600)
            registrations.append(Registration(us.ua, account, lambda it: changes.append(it.state), chance=lambda: 0.5))
            registrations[-1].start()
        us.flush()
        await until(lambda: changes.count(State.REGISTERED) == EACH, "all are registered")
        assert {registration.service_route for registration in registrations} == {("<sip:out.lab.example;lr>",)}
        for registration in registrations:
            registration.stop()
        us.flush()
        await succeed(registrars)
        assert [sipp.said("valid") for sipp in registrars] == [["true"] * 3] * EACH


@pytest.mark.rfc("3261-22.2", "7616-3.4.1")
async def test_we_answer_a_phone_that_asks_for_a_password(bench: Bench) -> None:
    async with here(bench) as us:
        agents = await us.waiting("agent_asks")
        for target in uris(agents):
            async with us.element.call(target, caller=US, sdp=OFFER, credentials=OURS) as call:
                await call.answered()
        await succeed(agents)
        assert [agent.said("valid") for agent in agents] == [["true"]] * EACH
