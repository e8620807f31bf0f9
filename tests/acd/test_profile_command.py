"""`ims-acd profile`, and service profiles in a configuration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from acd.cli import main
from acd.config import ConfigError, loads
from acd.config.live import follow
from ims_core.profiles.model import Criterion, Form, Method, Server, ServicePointTrigger, ServiceProfile, Trigger
from tests.ims_core.profiles.test_forms import PROFILE, SEVERAL, TOML, XML

REQUEST = """\
INVITE sip:+8613800000002@ims.example SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKabc
From: <sip:+8613800000001@ims.example>;tag=1
To: <sip:+8613800000002@ims.example>
Call-ID: abc
CSeq: 1 INVITE
Content-Type: application/sdp
Content-Length: 99999

v=0
m=video 4002 RTP/AVP 96
"""
REGISTER = REQUEST.replace("INVITE sip:+8613800000002@", "REGISTER sip:").replace("INVITE", "REGISTER")
CONFIGURATION = """
[server]
domain = "ims.example"

[[profiles.default.criteria]]
priority = 1
server = "sip:127.0.0.1:5064"
all = [{ method = "INVITE" }]

[profiles.gold]
file = "GOLD"
"""


class Files:
    """Writes files and runs the command on them."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self._capsys = capsys

    def write(self, name: str, content: str | bytes) -> str:
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def run(self, *arguments: str) -> tuple[int, list[str], list[str]]:
        """Return the exit status and the lines of output and errors, with file names in the place of paths."""
        status = main(["profile", *arguments])
        out, err = (text.replace(f"{self.directory}/", "").splitlines() for text in self._capsys.readouterr())
        return status, out, err

    def configuration(self) -> str:
        gold = self.write("gold.xml", XML)
        return self.write("ims.toml", CONFIGURATION.replace("GOLD", gold))


@pytest.fixture
def files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Files:
    return Files(tmp_path, capsys)


# check ----------------------------------------------------------------------------------------------------------


def test_good_profiles_are_told_with_their_servers(files: Files) -> None:
    servers = (
        "sip:presence.ims.example, sip:as@192.0.2.7:5064;transport=tcp, sips:video.ims.example, sip:last.ims.example"
    )
    gold = f"4 criteria, in order {servers}"
    assert files.run("check", "--profile", files.write("p.toml", TOML)) == (0, [f"p.toml: ok: default: {gold}"], [])
    assert files.run("check", "--profile", files.write("p.xml", XML)) == (0, [f"p.xml: ok: default: {gold}"], [])
    assert files.run("check", "--profile", files.configuration()) == (
        0,
        ["ims.toml: ok: default: 1 criterion, in order sip:127.0.0.1:5064", f"ims.toml: ok: gold: {gold}"],
        [],
    )
    assert files.run("check", "--profile", files.write("none.xml", "<ServiceProfile/>")) == (
        0,
        ["none.xml: ok: default: 0 criteria"],
        [],
    )


BAD_VALUES = """\
[[criteria]]
prioritty = 1
server = "sip:as"
all = [{ method = 5 }, { negated = "no" }, [{}]]
"""
BAD_PROFILES = """\
[profiles.Gold]
[[profiles.x.criteria]]
priority = 1
server = "as"
any = [{ uri = "(" }]
[profiles.y]
file = "nowhere.xml"
"""
BAD_ELEMENTS = XML.replace("<Priority>10<", "<Priority>ten<").replace("<Method>MESSAGE", "<Method>message")
CRITERION = "IMSSubscription.ServiceProfile.InitialFilterCriteria[0]"
ONE_KEY = "expected a table with exactly one of method, uri, header, case, line"
A_SERVER = 'expected the SIP URI of an application server, like "sip:as.example:5060"'


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (
            "p.toml",
            "[[criteria",
            ["expected valid TOML: Expected ']]' at the end of an array declaration (at end of document)"],
        ),
        ("p.toml", "", ["the file: expected [[criteria]] tables, or [profiles.NAME] as a configuration has them"]),
        ("p.toml", "criteria = 1", ["criteria: expected a list, each item a table, found 1"]),
        ("p.toml", "profiles = 1", ["profiles: expected a table, found 1"]),
        ("p.toml", b"\xff", ["expected UTF-8 text, found other bytes at offset 0"]),
        (
            "p.toml",
            BAD_VALUES,
            [
                "criteria[0].prioritty: expected priority (did you mean that?); this key is unknown",
                "criteria[0].priority: expected a whole number; the key is missing",
                "criteria[0].all[0].method: expected a text in quotes, found 5",
                'criteria[0].all[1].negated: expected true or false, found "no"',
                f"criteria[0].all[2][0]: {ONE_KEY}",
            ],
        ),
        (  # what comes after an item that is none is not looked at closer: it would be told with a wrong number
            "p.toml",
            '[[criteria]]\npriority = 1\nserver = "sip:as"\nall = [7, [{}]]\n',
            ["criteria[0].all[0]: expected a table or a list, each item a table, found 7"],
        ),
        (
            "p.toml",
            BAD_PROFILES,
            [
                "profiles.Gold: expected the key to be a name of a-z, 0-9, _ and - (32 at most)",
                'profiles.x.criteria[0].any[0].uri: expected an extended regular expression (missing ): (), found "("',
                f'profiles.x.criteria[0].server: {A_SERVER}, found "as"',
                'profiles.y.file: expected a readable file: No such file or directory, found "nowhere.xml"',
            ],
        ),
        ("p.xml", " <a", ["the file: expected well-formed XML (unclosed token: line 1, column 1)"]),
        (
            "p.xml",
            BAD_ELEMENTS,
            [
                f'{CRITERION}.TriggerPoint.SPT[2].Method: expected a method, like "INVITE", found "message"',
                f'{CRITERION}.Priority: expected a whole number, found "ten"',
            ],
        ),
    ],
)
def test_every_mistake_is_a_line(files: Files, name: str, content: str | bytes, told: list[str]) -> None:
    assert files.run("check", "--profile", files.write(name, content)) == (2, [], [f"{name}: {line}" for line in told])


