"""What handset and first hop agree on before the handset registers (RFC 3329, TS 24.229 section 5.2.2)."""

from __future__ import annotations

from typing import Any

import pytest

from ims_core.errors import ExtensionRequired, SecurityAgreementRequired, SipError
from ims_core.flow import Flow
from ims_core.messages.message import Request
from ims_core.roles.secagree import Mechanism, SecurityAgreement, drop_option
from tests.kit.edge import HOME, PCSCF, PUBLIC, Edge, Handset

rfc = pytest.mark.rfc
ASKS = {"Require": "sec-agree", "Proxy-Require": "sec-agree"}
PLAIN = Flow("UDP", PCSCF, ("198.51.100.7", 5060))
SECURE = Flow("TLS", PCSCF, ("198.51.100.7", 5060), 1)
OURS = "tls;q=0.9"


def register(**fields: str) -> Request:
    request = Request("REGISTER", f"sip:{HOME}")
    for name, value in fields.items():
        request.add(name.replace("_", "-"), value)
    return request


def asked(**fields: str) -> Request:
    return register(**{"Require": "sec-agree", "Proxy_Require": "sec-agree", **fields})


def refusal(request: Request, flow: Flow, agreement: SecurityAgreement | None = None) -> SipError:
    with pytest.raises(SipError) as refused:
        (agreement or SecurityAgreement()).judge(request, flow)
    return refused.value


@rfc("3329-2.3.1")
@pytest.mark.parametrize("client", ["tls", "digest, tls;q=0.2", "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1, TLS"])
def test_who_asks_in_the_clear_is_told_what_to_choose_from(client: str) -> None:
    error = refusal(asked(Security_Client=client), PLAIN)
    assert isinstance(error, SecurityAgreementRequired)
    assert error.status == 494
    assert error.headers == (("Security-Server", OURS),)


@rfc("3329-2.3.1", "TS24.229-5.2.2.4")
def test_who_comes_by_tls_is_told_with_the_challenge_and_repeats_it() -> None:
    agreement = SecurityAgreement()
    assert agreement.judge(asked(Security_Client="tls"), SECURE) == OURS
    assert agreement.judge(asked(Security_Client="tls", Security_Verify=" TLS ; q=0.9"), SECURE) == OURS


@rfc("3329-2.3.1", "3329-4")
@pytest.mark.parametrize(
    "verify", ["tls", "tls;q=0.8", "tls;q=0.9, ipsec-3gpp", "ipsec-3gpp", "digest;q=0.9", "tls;q=0.9;d-alg=MD5", ""]
)
def test_a_list_that_was_changed_on_its_way_is_refused(verify: str) -> None:
    error = refusal(asked(Security_Client="tls", Security_Verify=verify), SECURE)
    assert error.status == 494
    assert error.headers == (("Security-Server", OURS),)


@rfc("3329-2.3.1")
def test_the_right_list_without_the_security_is_refused() -> None:
    assert refusal(asked(Security_Client="tls", Security_Verify=OURS), PLAIN).status == 494


@rfc("3329-2.3.1", "TS24.229-5.2.2.2")
@pytest.mark.parametrize("flow", [PLAIN, SECURE])
def test_ipsec_is_refused_clearly(flow: Flow) -> None:
    told: list[tuple[Flow, list[str]]] = []
    agreement = SecurityAgreement(host="pcscf.example")
    agreement.on_refused = lambda *event: told.append(event)
    client = "ipsec-3gpp;alg=hmac-md5-96;prot=esp;mod=trans;ealg=null;spi-c=1;spi-s=2;port-c=5062;port-s=5064"
    error = refusal(asked(Security_Client=client), flow, agreement)
    assert error.status == 494
    warning = '399 pcscf.example "Of the security mechanisms only tls is served here"'
    assert error.headers == (("Security-Server", OURS), ("Warning", warning))
    assert told == [(flow, ["ipsec-3gpp"])]


@rfc("3329-2.3.2")
def test_an_agreement_may_be_demanded_of_everybody() -> None:
    error = refusal(register(), PLAIN, SecurityAgreement(required=True))
    assert isinstance(error, ExtensionRequired)
    assert error.headers == (("Require", "sec-agree"), ("Security-Server", OURS))
    assert SecurityAgreement(required=True).judge(asked(Security_Client="tls"), SECURE) == OURS


