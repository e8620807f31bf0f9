"""Two layers of TLS against each other in memory, and what a certificate proves."""

import contextlib
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ims_core.flow import Flow
from ims_core.transport.identity import identities, stands_for
from ims_core.transport.tls import (
    CERTIFICATE,
    FAILURES,
    NAME,
    NO_CERTIFICATE,
    NO_TLS,
    OUR_CERTIFICATE,
    VERSION,
    HandshakeFailed,
    Tls,
    TlsError,
    TlsLayer,
    TlsSettings,
)
from tests.kit.certificates import Authority

rfc = pytest.mark.rfc
TO_DOMAIN = Flow("TLS", ("127.0.0.1", 5061), ("127.0.0.1", 5071), server_name="ims.example")
TO_ADDRESS = TO_DOMAIN._replace(server_name="")


def shake_hands(client: TlsLayer, server: TlsLayer, *, piece: int = 100_000) -> tuple[bytes, bytes]:
    """Carry bytes between the two until neither has any; returns what client and server were told."""
    heard = {client: b"", server: b""}
    client.start()
    busy = True
    while busy:
        busy = False
        for sender, receiver in ((client, server), (server, client)):
            data = sender.data_to_send()
            busy = busy or bool(data)
            for start in range(0, len(data), piece):
                heard[receiver] += receiver.receive(data[start : start + piece])
    return heard[client], heard[server]


@rfc("3261-26.3.1")
@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_what_one_sends_the_other_gets(authority: Authority, piece: int) -> None:
    client = authority.tls("client.example").opening(TO_DOMAIN)
    server = authority.tls("ims.example").accepting()
    assert shake_hands(client, server, piece=piece) == (b"", b"")
    assert client.established
    assert server.established
    client.send(b"OPTIONS")
    server.send(b"x" * 70_000)
    assert shake_hands(client, server, piece=piece) == (b"x" * 70_000, b"OPTIONS")
    client.close()
    assert server.receive(client.data_to_send()) == b""
    assert server.closed


def failure(client: TlsLayer, server: TlsLayer) -> tuple[str, str]:
    """Why the handshake fails, as the first and then as the other side sees it."""
    with pytest.raises(HandshakeFailed) as first:
        shake_hands(client, server)
    for sender, receiver in ((client, server), (server, client)):
        if alert := sender.data_to_send():
            try:
                receiver.receive(alert)
            except HandshakeFailed as second:
                return first.value.reason, second.reason
    return first.value.reason, ""


@rfc("5922-7.2")
@pytest.mark.parametrize("name", ["*.example", "sub.ims.example", "example", "other.example"])
def test_a_server_with_a_certificate_for_another_name_is_refused(authority: Authority, name: str) -> None:
    client, server = authority.tls("client.example").opening(TO_DOMAIN), authority.tls(name).accepting()
    assert failure(client, server)[0] == NAME
    assert not client.established


@rfc("5922-7.1")
def test_a_server_named_by_its_address_must_prove_the_address(authority: Authority) -> None:
    client, server = authority.tls("client.example").opening(TO_ADDRESS), authority.tls("127.0.0.1").accepting()
    shake_hands(client, server)
    assert client.established
    client, server = authority.tls("client.example").opening(TO_ADDRESS), authority.tls("127.0.0.2").accepting()
    assert failure(client, server)[0] == NAME


@pytest.mark.parametrize(("to", "named"), [(TO_DOMAIN, "ims.example"), (TO_ADDRESS, None)])
def test_a_server_is_told_which_of_its_names_is_meant(authority: Authority, to: Flow, named: str | None) -> None:
    """RFC 6066 section 3 (SNI): by it a server of several domains chooses its certificate; addresses are not named."""
    client, server = authority.tls("client.example").opening(to), authority.tls("ims.example", "127.0.0.1").accepting()
    told: list[str | None] = []
    server._object.context.sni_callback = lambda _, name, __: told.append(name)
    shake_hands(client, server)
    assert client.established
    assert told == [named]


def test_strangers_are_refused_and_told_so(authority: Authority, tmp_path: Path) -> None:
    client = Authority(tmp_path).tls("client.example").opening(TO_DOMAIN)
    assert failure(client, authority.tls("ims.example").accepting()) == (CERTIFICATE, OUR_CERTIFICATE)


def test_peers_are_not_verified_where_nobody_wants_it(authority: Authority, tmp_path: Path) -> None:
    client = Authority(tmp_path).tls("client.example", verify_peers=False).opening(TO_DOMAIN)
    shake_hands(client, authority.tls("other.example").accepting())
    assert client.established