@pytest.mark.parametrize(("name", "why"), [("nowhere", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_told(files: Files, name: str, why: str) -> None:
    path = str(files.directory / name)
    status, out, err = files.run("check", "--profile", path)
    assert (status, out) == (2, [])
    assert err == [f"{path.replace(f'{files.directory}/', '')}: expected a readable file: {why}"]
    assert files.run("check", "--profile", "a\0b") == (2, [], ["a\0b: expected a readable file: its name is none"])


# explain --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(("name", "content"), [("p.toml", TOML), ("p.xml", XML)])
def test_both_forms_are_explained_alike(files: Files, name: str, content: str, end: str) -> None:
    profile = files.write(name, content)
    request = files.write("request.txt", REQUEST.replace("\n", end))
    status, out, err = files.run(
        "explain", "--profile", profile, "--request", request, "--case", "terminating_unregistered"
    )
    assert (status, err) == (0, [])
    assert out[:2] == [
        'INVITE "sip:+8613800000002@ims.example"',
        "session case terminating_unregistered, the user is not registered",
    ]
    assert '      yes: SDP line m= with "^video": there is "m=video 4002 RTP/AVP 96"' in out
    assert "criterion 20, sips:video.ims.example: holds; without an answer of the server the session goes on" in out
    assert out[-1].endswith(": sips:video.ims.example, sip:last.ims.example")


def test_a_request_needs_no_body_and_no_empty_line(files: Files) -> None:
    profile = files.write("p.toml", TOML)
    head = REQUEST.partition("\n\n")[0]
    for text in (head, f"\n\n{head}\n", f"\ufeff{head}\n\n"):
        status, out, _ = files.run("explain", "--profile", profile, "--request", files.write("request.txt", text))
        assert (status, out[1]) == (0, "session case originating, the user is registered")


def test_a_register_is_the_first_one_unless_told(files: Files) -> None:
    arguments = ["explain", "--profile", files.write("p.toml", TOML), "--request", files.write("r.txt", REGISTER)]
    for more, kind, held in (([], "initial", "yes"), (["--registration", "re"], "re", "no")):
        status, out, _ = files.run(*arguments, *more)
        assert (status, out[1]) == (0, f"session case originating, the user is registered, registration {kind}")
        assert any(line.startswith(f"      {held}: method REGISTER, registration initial or de: ") for line in out)


def test_a_request_within_a_dialog_is_said_to_be_one(files: Files) -> None:
    request = files.write("r.txt", REQUEST.replace("2@ims.example>", "2@ims.example>;tag=2"))
    status, out, _ = files.run("explain", "--profile", files.write("p.toml", TOML), "--request", request)
    within = "The To has a tag: this is a request within a dialog, for which no criterion is looked at."
    assert (status, out[:3]) == (0, [within, "", 'INVITE "sip:+8613800000002@ims.example"'])


def test_of_several_profiles_one_is_named(files: Files) -> None:
    arguments = ["explain", "--profile", files.configuration(), "--request", files.write("r.txt", REQUEST)]
    assert files.run(*arguments)[1][3].startswith("criterion 1, sip:127.0.0.1:5064: holds")
    assert files.run(*arguments, "--name", "gold")[1][3].startswith("criterion 0, sip:presence.ims.example: ")
    told = ["ims.toml: expected --name to be one of default, gold"]
    assert files.run(*arguments, "--name", "silver") == (2, [], told)
    none = files.write("none.toml", "profiles = {}")
    told = ["none.toml: expected --name to be one of none, as there are none"]
    assert files.run("explain", "--profile", none, "--request", arguments[-1]) == (2, [], told)


def test_of_several_profiles_in_xml_one_is_named_by_its_identity(files: Files) -> None:
    arguments = ["--profile", files.write("p.xml", SEVERAL)]
    status, out, _ = files.run("check", *arguments)
    assert (status, [line.rpartition(": ")[0].split()[2] for line in out[1:]]) == (0, ["sip:bob@ims.example"])
    arguments += ["--request", files.write("r.txt", REQUEST)]
    assert files.run("explain", *arguments, "--name", "sip:bob@ims.example")[1][-1] == "application servers: none"
    told = ["p.xml: expected --name to be one of sip:ann@ims.example, sip:bob@ims.example"]
    assert files.run("explain", *arguments) == (2, [], told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (REQUEST.replace("Via:", "Vai:"), "r.txt: expected a SIP request: Missing Via header"),
        ("", "r.txt: expected a SIP request: Malformed start line"),
        (REQUEST.replace("To: <", 'To: "<'), "r.txt: expected a SIP request: Malformed address"),
        (REQUEST.replace("SIP/2.0\nVia", "SIP/3.0\nVia"), "r.txt: expected a SIP request: Version Not Supported"),
        (
            REQUEST.replace("INVITE sip:+8613800000002@ims.example SIP/2.0", "SIP/2.0 200 OK"),
            "r.txt: expected a SIP request, found a response",
        ),
    ],
)
def test_what_is_no_request_is_told(files: Files, text: str, told: str) -> None:
    profile = files.write("p.toml", TOML)
    assert files.run("explain", "--profile", profile, "--request", files.write("r.txt", text)) == (2, [], [told])


def test_what_does_not_fit_the_request_is_told(files: Files) -> None:
    arguments = ["explain", "--profile", files.write("p.toml", TOML), "--request"]
    told = ["--registration: expected it with a REGISTER only, found INVITE"]
    assert files.run(*arguments, files.write("r.txt", REQUEST), "--registration", "de") == (2, [], told)
    told = ["nowhere: expected a readable file: No such file or directory"]
    assert files.run(*arguments, str(files.directory / "nowhere")) == (2, [], told)


@pytest.mark.parametrize(
    "arguments",
    ["", "dance", "check", "explain --profile x", "explain --profile x --request y --case z"],
)
def test_a_wrong_command_line_is_2(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["profile", *arguments.split()])
    assert caught.value.code == 2
    assert "usage: ims-acd profile" in capsys.readouterr().err


def test_the_installed_command_checks(files: Files) -> None:
    command = [sys.executable, "-m", "acd.cli", "profile", "check", "--profile", files.write("p.toml", "[[criteria]]")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 2)
    assert "Traceback" not in done.stderr


# The configuration ------------------------------------------------------------------------------------------------


def test_a_configuration_has_profiles_of_both_forms(files: Files) -> None:
    text = CONFIGURATION.replace("GOLD", files.write("gold.xml", XML))
    config = loads(text)
    invite = Trigger(Form.CONJUNCTIVE, ((ServicePointTrigger(Method("INVITE")),),))
    assert config.profiles == {
        "default": ServiceProfile("default", (Criterion(1, Server("sip:127.0.0.1:5064"), invite),)),
        "gold": PROFILE,
    }
    assert loads('[server]\ndomain = "ims.example"').profiles == {}


def test_a_file_of_several_profiles_is_asked_for_that_of_an_identity(files: Files) -> None:
    text = CONFIGURATION.replace("GOLD", files.write("several.xml", SEVERAL))
    assert loads(f'{text}identity = "tel:+8613800000001"').profiles["gold"] == PROFILE
    one = "several.xml: IMSSubscription: expected one ServiceProfile"
    for more, told in (
        ("", f"{one}, or a public identity that says which, found 2"),
        ('identity = "sip:eve@ims.example"', f"{one} with the PublicIdentity sip:eve@ims.example, found 0"),
    ):
        with pytest.raises(ConfigError) as caught:
            loads(text + more)
        assert [line.replace(f"{files.directory}/", "") for line in caught.value.mistakes] == [told]
    with pytest.raises(ConfigError) as caught:
        loads(text.replace("file = ", "# ") + 'identity = "sip:eve@ims.example"', file="ims.toml")
    assert caught.value.mistakes == (
        "ims.toml: profiles.gold.file: expected the file that has the profile of the identity; the key is missing",
    )


def test_profiles_change_without_a_restart(files: Files) -> None:
    text = CONFIGURATION.replace("GOLD", files.write("gold.xml", XML))
    present = loads(text)
    wanted = loads(text.replace("INVITE", "MESSAGE"))
    assert follow(present, wanted) == (wanted, ("profiles",), ())


def test_the_mistakes_of_a_configuration_name_key_or_element(files: Files) -> None:
    text = CONFIGURATION.replace("GOLD", files.write("gold.xml", XML.replace("<Priority>20<", "<Priority>x<")))
    text += '[[profiles.gold.criteria]]\npriority = 0\nserver = "sip:as"\n'
    text += '[[subscribers]]\nprivate = "a@ims.example"\npublic = ["sip:a@ims.example"]\n'
    text += 'password = "x"\nprofile = "siver"\n'
    with pytest.raises(ConfigError) as caught:
        loads(text, file="ims.toml")
    at = "IMSSubscription.ServiceProfile.InitialFilterCriteria[2]"
    assert [line.replace(f"{files.directory}/", "") for line in caught.value.mistakes] == [
        "ims.toml: profiles.gold.criteria: expected none of them beside file, which has its own",
        f'gold.xml: {at}.Priority: expected a whole number, found "x"',
        'ims.toml: subscribers[0].profile: expected a profile (defined: default, gold), found "siver"',
    ]
