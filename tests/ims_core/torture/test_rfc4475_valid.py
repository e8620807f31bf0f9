"""RFC 4475 section 3.1.1: unusual, and legal all the same."""

from __future__ import annotations

import pytest

from tests.ims_core.torture.lab import (
    Case,
    Lab,
    Verdict,
    answers,
    case,
    comes_back,
    parameters,
    reaches_bob,
    reads,
    registers,
    shows,
    sip,
)

FROM, TO = "From: <sip:alice@ims.example>;tag=t1", "To: <sip:bob@ims.example>"
VIA = "Via: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKv"
MULTIPART = (
    b"a preamble that nobody reads\r\n--cut here:\x01\r\nContent-Type: text/plain\r\n\r\nHello\r\n"
    b"--cut here:\x01\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    + bytes(range(256))
    + b"\r\n\r\nOPTIONS sip:nobody@ims.example SIP/2.0\r\n\r\n--cut here:\x01--\r\n"
)
REGISTER = (
    "REGISTER sip:ims.example SIP/2.0",
    VIA,
    "Max-Forwards: 8",
    FROM,
    TO,
    "Call-ID: two@203.0.113.7",
    "CSeq: 7 REGISTER",
)

CASES: list[Case] = [
    case(
        "4475-3.1.1.1",
        "a short and tortuous INVITE",
        sip(
            "INVITE sip:bob@ims.example;something=else SIP/2.0",
            "tO :",
            "   sip:bob@ims.example ;    unheard-of     = 4711",
            'from   : "A. L. Ice \\\\\\""      <sip:alice@ims.example>',
            "  ;",
            "  tag  =  8f2",
            "MaX-fOrWaRdS: 0042",
            "i \t: tortuous.1@203.0.113.7",
            "cseq: 0009",
            "  INVITE",
            "Via  : SIP  /   2.0",
            " /UDP",
            "    203.0.113.7;branch=without-cookie",
            "s :",
            "Brand-New:   a value",
            " \t that goes on",
            "Brand-Newer: ;;,,;; ,;",
            "c: application/sdp",
            "Route:",
            " <sip:192.0.2.1:5060;lr;valued=yes;valueless>",
            "v:  SIP  / 2.0  / TCP     second.example   ;",
            "  branch  =   z9hG4bKsecond  ,",
            " SIP  /    2.0   / UDP  192.168.9.9   ; branch=",
            " z9hG4bKthird",
            'm:"Quote \\"\\"" <sip:alice@203.0.113.7> ; fresh =',
            "      value ;",
            "  bare ; q = 0.33",
            "Content-Length   : 5",
            body=b"v=0\r\n",
        ),
        reads(method="INVITE", subject="", Brand_New="a value that goes on", Brand_Newer=";;,,;; ,;"),
        shows(lambda m: (m.cseq.number, m.via.branch, m.via.transport), (9, "without-cookie", "UDP")),
        shows(lambda m: (m.from_.display, m.from_tag, m.to_tag), ('A. L. Ice \\"', "8f2", "")),
        shows(lambda m: m.to.params, {"unheard-of": "4711"}),
        shows(lambda m: m.contact and m.contact.params, {"fresh": "value", "bare": "", "q": "0.33"}),
        shows(lambda m: len(m.values("Via")), 3),
        reaches_bob,
    ),
    case(
        "4475-3.1.1.2",
        "a wide range of characters",
        sip(
            "Do-.!%*_+`'~9 sip:bob@ims.example SIP/2.0",
            VIA,
            'To:"\u7532:\\\x01 \\\x00 \\\x7f \u4e59" <sip:1_o.U~(or-not!)&ain\'t+it$/?,/;;*:&p=1!d_a.(oh)@ims.example>',
            f"From: {'token1~` ' * 3}<sip:alice@ims.example>;tag=_t~9.*!%`'+-",
            'Call-ID: wide.%Z!%w(u>b"c)<d{e}f[g]h\\i?j/k:l@203.0.113.7',
            "CSeq: 139122385 Do-.!%*_+`'~9",
            "Max-Forwards: 255",
            "extension-!.%*_+`'~: \ufffe \u5927\u505c\u96fb",
            length=True,
        ),
        reads(method="Do-.!%*_+`'~9", call_id='wide.%Z!%w(u>b"c)<d{e}f[g]h\\i?j/k:l@203.0.113.7'),
        shows(lambda m: m.to.display, "\u7532:\x01 \x00 \x7f \u4e59"),
        shows(lambda m: m.to.uri.user, "1_o.U~(or-not!)&ain't+it$/?,/;;*"),
        shows(lambda m: (m.from_.display, m.from_.tag), ("token1~` token1~` token1~`", "_t~9.*!%`'+-")),
        shows(lambda m: m.get("Extension-!.%*_+`'~"), "\ufffe \u5927\u505c\u96fb"),
        reaches_bob,
    ),
    case(
        "4475-3.1.1.3",
        "percent signs that escape",
        sip(
            "INVITE sip:sips%3Abob%40other.example@ims.example SIP/2.0",
            VIA,
            "To: sip:%62o%62@ims.example",
            "From: <sip:Al%20Ice@ims.example>;tag=t1",
            "Max-Forwards: 70",
            "Call-ID: escapes@203.0.113.7",
            "CSeq: 1 INVITE",
            "Contact: <sip:al%69ce@203.0.113.7;%6C%72;n%61me=v%61lue%25%34%31>",
            length=True,
        ),
        shows(lambda m: m.to.uri.user, "bob"),
        shows(lambda m: m.from_.uri.user, "Al Ice"),
        shows(lambda m: m.contact and m.contact.uri.params, {"lr": "", "name": "value%41"}),
        shows(lambda m: getattr(m, "target").user, "sips:bob@other.example"),  # noqa: B009 - requests only
        answers(404),
    ),
    case(
        "4475-3.1.1.4",
        "escaped NULs",
        sip(*REGISTER, "Contact: <sip:%00@203.0.113.7>", "Contact: <sip:%00%00@203.0.113.7>", length=True),
        shows(lambda m: [len(value) for value in m.values("Contact")], [21, 24]),
        registers("sip:%00@203.0.113.7", "sip:%00%00@203.0.113.7"),
    ),
    case(
        "4475-3.1.1.5",
        "percent signs that do not escape",
        sip(
            "RE%47IST%45R sip:ims.example SIP/2.0",
            VIA,
            'To: "%Z%45" <sip:bob@ims.example>',
            'From: "%Z%45" <sip:bob@ims.example>;tag=f%41',
            "Max-Forwards: 70",
            "Call-ID: per%20cent@203.0.113.7",
            "CSeq: 29344 RE%47IST%45R",
            "Contact: <sip:alias%31@203.0.113.7>",
            length=True,
        ),
        reads(method="RE%47IST%45R", call_id="per%20cent@203.0.113.7", from_tag="f%41"),
        shows(lambda m: m.from_.display, "%Z%45"),
        answers(501),
    ),
    case(
        "4475-3.1.1.6",
        "no white space before the angle bracket",
        sip(
            "OPTIONS sip:bob@ims.example SIP/2.0",
            VIA,
            "To:Bob<sip:bob@ims.example>",
            'From:"Alice"<sip:alice@ims.example>;tag=t1',
            "Max-Forwards:70",
            "Call-ID:tight@203.0.113.7",
            "CSeq:60 OPTIONS",
            length=True,
        ),
        shows(lambda m: (m.from_.display, m.to.display), ("Alice", "Bob")),
        reaches_bob,
    ),
    case(
        "4475-3.1.1.7",
        "long values",
        sip(
            "INVITE sip:bob@ims.example SIP/2.0",
            f'To: "{"I have many words of name " * 40}" <sip:bob@ims.example:6000;{"long" * 50}=1;{"unknown" * 30}>',
            f"From: sip:{'alice' * 60}@ims.example;tag={'12982' * 80}424;{'name' * 90}={'value' * 90};{'bare' * 70}",
            f"Call-ID: {'longer and longer'.replace(' ', '') * 30}",
            "CSeq: 3882340 INVITE",
            f"{'Unknown-' * 60}Header: {'unknown' * 40};{'parameter' * 30}={'value' * 100}",
            f"Via: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bK{'branch' * 80}",
            *(f"v: SIP/2.0/TCP sip{number}.example" for number in range(33, 0, -1)),
            "Max-Forwards: 70",
            f"Contact: <sip:{'alice' * 60}@host{'x' * 60}.ims.example>",
            "Content-Type: application/sdp",
            body=b"v=0\r\n" + b"a=" + b"long" * 300,
            length=True,
        ),
        shows(lambda m: (len(m.from_tag), len(m.from_.tag)), (403, 403)),
        shows(lambda m: (len(m.to.display), m.to.uri.port), (1040, 6000)),
        shows(lambda m: len(m.values("Via")), 34),
        reaches_bob,
    ),
    case(
        "4475-3.1.1.8",
        "octets behind the message in its datagram",
        sip(*REGISTER, "Contact: <sip:first@203.0.113.7>", length=True)
        + sip(*REGISTER, "Contact: <sip:second@203.0.113.7>", length=True),
        shows(lambda m: m.body, b""),
        registers("sip:first@203.0.113.7"),
    ),
    case(
        "4475-3.1.1.9",
        "a semicolon in the user part",
        sip(
            "OPTIONS sip:bob;par=u%40other.example@ims.example SIP/2.0",
            VIA,
            TO,
            "From: sip:alice@ims.example;tag=t1",
            "Max-Forwards: 3",
            "Call-ID: semicolon@203.0.113.7",
            "CSeq: 8 OPTIONS",
            length=True,
        ),
        shows(lambda m: getattr(m, "target").user, "bob;par=u@other.example"),  # noqa: B009
        shows(lambda m: getattr(m, "target").params, {}),  # noqa: B009
        shows(lambda m: (m.from_.uri_text, m.from_.tag), ("sip:alice@ims.example", "t1")),
        answers(404),
    ),
    case(
        "4475-3.1.1.10",
        "many transports, one unheard of",
        sip(
            "OPTIONS sip:bob@ims.example SIP/2.0",
            VIA,
            "Via: SIP/2.0/SCTP one.example;branch=z9hG4bK1",
            "Via: SIP/2.0/TLS two.example;branch=z9hG4bK2, SIP/2.0/PIGEON three.example;branch=z9hG4bK3",
            "Via: SIP/2.0/TCP four.example:4711;branch=z9hG4bK4",
            FROM,
            TO,
            "Max-Forwards: 70",
            "Call-ID: transports@203.0.113.7",
            "CSeq: 60 OPTIONS",
            length=True,
        ),
        shows(lambda m: len(m.values("Via")), 5),
        reaches_bob,
    ),
    case(
        "4475-3.1.1.11",
        "a body of several parts, one of them binary",
        sip(
            "MESSAGE sip:bob@ims.example SIP/2.0",
            VIA,
            FROM,
            TO,
            "Max-Forwards: 70",
            "Call-ID: multipart@203.0.113.7",
            "CSeq: 127 MESSAGE",
            "MIME-Version: 1.0",
            'Content-Type: multipart/mixed; boundary="cut here:\\\x01"',
            body=MULTIPART,
            length=True,
        ),
        reads(body=MULTIPART),
        reaches_bob,
    ),
    case(
        "4475-3.1.1.12",
        "an unusual reason phrase",
        sip(
            "SIP/2.0 200 = 8 * 5**2, \u4f46\u4e0d\u662f <199>;",
            VIA,
            FROM,
            "To: <sip:bob@ims.example>;tag=t2",
            "Call-ID: reason@203.0.113.7",
            "CSeq: 35 INVITE",
            length=True,
        ),
        reads(status=200, reason="= 8 * 5**2, \u4f46\u4e0d\u662f <199>;"),
        comes_back,
    ),
    case(
        "4475-3.1.1.13",
        "an empty reason phrase",
        sip(
            "SIP/2.0 180 ",
            VIA,
            FROM,
            "To: <sip:bob@ims.example>;tag=t2",
            "Call-ID: noreason@203.0.113.7",
            "CSeq: 35 INVITE",
            length=True,
        ),
        reads(status=180, reason=""),
        comes_back,
    ),
]


@pytest.mark.parametrize(("data", "verdict"), parameters(CASES))
def test_a_legal_message(data: bytes, verdict: Verdict) -> None:
    lab = Lab()
    verdict(lab, data)
    lab.finish()
