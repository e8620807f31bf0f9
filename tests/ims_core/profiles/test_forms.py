"""Profiles as they are written: tables of TOML and the XML of the Cx interface."""

from __future__ import annotations

import tomllib

import msgspec
import pytest

from ims_core.patterns import NamePattern, Pattern
from ims_core.profiles import cx, tables
from ims_core.profiles.mistakes import ProfileError
from ims_core.profiles.model import (
    Case,
    Criterion,
    DefaultHandling,
    Form,
    Header,
    Method,
    ProfilePart,
    Registration,
    RequestUri,
    Server,
    ServicePointTrigger,
    ServiceProfile,
    SessionCase,
    SessionDescription,
    Trigger,
)

so = ServicePointTrigger
ACCEPT_CONTACT = Header(NamePattern("Accept-Contact"))
VIDEO = SessionDescription(Pattern("m"), Pattern("^video"))
PROFILE = ServiceProfile(
    "gold",
    (
        Criterion(
            0,
            Server("sip:presence.ims.example", DefaultHandling.SESSION_CONTINUED, "level=gold & more", True, True),
            Trigger(Form.CONJUNCTIVE, ((so(Method("REGISTER", frozenset((Registration.INITIAL, Registration.DE)))),),)),
        ),
        Criterion(
            10,
            Server("sip:as@192.0.2.7:5064;transport=tcp", DefaultHandling.SESSION_TERMINATED),
            Trigger(
                Form.CONJUNCTIVE,
                (
                    (so(Method("INVITE")), so(Method("MESSAGE"))),
                    (so(Header(NamePattern("Privacy"), Pattern("id|user")), negated=True),),
                    (so(RequestUri(Pattern("^sip:[+]86[0-9]*@")), negated=True), so(ACCEPT_CONTACT)),
                ),
            ),
            ProfilePart.REGISTERED,
        ),
        Criterion(
            20,
            Server("sips:video.ims.example"),
            Trigger(
                Form.DISJUNCTIVE,
                (
                    (so(Case(SessionCase.TERMINATING_UNREGISTERED)), so(VIDEO)),
                    (so(SessionDescription(Pattern("k"))),),
                    (so(Case(SessionCase.ORIGINATING_CDIV)),),
                ),
            ),
            ProfilePart.UNREGISTERED,
        ),
        Criterion(2**31 - 1, Server("sip:last.ims.example")),
    ),
)

TOML = """
[[criteria]]                 # in any order
priority = 2147483647
server = "sip:last.ims.example"

[[criteria]]
priority = 20
server = "sips:video.ims.example"
part = "unregistered"
any = [
    [{ case = "terminating_unregistered" }, { line = "m", content = "^video" }],
    { line = "k" },
    [{ case = "originating_cdiv" }],
]

[[criteria]]
priority = 10
server = "sip:as@192.0.2.7:5064;transport=tcp"
default_handling = "terminated"
part = "registered"
all = [
    [{ method = "INVITE" }, { method = "MESSAGE" }],
    { header = "Privacy", content = "id|user", negated = true },
    [{ uri = '^sip:[+]86[0-9]*@', negated = true }, { header = "Accept-Contact" }],
]

[[criteria]]
priority = 0
server = "sip:presence.ims.example"
service_info = "level=gold & more"
include_register_request = true
include_register_response = true
all = [{ method = "REGISTER", registration = ["initial", "de"] }]
"""

XML = """<?xml version="1.0" encoding="UTF-8"?>
<!-- what a home subscriber server writes -->
<IMSSubscription>
  <PrivateID>ann@ims.example</PrivateID>
  <ServiceProfile>
    <PublicIdentity><BarringIndication>0</BarringIndication><Identity>sip:ann@ims.example</Identity></PublicIdentity>
    <PublicIdentity><Identity>tel:+8613800000001</Identity></PublicIdentity>
    <InitialFilterCriteria>
      <Priority>10</Priority>
      <TriggerPoint>
        <ConditionTypeCNF>1</ConditionTypeCNF>
        <SPT><ConditionNegated>0</ConditionNegated><Group>0</Group><Method>INVITE</Method></SPT>
        <SPT><ConditionNegated>1</ConditionNegated><Group>3</Group><RequestURI>^sip:[+]86[0-9]*@</RequestURI></SPT>
        <SPT><Group>0</Group><Method>MESSAGE</Method><Extension><RegistrationType>1</RegistrationType></Extension></SPT>
        <SPT><ConditionNegated>true</ConditionNegated><Group>1</Group>
          <SIPHeader><Header>Privacy</Header><Content><![CDATA[id|user]]></Content></SIPHeader></SPT>
        <SPT><ConditionNegated>0</ConditionNegated><Group>3</Group>
          <SIPHeader><Header> Accept-Contact </Header></SIPHeader></SPT>
      </TriggerPoint>
      <ApplicationServer>
        <ServerName> sip:as@192.0.2.7:5064;transport=tcp </ServerName><DefaultHandling>1</DefaultHandling>
      </ApplicationServer>
      <ProfilePartIndicator>0</ProfilePartIndicator>
    </InitialFilterCriteria>
    <InitialFilterCriteria>
      <Priority>0</Priority>
      <TriggerPoint>
        <ConditionTypeCNF>true</ConditionTypeCNF>
        <SPT><Group>0</Group><Method>REGISTER</Method>
          <Extension><RegistrationType>2</RegistrationType><RegistrationType>0</RegistrationType></Extension></SPT>
      </TriggerPoint>
      <ApplicationServer>
        <ServerName>sip:presence.ims.example</ServerName>
        <ServiceInfo>level=gold &amp; more</ServiceInfo>
        <Extension><IncludeRegisterRequest/><IncludeRegisterResponse/></Extension>
      </ApplicationServer>
      <Extension><Later xmlns="urn:example:later">than this version</Later></Extension>
    </InitialFilterCriteria>
    <InitialFilterCriteria>
      <Priority>20</Priority>
      <TriggerPoint>
        <ConditionTypeCNF>0</ConditionTypeCNF>
        <SPT><Group>1</Group><SessionCase>2</SessionCase></SPT>
        <SPT><Group>1</Group><SessionDescription><Line>m</Line><Content>^video</Content></SessionDescription></SPT>
        <SPT><Group>2</Group><SessionDescription><Line>k</Line><Content/></SessionDescription></SPT>
        <SPT><Group>5</Group><SessionCase>4</SessionCase></SPT>
      </TriggerPoint>
      <ApplicationServer>
        <ServerName>sips:video.ims.example</ServerName><DefaultHandling>0</DefaultHandling>
      </ApplicationServer>
      <ProfilePartIndicator>1</ProfilePartIndicator>
    </InitialFilterCriteria>
    <InitialFilterCriteria>
      <Priority>2147483647</Priority>
      <ApplicationServer><ServerName>sip:last.ims.example</ServerName></ApplicationServer>
    </InitialFilterCriteria>
  </ServiceProfile>
</IMSSubscription>
"""