@rfc("3261-26.3.1")
@pytest.mark.parametrize("demand", ["none", "optional", "required"])
def test_clients_show_certificates_as_demanded(authority: Authority, tmp_path: Path, demand: str) -> None:
    server = authority.tls("ims.example", client_certificates=demand)
    known, stranger = authority.tls("phone.example", "192.0.2.7"), Authority(tmp_path).tls("phone.example")
    bare = TlsLayer(_without_certificate(authority), server_side=False, host="ims.example", named=True)

    layer = server.accepting()
    shake_hands(known.opening(TO_DOMAIN), layer)
    assert layer.peer_names == (frozenset() if demand == "none" else {"phone.example", "192.0.2.7"})
    if demand == "none":
        shake_hands(bare, server.accepting())
        return
    layer = server.accepting()
    if demand == "optional":
        shake_hands(bare, layer)
        assert (layer.established, layer.peer_names) == (True, frozenset())
    else:
        assert failure(bare, layer) == (NO_CERTIFICATE, NO_CERTIFICATE)
    distrustful = stranger.opening(TO_DOMAIN)
    distrustful._object.context.load_verify_locations(str(authority.file))
    assert failure(distrustful, server.accepting()) == (CERTIFICATE, OUR_CERTIFICATE)


def _without_certificate(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(str(authority.file))
    return context


@rfc("8996-5")
def test_versions_before_1_2_are_refused(authority: Authority) -> None:
    context = _without_certificate(authority)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    client = TlsLayer(context, server_side=False, host="ims.example", named=True)
    assert failure(client, authority.tls("ims.example").accepting()) == (VERSION, VERSION)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", NO_TLS),
        (b"OPTIONS sip:a@b SIP/2.0\r\n\r\n", NO_TLS),
        (b"\x16\x03\x01\xff\xff" + b"x" * 70_000, NO_TLS),
    ],
)
def test_other_protocols_are_told_apart(authority: Authority, data: bytes, reason: str) -> None:
    with pytest.raises(HandshakeFailed) as failed:
        authority.tls("ims.example").accepting().receive(data)
    assert failed.value.reason == reason
    assert str(failed.value).startswith(FAILURES[reason])


@pytest.fixture(scope="module")
def anybody(authority: Authority) -> Tls:
    return authority.tls("ims.example")


@given(st.binary(max_size=300))
def test_any_bytes_are_waited_for_or_fail(anybody: Tls, data: bytes) -> None:
    layer = anybody.accepting()
    with contextlib.suppress(HandshakeFailed):
        assert layer.receive(data) == b""
    assert not layer.established


# Files ------------------------------------------------------------------------------------------------------------


def test_files_are_read_again_and_bad_ones_change_nothing(authority: Authority, tmp_path: Path) -> None:
    file = tmp_path / "server.pem"
    file.write_bytes(authority.issue("old.example").read_bytes())
    server = Tls(TlsSettings(str(file), "", ca=str(authority.file)))
    client = authority.tls("client.example")

    def accepted(name: str) -> bool:
        try:
            shake_hands(client.opening(TO_DOMAIN._replace(server_name=name)), server.accepting())
        except HandshakeFailed:
            return False
        return True

    assert accepted("old.example")
    file.write_text("no certificate any more")
    with pytest.raises(TlsError, match=r"server\.pem"):
        server.reload()
    assert accepted("old.example")
    file.write_bytes(authority.issue("new.example").read_bytes())
    server.reload()
    assert accepted("new.example")
    assert not accepted("old.example")


def test_what_is_wrong_with_files_is_said(authority: Authority, tmp_path: Path) -> None:
    good, other = authority.issue("ims.example"), authority.issue("ims.example")
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
    for certificate, key, ca, said in (
        (tmp_path / "missing.pem", "", "", "missing.pem: No such file"),
        (empty, "", "", "empty.pem"),
        (good, other, "", "key values mismatch"),
        (good, "", empty, "no certificates of authorities in .*empty.pem"),
        (good, encrypted, "", "encrypted.pem"),
    ):
        with pytest.raises(TlsError, match=said):
            Tls(TlsSettings(str(certificate), str(key), ca=str(ca)))


# Names ------------------------------------------------------------------------------------------------------------


@rfc("5922-7.1")
def test_names_are_taken_in_the_order_of_the_text() -> None:
    both = {"subjectAltName": (("DNS", "dns.example"), ("URI", "sip:SIP.example"), ("URI", "https://web.example"))}
    assert identities(both) == {"sip.example"}
    user = {"subjectAltName": (("URI", "sip:alice@sip.example"), ("DNS", "dns.example"))}
    assert identities(user) == {"dns.example"}
    common = ((("commonName", "Old.Example"),), (("organizationName", "o"),))
    assert identities({"subject": common}) == {"old.example"}
    assert identities({"subject": common, "subjectAltName": (("DNS", "new.example"),)}) == {"new.example"}
    assert identities({"subject": common, "subjectAltName": (("email", "a@b.example"),)}) == frozenset()
    assert identities({}) == frozenset()


@rfc("5922-7.2")
def test_names_are_compared_whole_and_without_regard_to_case() -> None:
    certificate = {
        "subjectAltName": (("DNS", "IMS.example"), ("DNS", "*.wild.example"), ("IP Address", "0:0:0:0:0:0:0:1"))
    }
    assert stands_for(certificate, "ims.EXAMPLE")
    assert stands_for(certificate, "ims.example.")
    assert stands_for(certificate, "::1")
    assert not stands_for(certificate, "a.ims.example")
    assert not stands_for(certificate, "example")
    assert not stands_for(certificate, "a.wild.example")
