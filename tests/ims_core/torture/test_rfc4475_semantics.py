"""RFC 4475 sections 3.3 and 3.4: well-formed messages that ask for something odd, and one of RFC 2543."""

from __future__ import annotations

import pytest

from ims_core.flow import format_address
from tests.ims_core.torture.lab import (
    BOB,
    BOB_CONTACT,
    Case,
    Lab,
    Message,
    Verdict,
    answers,
    breaks_off_a_stream,
    case,
    is_no_answer,
    parameters,
    reaches_bob,
    registers,
    shows,
    sip,
)
from tests.kit import SERVICE_NUMBER

HEAD = {
    "Via": "SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKsemantics",
    "Max-Forwards": "70",
    "From": "<sip:alice@ims.example>;tag=t1",
    "To": "<sip:bob@ims.example>",
    "Call-ID": "semantics@203.0.113.7",
}


def request(method: str, uri: str, *more: str, body: bytes = b"", **other: str | None) -> bytes:
    """A request; ``other`` header values replace the usual ones, and None leaves one out."""
    replaced = {name.replace("_", "-"): value for name, value in other.items()}
    fields = {**HEAD, "CSeq": f"1 {method}", "Content-Length": str(len(body)), **replaced}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return sip(f"{method} {uri} SIP/2.0", *lines, *more, body=body)


BOB_URI, SERVICE, HERE = "sip:bob@ims.example", f"sip:{SERVICE_NUMBER}@ims.example", "sip:ims.example"
CONTACT = "Contact: <sip:alice@203.0.113.7>"


def _params(message: Message) -> object:
    return message.contact and (message.contact.uri.params, message.contact.params)


def is_listed(lab: Lab, data: bytes) -> None:
    """The 200 to a REGISTER lists the contact as it was written."""
    (response,) = lab.send(data)
    written = data.decode().partition("Contact: ")[2].partition(">")[0]
    assert [value.partition(">")[0] for value in response.values("Contact")] == [f"<{BOB_CONTACT}", written]


def is_challenged(_: Lab, data: bytes) -> None:
    """Where users have passwords, the sender is asked for one; nothing is bound."""
    lab = Lab(open_to_all=False)
    (response,) = lab.send(data)
    assert response.status == 401
    assert (response.get("WWW-Authenticate") or "").startswith("Digest ")
    assert [binding.contact for binding in lab.site.location.bindings("sip:bob@ims.example")] == [BOB_CONTACT]
    lab.finish()


def is_taken_as_a_call(lab: Lab, data: bytes) -> None:
    """A service takes it as a call, and ends it as it is used to."""
    lab.site.on_call = lambda call: call.reject(486)
    assert [response.status for response in lab.send(data)] == [486]
    assert len(lab.site.calls) == 1