@rfc("3329-2.2")
@pytest.mark.parametrize("client", ["tls", "ipsec-3gpp", "nonsense;;=", ""])
def test_what_is_only_offered_may_be_passed_over(client: str) -> None:
    assert SecurityAgreement().judge(register(Security_Client=client), PLAIN) == ""


def test_without_mechanisms_the_extension_is_unknown() -> None:
    agreement = SecurityAgreement(())
    request = asked(Security_Client="tls")
    assert agreement.judge(request, PLAIN) == ""
    agreement.cleanse(request)
    assert request.values("Proxy-Require") == ["sec-agree"], "which the proxy refuses with 420"


@rfc("3329-2.3.1")
def test_what_was_for_this_hop_goes_no_further() -> None:
    request = asked(Security_Client="tls", Security_Verify=OURS)
    request.set("Require", "path, Sec-Agree")
    SecurityAgreement().cleanse(request)
    assert request.lines == ["Require: path"]
    drop_option(request, "Require", "unknown")
    assert request.lines == ["Require: path"]


class Associations:
    """A manager of security associations as another might write one."""

    def __init__(self) -> None:
        self.set_up: list[tuple[bytes, bytes]] = []

    def offer(self, wanted: Mechanism, request: Request, flow: Flow) -> str:
        return f"ipsec-3gpp;q=0.1;alg={wanted.params['alg']};spi-c=3;spi-s=4;port-c=5064;port-s=5066"

    def offered(self, flow: Flow) -> str:
        return "ipsec-3gpp;q=0.1;alg=hmac-sha-1-96;spi-c=3;spi-s=4;port-c=5064;port-s=5066" if self.set_up else ""

    def establish(self, request: Request, flow: Flow, ck: bytes, ik: bytes) -> None:
        self.set_up.append((ck, ik))

    def protects(self, flow: Flow) -> bool:
        return bool(self.set_up)


@rfc("TS24.229-5.2.2.2", "3329-2.3.1")
def test_a_manager_of_associations_finds_all_that_it_needs() -> None:
    associations = Associations()
    edge = Edge(agreement=SecurityAgreement(("ipsec-3gpp",), associations=associations))
    handset = Handset(edge.network, "ue1")
    client = ("Security-Client", "ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1;spi-s=2;port-c=5062;port-s=5064")
    asks = [client, *ASKS.items(), ("Authorization", f'Digest username="u", realm="{HOME}", nonce="", response=""')]
    handset.ask("REGISTER", f"sip:{HOME}", to=f"<{PUBLIC}>", headers=asks)
    request = edge.at_core()
    assert "Security-Client" not in request
    assert "Proxy-Require" not in request
    challenge = f'Digest realm="{HOME}", nonce="n", algorithm=AKAv1-MD5, ck="{"0c" * 16}", ik="{"01" * 16}"'
    edge.answer(401, headers=[("WWW-Authenticate", challenge)])
    assert associations.set_up == [(b"\x0c" * 16, b"\x01" * 16)]
    (server,) = handset.last.whole_values("Security-Server")
    verify = [*asks[:3], ("Security-Verify", server), ("Authorization", asks[3][1].replace('nonce=""', 'nonce="n"'))]
    handset.ask("REGISTER", f"sip:{HOME}", to=f"<{PUBLIC}>", headers=verify)
    assert edge.at_core().whole_values("Authorization")[0].endswith('integrity-protected="yes"')


def test_ipsec_needs_a_manager() -> None:
    with pytest.raises(ValueError, match="security associations"):
        SecurityAgreement(("tls", "ipsec-3gpp"))


@rfc("3329-2.3.1", "TS24.229-5.2.6.3.1")
@pytest.mark.parametrize(("verify", "status"), [(OURS, 200), ("tls;q=0.1", 494)])
def test_a_registered_handset_repeats_the_list_in_each_request(verify: str, status: int) -> None:
    edge = Edge(agreement=SecurityAgreement(required=True))
    handset = Handset(edge.network, "ue1", "TLS")
    headers: list[Any] = [*ASKS.items(), ("Security-Client", "tls"), ("Security-Verify", OURS)]
    edge.register(handset, headers=headers)
    handset.ask("MESSAGE", f"sip:bob@{HOME}", headers=[*ASKS.items(), ("Security-Verify", verify)])
    if status == 200:
        assert "Security-Verify" not in edge.at_core()
        edge.answer(200)
    assert handset.last.status == status