def from_toml(text: str) -> ServiceProfile:
    criteria = tomllib.loads(text)["criteria"]
    return tables.read("gold", msgspec.convert(criteria, tuple[tables.CriterionTable, ...]))


@pytest.mark.rfc("TS29.228-E", "TS29.228-B.2.2")
def test_the_same_profile_in_both_forms_is_equal() -> None:
    assert from_toml(TOML) == PROFILE
    assert cx.read("gold", XML.encode()) == PROFILE


@pytest.mark.rfc("TS29.228-E")
def test_a_profile_may_stand_alone_or_in_a_namespace_or_another_encoding() -> None:
    alone = XML[XML.index("<ServiceProfile>") : XML.index("</IMSSubscription>")]
    assert cx.read("gold", alone.encode()) == PROFILE
    spaced = XML.replace("<IMSSubscription>", '<IMSSubscription xmlns="urn:example:cx">')
    assert cx.read("gold", spaced.encode()) == PROFILE
    assert cx.read("gold", XML.replace("UTF-8", "UTF-16").encode("utf-16")) == PROFILE


@pytest.mark.rfc("TS29.228-B.2.2", "TS29.228-C")
def test_a_condition_may_be_in_several_groups() -> None:
    profile = cx.read(
        "x",
        b"<ServiceProfile><InitialFilterCriteria><Priority>1</Priority><TriggerPoint><ConditionTypeCNF>1"
        b"</ConditionTypeCNF><SPT><Group>1</Group><Group>2</Group><Method>INVITE</Method></SPT><SPT><Group>2</Group>"
        b"<Method>MESSAGE</Method></SPT></TriggerPoint><ApplicationServer><ServerName>sip:as</ServerName>"
        b"</ApplicationServer></InitialFilterCriteria></ServiceProfile>",
    )
    invite, message = so(Method("INVITE")), so(Method("MESSAGE"))
    assert profile.criteria[0].trigger == Trigger(Form.CONJUNCTIVE, ((invite,), (invite, message)))


OTHER = """<ServiceProfile>
<PublicIdentity><Identity>sip:bob@ims.example</Identity></PublicIdentity>
<PublicIdentity><Identity> tel:+8613800000002 </Identity></PublicIdentity>
</ServiceProfile></IMSSubscription>"""
SEVERAL = XML.replace("</IMSSubscription>", OTHER)


@pytest.mark.rfc("TS29.228-B.2.1", "TS29.228-E")
def test_of_several_profiles_a_public_identity_says_which() -> None:
    assert cx.read("gold", SEVERAL.encode(), "tel:+8613800000001") == PROFILE
    for identity in ("sip:bob@ims.example", "tel:+8613800000002"):
        assert cx.read("empty", SEVERAL.encode(), identity) == ServiceProfile("empty")
    assert cx.read("gold", XML.encode(), "sip:ann@ims.example") == PROFILE
    with pytest.raises(ProfileError) as caught:
        cx.read("x", SEVERAL.encode(), "sip:eve@ims.example")
    told = "IMSSubscription: expected one ServiceProfile with the PublicIdentity sip:eve@ims.example, found 0"
    assert str(caught.value) == told


def test_all_profiles_of_a_document_are_read_and_all_their_mistakes_told() -> None:
    ann, bob = cx.read_all(SEVERAL.encode())
    assert (ann.name, ann.criteria) == ("sip:ann@ims.example", PROFILE.criteria)
    assert bob == ServiceProfile("sip:bob@ims.example")
    assert cx.read_all(b"<ServiceProfile/>") == [ServiceProfile("")]
    wrong = SEVERAL.replace("<Priority>10<", "<Priority>x<").replace(
        "</ServiceProfile></IMS", "<X/></ServiceProfile></IMS"
    )
    with pytest.raises(ProfileError) as caught:
        cx.read_all(wrong.encode())
    at = "IMSSubscription", "ServiceProfile"
    assert [mistake.path for mistake in caught.value.mistakes] == [
        (*at, 0, "InitialFilterCriteria", 0, "Priority"),
        (*at, 1, "X"),
    ]
