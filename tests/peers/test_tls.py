"""TLS with programs that we did not write: OpenSSL's client and baresip."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Sequence

import pytest

from tests.kit.certificates import Authority
from tests.kit.messages import request_bytes
from tests.peers.conftest import Bench
from tests.peers.kit import Baresip, level, loudest_part, read_wav, wait_until
from tests.peers.kit.linphone import Linphone
from tests.peers.kit.secure import SecureServer

OPTIONS = request_bytes("OPTIONS", "sip:ims.example", via="SIP/2.0/TLS client.invalid;branch=z9hG4bK1;rport")


def s_client(server: SecureServer, *options: str, sent: bytes = OPTIONS, until: bytes = b"SIP/2.0") -> str:
    """Connect with ``openssl s_client``, send, and return all that it shows once ``until`` or its end has come."""
    command = ["openssl", "s_client", "-connect", "{}:{}".format(*server.address("tls"))]
    command += ["-CAfile", str(server.authority.file), "-verify_return_error", "-ign_eof", *options]
    with subprocess.Popen(
        command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        try:
            client.stdin.write(sent)
            client.stdin.flush()
            shown = b""
            while until not in shown and (piece := client.stdout.read(65_536)):
                shown += piece
        except BrokenPipeError:
            shown = client.stdout.read()
        finally:
            client.kill()
    return shown.decode(errors="replace")


@pytest.mark.peer("openssl")
@pytest.mark.rfc("3261-26.3.1", "8996-5")
def test_openssl_gets_in_with_1_2_and_1_3_and_not_with_1_1(bench: Bench) -> None:
    secure = SecureServer(bench)
    for version, shown in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
        answer = s_client(secure, version, "-servername", "ims.example", "-verify_hostname", "ims.example")
        assert f"New, {shown}" in answer
        assert "Verify return code: 0 (ok)" in answer
        assert "SIP/2.0 200" in answer
    refused = s_client(secure, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", until=b"never")
    assert "alert protocol version" in refused
    assert "SIP/2.0" not in refused
    metrics = secure.server.metrics()
    assert metrics["acd_sip_tls_handshakes_failed_total{reason=version}"] == 1
    (line,) = secure.server.logged("handshake.failed")
    assert "no version of TLS that is allowed" in line["reason"]


@pytest.mark.peer("openssl")
@pytest.mark.rfc("3261-26.3.1")
def test_a_client_must_show_a_certificate_where_that_is_demanded(bench: Bench) -> None:
    secure = SecureServer(bench, client_certificates="required")
    bare = s_client(secure, "-tls1_3", until=b"never")
    assert "certificate required" in bare
    known = str(secure.authority.issue("phone.example"))
    assert "SIP/2.0 200" in s_client(secure, "-cert", known, "-key", known)
    failed = secure.server.metrics()["acd_sip_tls_handshakes_failed_total{reason=no certificate}"]
    assert failed == 1


@pytest.mark.peer("openssl")
def test_sighup_takes_a_new_certificate_and_keeps_the_old_one_when_it_is_broken(bench: Bench) -> None:
    secure = SecureServer(bench)

    def shown(name: str) -> bool:
        return "SIP/2.0 200" in s_client(secure, "-servername", name, "-verify_hostname", name)

    assert shown("ims.example")
    secure.renew("renewed.example")
    secure.server.signal(signal.SIGHUP)
    wait_until(lambda: secure.server.logged("certificates.read"), 10, "certificates.read")
    assert shown("renewed.example")
    assert not shown("ims.example")
    secure.certificate.write_text("broken")
    secure.server.signal(signal.SIGHUP)
    wait_until(lambda: secure.server.logged("certificates.refused"), 10, "certificates.refused")
    assert shown("renewed.example")


@pytest.mark.peer("openssl")
def test_plain_http_and_floods_of_it_are_counted_and_logged_now_and_then(bench: Bench) -> None:
    secure = SecureServer(bench)
    for _ in range(30):
        with socket.create_connection(secure.address("tls")) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            client.settimeout(5)
            assert client.recv(100) == b""
    assert secure.server.metrics()["acd_sip_tls_handshakes_failed_total{reason=no TLS}"] == 30
    assert len(secure.server.logged("handshake.failed")) == 10
    assert "SIP/2.0 200" in s_client(secure)


def phone(
    bench: Bench,
    secure: SecureServer,
    user: str,
    transport: str,
    *,
    tone: float,
    answers: bool,
    modules: Sequence[str] = (),
    account: Sequence[str] = (),
) -> Baresip:
    options = (f"sip_cafile {secure.authority.file}", "sip_verify_server yes", *modules)
    made = Baresip(
        user,
        bench.directory,
        server=secure.address(transport),
        port=bench.port(2),
        control=bench.port(),
        rtp_ports=bench.port(10),
        transport=transport,
        tone=tone,
        answers=answers,
        config=options,
        account=account,
    )
    bench.keep(made)
    return made.wait_until_registered()


@pytest.mark.peer("baresip")
@pytest.mark.rfc("3261-26.3.1", "3261-18.1.1", "5658-3.3")
@pytest.mark.parametrize(("caller", "callee"), [("tls", "tls"), ("tls", "udp"), ("udp", "tls")])
def test_softphones_call_each_other_over_tls(bench: Bench, caller: str, callee: str) -> None:
    secure = SecureServer(bench)
    bob = phone(bench, secure, "bob", callee, tone=620.0, answers=True)
    alice = phone(bench, secure, "alice", caller, tone=440.0, answers=False)
    connections = secure.server.metrics()["acd_sip_connections{transport=tls}"]
    assert connections == (caller, callee).count("tls")
    alice.dial("bob")
    for softphone in (alice, bob):
        softphone.wait_for("CALL_ESTABLISHED")
    wait_until(lambda: all(each.heard_bytes() > 2.5 * 16_000 for each in (alice, bob)), 15, "2.5 s heard")
    bob.hang_up()
    for softphone in (alice, bob):
        softphone.wait_for("CALL_CLOSED")
    for softphone, wanted in ((alice, 620.0), (bob, 440.0)):
        (heard,) = read_wav(softphone.heard())
        assert level(loudest_part(heard, wanted, 1.5), wanted) > -1.0
    secure.server.wait_until_idle()


@pytest.mark.peer("baresip")
@pytest.mark.rfc("3261-26.3.1")
def test_a_queue_serves_callers_over_tls(bench: Bench) -> None:
    secure = SecureServer(bench)
    agent = phone(bench, secure, "1001", "tls", tone=620.0, answers=True)
    secure.server.wait_for_agent("1001", "ready")
    caller = phone(bench, secure, "caller1", "tls", tone=440.0, answers=False)
    caller.dial("10001")
    secure.server.wait_for_call("talking", 20)
    caller.hang_up()
    (cdr,) = secure.server.wait_for_cdrs()
    assert (cdr["outcome"], cdr["agent"]) == ("answered", "1001")
    agent.wait_for("CALL_CLOSED")
    secure.server.wait_until_idle()


@pytest.mark.peer("linphone")
@pytest.mark.rfc("3261-26.3.1", "5922-7")
@pytest.mark.parametrize("trusted", [True, False])
def test_linphone_registers_over_tls_if_it_trusts_us(bench: Bench, trusted: bool) -> None:
    secure = SecureServer(bench)
    other = bench.directory / "other"
    other.mkdir()
    ca = secure.authority.file if trusted else Authority(other).file
    where = secure.address("tls")
    linphone = Linphone(
        "bob", bench.directory, server=where, port=bench.port(), transport="tls", ca=ca, algorithm="MD5"
    )
    bench.keep(linphone)
    metrics = secure.server.metrics
    if trusted:
        linphone.wait_until_registered()
        assert metrics()["acd_sip_bindings"] == metrics()["acd_sip_connections{transport=tls}"] == 1
    else:
        refused = "acd_sip_tls_handshakes_failed_total{reason=our certificate}"
        wait_until(lambda: metrics()[refused] > 0, 20, "the handshake fails")
        assert metrics()["acd_sip_bindings"] == 0