CASES: list[Case] = [
    case(
        "4475-3.3.1",
        "From, To and Call-ID missing",
        request("INVITE", BOB_URI, CONTACT, From=None, To=None, Call_ID=None),
        answers(400),
    ),
    case("4475-3.3.1", "CSeq missing", request("INVITE", BOB_URI, CONTACT, CSeq=None), answers(400)),
    case("4475-3.3.2", "an unknown scheme in the Request-URI", request("OPTIONS", "unheardOf:whatever"), answers(416)),
    case(
        "4475-3.3.3",
        "a known scheme that is none of SIP",
        request("OPTIONS", "soap.beep://192.0.2.1:3002"),
        answers(416),
    ),
    case(
        "4475-3.3.4",
        "an address-of-record that is no SIP URI",
        request(
            "REGISTER",
            HERE,
            "Contact: <name:Alice_Liddell>",
            To="isbn:2983792873",
            From="<http://www.ims.example>;tag=t1",
        ),
        shows(
            lambda message: (message.to.uri_text, message.from_.uri_text), ("isbn:2983792873", "http://www.ims.example")
        ),
        answers(400),
    ),
    case(
        "4475-3.3.4",
        "unknown schemes where a proxy has no use for them",
        request("MESSAGE", BOB_URI, To="isbn:2983792873", From="<http://www.ims.example>;tag=t1"),
        reaches_bob,
    ),
    case(
        "4475-3.3.5",
        "extensions that nobody supports, required of the proxy",
        request("OPTIONS", BOB_URI, "Require: noSuchThing, norSuch", "Proxy-Require: noSuchThing, norThis, northat"),
        answers(420, Unsupported="noSuchThing, norThis, northat"),
    ),
    case(
        "4475-3.3.5",
        "extensions that nobody supports, required of the user agent",
        request("OPTIONS", HERE, "Require: noSuchThing, norSuch"),
        answers(420, Unsupported="noSuchThing, norSuch"),
    ),
    case(
        "4475-3.3.6",
        "a body of an unknown type",
        request("INVITE", SERVICE, CONTACT, "Content-Type: application/unheard-of", body=b"<audio>\r\n<port>"),
        answers(415, Accept="application/sdp"),
    ),
    case(
        "4475-3.3.7",
        "credentials of an unknown scheme",
        request("REGISTER", HERE, CONTACT, "Authorization: SecretHandshake opaque=grip"),
        is_challenged,
        registers("sip:alice@203.0.113.7"),
    ),
    case(
        "4475-3.3.8",
        "several of what there is one of",
        request(
            *("INVITE", BOB_URI, CONTACT, "CSeq: 5 INVITE", "Call-ID: other@203.0.113.7", "Max-Forwards: 5"),
            *("To: <sip:carol@ims.example>", "From: <sip:carol@ims.example>;tag=t2"),
        ),
        answers(400),
    ),
    *(
        case(
            "4475-3.3.8",
            f"two of {line.partition(':')[0]}",
            request("MESSAGE", BOB_URI, line, CSeq="1 MESSAGE"),
            answers(400),
        )
        for line in ("cseq: 5 MESSAGE", "i: 9@a", "MAX-FORWARDS: 70", "t: <sip:bob@ims.example>", "F: <sip:a@b>;tag=t1")
    ),
    case(
        "4475-3.3.9",
        "two of Content-Length",
        request("OPTIONS", BOB_URI, "l: 5", body=b"There's no way to know"),
        answers(400),
        breaks_off_a_stream,
    ),
    case(
        "4475-3.3.10",
        "an answer by way of a broadcast address",
        sip("SIP/2.0 200 OK", "Via: SIP/2.0/UDP 255.255.255.255;branch=BRANCH", "Contact: <sip:bob@255.255.255.255>"),
        is_no_answer,
    ),
    case("4475-3.3.11", "no hop left at a proxy", request("MESSAGE", BOB_URI, Max_Forwards="0"), answers(483)),
    # 16.3: "if the request was for OPTIONS, the element MAY act as the final recipient"
    case("4475-3.3.11", "no hop left, and none needed", request("OPTIONS", BOB_URI, Max_Forwards="0"), answers(200)),
    case("4475-3.3.11", "no hop left at its end", request("OPTIONS", HERE, Max_Forwards="0"), answers(200)),
    case(
        "4475-3.3.12",
        "a parameter of Contact itself",
        request("REGISTER", HERE, "Contact: sip:+19725552222@203.0.113.7;unheard-of"),
        shows(
            _params,
            ({}, {"unheard-of": ""}),
        ),
        registers("sip:+19725552222@203.0.113.7"),
    ),
    case(
        "4475-3.3.13",
        "a parameter of the URI in Contact",
        request("REGISTER", HERE, "Contact: <sip:+19725552222@203.0.113.7;unheard-of>"),
        shows(
            _params,
            ({"unheard-of": ""}, {}),
        ),
        registers("sip:+19725552222@203.0.113.7;unheard-of"),
        is_listed,
    ),
    case(
        "4475-3.3.14",
        "a header field escaped in the URI of Contact",
        request("REGISTER", HERE, "Contact: <sip:alice@203.0.113.7?Route=%3Csip:gate.example%3E>"),
        shows(lambda message: message.contact and message.contact.uri.header_fields, [("Route", "<sip:gate.example>")]),
        registers("sip:alice@203.0.113.7?Route=%3Csip:gate.example%3E"),
        is_listed,
    ),
    case(
        "4475-3.3.15",
        "no answer would be acceptable",
        request("INVITE", SERVICE, CONTACT, "Accept: text/unheard-of"),
        answers(406),
    ),
    case(
        "4475-3.4.1",
        "an INVITE of RFC 2543 through a proxy",
        request(
            *(
                "INVITE",
                BOB_URI,
                "Record-Route: <sip:bob@ims.example;maddr=old.example>",
                "Content-Type: application/sdp",
            ),
            Via="SIP/2.0/UDP old.example",
            Max_Forwards=None,
            From="<sip:+13035551111@old.example;user=phone>",
            Content_Length=None,
            body=b"v=0\r\no=- 29739 7272939 IN IP4 old.example\r\n",
        ),
        shows(lambda message: (message.via.branch, message.from_tag), ("", "")),
        reaches_bob,
    ),
    case(
        "4475-3.4.1",
        "an INVITE of RFC 2543 at its end",
        request(
            *("INVITE", SERVICE, "Contact: <sip:alice@203.0.113.7>"),
            Via="SIP/2.0/UDP old.example",
            Max_Forwards=None,
            From="<sip:+13035551111@old.example;user=phone>",
            Content_Length=None,
        ),
        is_taken_as_a_call,
    ),
]


@pytest.mark.parametrize(("data", "verdict"), parameters(CASES))
def test_an_odd_message(data: bytes, verdict: Verdict) -> None:
    lab = Lab()
    verdict(lab, data)
    lab.finish()


@pytest.mark.rfc("4475-3.3.12")
def test_requests_go_to_the_uri_of_a_contact_and_leave_its_own_parameters_behind() -> None:
    lab = Lab()
    one, other = f"sip:one@{format_address(BOB)}", f"sip:other@{format_address(BOB)};of-uri"
    lab.send(request("REGISTER", HERE, f"Contact: {one};of-contact, <{other}>", To="<sip:carol@ims.example>"))
    lab.send(request("MESSAGE", "sip:carol@ims.example", Call_ID="2@a", Via="SIP/2.0/UDP 203.0.113.7;branch=z9hG4bK2"))
    assert sorted(data.split(b" ")[1].decode() for data in lab.bob.received) == [one, other]
    lab.network.run()
    lab.site.assert_idle()
