"""What is said of profiles that cannot be used: every mistake, with its key or element and what was expected."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ims_core.profiles import cx
from ims_core.profiles.mistakes import ProfileError
from tests.ims_core.profiles.test_forms import from_toml

WHOLE = '[[criteria]]\npriority = 1\nserver = "sip:as"\n'
A_SERVER = 'expected the SIP URI of an application server, like "sip:as.example:5060", found'
A_PRIORITY = "expected a whole number from 0 to 2147483647, found"
A_PATTERN = "expected an extended regular expression"
ONE_KEY = "expected a table with exactly one of method, uri, header, case, line"


def mistakes_of(text: str) -> list[str]:
    """What is told of a profile, TOML or XML."""
    with pytest.raises(ProfileError) as caught:
        cx.read("gold", text.encode()) if text.startswith("<") else from_toml(text)
    told = [str(mistake) for mistake in caught.value.mistakes]
    assert str(caught.value) == "; ".join(told)
    assert not any("\n" in line for line in told)
    return told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (WHOLE.replace("1", "-1"), [f"[0].priority: {A_PRIORITY} -1"]),
        (WHOLE + WHOLE.replace("1", "2147483648"), [f"[1].priority: {A_PRIORITY} 2147483648"]),
        (WHOLE + WHOLE, ["[1].priority: expected a priority that no other criterion has, found 1"]),
        (WHOLE.replace("sip:as", "http://as"), [f"[0].server: {A_SERVER} 'http://as'"]),
        (WHOLE.replace("sip:as", "sip:as:port"), [f"[0].server: {A_SERVER} 'sip:as:port'"]),
        (
            WHOLE + 'all = [{ method = "invite" }, { uri = "(" }]\nany = [[]]',
            [
                "[0].all[0].method: expected a method, like \"INVITE\", found 'invite'",
                f"[0].all[1].uri: {A_PATTERN} (missing ): (), found '('",
                "[0].any[0]: expected at least one condition",
                "[0].any: expected nothing beside all: put what is alternative into an inner list",
            ],
        ),
        (
            WHOLE + 'all = [[{ method = "INVITE" }, { negated = true }], { line = "m", header = "To" }]',
            [f"[0].all[0][1]: {ONE_KEY}", f"[0].all[1]: {ONE_KEY}, found 'header, line'"],
        ),
        (
            WHOLE + 'any = [{ uri = "a", content = "b" }, { method = "INVITE", registration = ["re"] }]',
            [
                "[0].any[0].content: expected header or line beside it, of which it is the content, found 'b'",
                '[0].any[1].registration: expected method = "REGISTER" beside it, which it says more of',
            ],
        ),
        (
            WHOLE + 'any = [{ header = "[", content = "]" }, { line = "(", content = "a{9999}" }]',
            [
                f"[0].any[0].header: {A_PATTERN} (missing ]: [), found '['",
                f"[0].any[1].content: {A_PATTERN} (invalid repetition size: {{9999}}), found 'a{{9999}}'",
                f"[0].any[1].line: {A_PATTERN} (missing ): (), found '('",
            ],
        ),
    ],
)
def test_every_mistake_of_a_table_is_told_with_its_key(text: str, told: list[str]) -> None:
    assert mistakes_of(text) == [f"criteria{line}" for line in told]


@pytest.mark.rfc("TS29.228-E")
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<", "the profile: expected well-formed XML (unclosed token: line 1, column 0)"),
        ("<a>&b;</a>", "the profile: expected well-formed XML (undefined entity: line 1, column 3)"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "the profile: expected XML without a document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "the profile: expected XML without a document type"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "the profile: expected XML in UTF-8"),
        ("<Sh-Data/>", "the profile: expected the root to be IMSSubscription or ServiceProfile, found 'Sh-Data'"),
        ("<IMSSubscription/>", "IMSSubscription.ServiceProfile: expected at least one; the element is missing"),
        (
            "<IMSSubscription><ServiceProfile/><ServiceProfile/></IMSSubscription>",
            "IMSSubscription: expected one ServiceProfile, or a public identity that says which, found 2",
        ),
    ],
)
def test_what_is_no_profile_is_told_in_one_sentence(text: str, told: str) -> None:
    assert mistakes_of(text) == [told]


AT = "ServiceProfile.InitialFilterCriteria"
GOOD = "<Priority>1</Priority><ApplicationServer><ServerName>sip:as</ServerName></ApplicationServer>"
MISSING = "expected a value; the element is missing"
A_FOURTH_TYPE = "<Extension><RegistrationType>3</RegistrationType></Extension>"
AN_SPT = "ConditionNegated, Group, RequestURI, Method, SIPHeader, SessionCase, SessionDescription"
HANDLINGS = "0 (SESSION_CONTINUED), 1 (SESSION_TERMINATED)"
CASES = "0 (ORIGINATING), 1 (TERMINATING_REGISTERED), 2 (TERMINATING_UNREGISTERED), 3 (ORIGINATING_UNREGISTERED)"


@pytest.mark.rfc("TS29.228-E")
@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", [f"ApplicationServer: {MISSING}", f"Priority: {MISSING}"]),
        (
            "<Priority>high</Priority><ApplicationServer/><ProfilePartIndicator>2</ProfilePartIndicator>",
            [
                f"ApplicationServer.ServerName: {MISSING}",
                "ProfilePartIndicator: expected one of 0 (REGISTERED), 1 (UNREGISTERED), found '2'",
                "Priority: expected a whole number, found 'high'",
            ],
        ),
        ("<Priority>2</Priority>" + GOOD, ["Priority: expected it once, found 2"]),
        (GOOD.replace("1", "2147483648"), [f"Priority: {A_PRIORITY} 2147483648"]),
        (GOOD.replace("sip:as", "as"), [f"ApplicationServer.ServerName: {A_SERVER} 'as'"]),
        (
            GOOD.replace("sip:as", "sip:<b>as</b>"),
            [
                "ApplicationServer.ServerName: expected text, and no elements in it",
                f"ApplicationServer.ServerName: {A_SERVER} 'sip:'",
            ],
        ),
        (
            GOOD.replace("</App", "<DefaultHandling>x</DefaultHandling></App"),
            [f"ApplicationServer.DefaultHandling: expected one of {HANDLINGS}, found 'x'"],
        ),
    ],
)
def test_every_mistake_of_a_criterion_is_told_with_its_element(content: str, told: list[str]) -> None:
    text = f"<ServiceProfile><InitialFilterCriteria>{content}</InitialFilterCriteria></ServiceProfile>"
    assert mistakes_of(text) == [f"{AT}.{line}" for line in told]


@pytest.mark.rfc("TS29.228-E")
@pytest.mark.parametrize(
    ("conditions", "told"),
    [
        ("", ["SPT: expected at least one; without a TriggerPoint every request fires it"]),
        (
            "<SPT><Group>0</Group><Method>INVITE</Method><SessionCase>0</SessionCase></SPT>",
            [f"SPT: expected exactly one of {AN_SPT[25:]}, found 'Method, SessionCase'"],
        ),
        (
            "<SPT><Method>INVITE</Method></SPT><SPT><Group>a</Group><Methd>INVITE</Methd></SPT>",
            [
                "SPT[0].Group: expected at least one; the element is missing",
                f"SPT[1].Methd: expected one of {AN_SPT}; this element is unknown",
                f"SPT[1]: expected exactly one of {AN_SPT[25:]}",
                "SPT[1].Group: expected a whole number, found 'a'",
            ],
        ),
        (
            "<SPT><Group>0</Group><SessionCase>7</SessionCase></SPT>",
            [f"SPT.SessionCase: expected one of {CASES}, 4 (ORIGINATING_CDIV), found '7'"],
        ),
        (
            "<SPT><Group>0</Group><SIPHeader><Content>(</Content></SIPHeader></SPT>",
            [f"SPT.SIPHeader.Header: {MISSING}", f"SPT.SIPHeader.Content: {A_PATTERN} (missing ): (), found '('"],
        ),
        (
            "<SPT><Group>0</Group><SessionDescription><Line>[</Line></SessionDescription></SPT>",
            [f"SPT.SessionDescription.Line: {A_PATTERN} (missing ]: [), found '['"],
        ),
        (
            "<SPT><Group>0</Group><RequestURI>*</RequestURI><ConditionNegated>no</ConditionNegated></SPT>",
            [
                "SPT.ConditionNegated: expected 0 or 1, found 'no'",
                f"SPT.RequestURI: {A_PATTERN} (no argument for repetition operator: *), found '*'",
            ],
        ),
        (
            f"<SPT><Group>0</Group><Method>REGISTER</Method>{A_FOURTH_TYPE}</SPT>",
            ["SPT.Extension.RegistrationType: expected one of 0 (INITIAL), 1 (RE), 2 (DE), found '3'"],
        ),
    ],
)
def test_every_mistake_of_a_trigger_is_told_with_its_element(conditions: str, told: list[str]) -> None:
    trigger = f"<TriggerPoint><ConditionTypeCNF>0</ConditionTypeCNF>{conditions}</TriggerPoint>"
    text = f"<ServiceProfile><InitialFilterCriteria>{GOOD}{trigger}</InitialFilterCriteria></ServiceProfile>"
    assert mistakes_of(text) == [f"{AT}.TriggerPoint.{line}" for line in told]


def test_a_trigger_says_its_form() -> None:
    for form, told in (("", MISSING), ("<ConditionTypeCNF>2</ConditionTypeCNF>", "expected 0 or 1, found '2'")):
        trigger = f"<TriggerPoint>{form}<SPT><Group>0</Group><Method>INVITE</Method></SPT></TriggerPoint>"
        text = f"<ServiceProfile><InitialFilterCriteria>{GOOD}{trigger}</InitialFilterCriteria></ServiceProfile>"
        assert mistakes_of(text) == [f"{AT}.TriggerPoint.ConditionTypeCNF: {told}"]


def test_elements_that_say_what_we_do_not_know_are_told() -> None:
    shared = "<ServiceProfile><Extension><SharedIFCSetID>1</SharedIFCSetID></Extension></ServiceProfile>"
    why = "sets that profiles share are not known here"
    told = f"ServiceProfile.Extension.SharedIFCSetID: expected an InitialFilterCriteria for each: {why}"
    assert mistakes_of(shared) == [told]
    names = "PublicIdentity, CoreNetworkServicesAuthorization, InitialFilterCriteria"
    told = f"ServiceProfile.InitialFilterCriterion: expected one of {names}; this element is unknown"
    assert mistakes_of("<ServiceProfile><InitialFilterCriterion/></ServiceProfile>") == [told]


def test_what_billions_of_laughs_would_expand_to_is_not_read() -> None:
    names = "abcdefghi"
    laughs = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in pairwise(names))
    text = f'<!DOCTYPE x [<!ENTITY a "ha">{laughs}]><ServiceProfile>&i;</ServiceProfile>'
    assert mistakes_of(text) == ["the profile: expected XML without a document type"]
