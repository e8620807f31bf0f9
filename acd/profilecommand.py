r"""`ims-acd profile`: whether a service profile can be used, and what it decides about a request.

  ims-acd profile check --profile FILE
  ims-acd profile explain --profile FILE --request FILE [--case CASE] [--registration KIND] [--name NAME]

FILE of --profile is one of
  the XML of the Cx interface (TS 29.228), an IMSSubscription or a ServiceProfile; of several --name says which, by the
  first public identity that has it
  TOML with [[criteria]] tables, as below [profiles.NAME] in a configuration
  a configuration; of several profiles --name says which, else it is "default"

FILE of --request is a SIP request as text, with LF or CRLF at the ends of its lines; its end is the end of the body.

The explanation says of each criterion, in the order in which they are asked, whether it holds, and of each condition
what in the request is as it says, or what there is instead.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from acd.config import ConfigError
from acd.config.load import read_tables
from acd.config.mistakes import Mistakes
from acd.config.profiles import ProfileTable, read_profile, read_profiles, report
from acd.config.reader import read, read_struct
from acd.config.values import Identifier
from ims_core.errors import SipError
from ims_core.messages.message import Request
from ims_core.messages.parser import parse_message
from ims_core.profiles import cx
from ims_core.profiles.explain import explain
from ims_core.profiles.matching import Facts
from ims_core.profiles.mistakes import ProfileError
from ims_core.profiles.model import Registration
from ims_core.profiles.tables import CASES, REGISTRATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ims_core.profiles.model import ServiceProfile

WRONG = 2
_DEFAULT = "default"
_LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*:[^\r\n]*", re.IGNORECASE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `check` or `explain` with these arguments; return the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        profiles = _profiles(arguments.profile)
        if arguments.action == "check":
            for name, profile in profiles.items():
                print(f"{arguments.profile}: ok: {name}: {_counted(profile)}")
            return 0
        profile = _chosen(profiles, arguments.name, arguments.profile)
        request = _request(arguments.request)
        registration = _registration(request, arguments.registration)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return WRONG
    if request.to_tag:
        print("The To has a tag: this is a request within a dialog, for which no criterion is looked at.\n")
    for line in explain(profile, Facts(request, CASES[arguments.case], registration)):
        print(line)
    return 0


def _profiles(file: str) -> dict[str, ServiceProfile]:
    """Return the profiles of a file by their names. Raises ConfigError."""
    mistakes = Mistakes(file)
    content = _content(file)
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        profiles = _from_xml(content, mistakes)
    else:
        profiles = _from_tables(read_tables(file), mistakes)
    if mistakes.lines:
        raise ConfigError(mistakes.lines)
    return profiles


def _from_xml(content: bytes, mistakes: Mistakes) -> dict[str, ServiceProfile]:
    try:
        profiles = cx.read_all(content)
    except ProfileError as error:
        report(error, (), mistakes)
        return {}
    if len(profiles) == 1:
        return {_DEFAULT: profiles[0]}
    return {profile.name or f"ServiceProfile[{index}]": profile for index, profile in enumerate(profiles)}


def _from_tables(tables: dict[str, object], mistakes: Mistakes) -> dict[str, ServiceProfile]:
    if "profiles" in tables:
        written = read(Mapping[Identifier, ProfileTable], tables["profiles"], ("profiles",), mistakes.report)
        return read_profiles(written, mistakes) if isinstance(written, Mapping) else {}
    if "criteria" in tables:
        profile = read_profile(_DEFAULT, read_struct(ProfileTable, tables, (), mistakes.report), (), mistakes)
        return {} if profile is None else {_DEFAULT: profile}
    mistakes.report((), "[[criteria]] tables, or [profiles.NAME] as a configuration has them")
    return {}


def _chosen(profiles: Mapping[str, ServiceProfile], name: str | None, file: str) -> ServiceProfile:
    if name is None and len(profiles) == 1:
        return next(iter(profiles.values()))
    chosen = profiles.get(name or _DEFAULT)
    if chosen is None:
        raise ConfigError([f"{file}: expected --name to be one of {', '.join(profiles) or 'none, as there are none'}"])
    return chosen


def _request(file: str) -> Request:
    """Return the request in a text file. Raises ConfigError."""
    text = _content(file).removeprefix(b"\xef\xbb\xbf").lstrip()
    head, _, body = text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n").partition(b"\r\n\r\n")
    try:
        message = parse_message(_LENGTH.sub(b"", head.rstrip()) + b"\r\n\r\n" + body)
        _ = message.to_tag
    except SipError as error:
        raise ConfigError([f"{file}: expected a SIP request: {error.reason}"]) from None
    if not isinstance(message, Request):
        raise ConfigError([f"{file}: expected a SIP request, found a response"])
    return message


def _registration(request: Request, named: str | None) -> Registration | None:
    if request.method == "REGISTER":
        return REGISTRATIONS[named or "initial"]
    if named is not None:
        raise ConfigError([f"--registration: expected it with a REGISTER only, found {request.method}"])
    return None


def _content(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name is none"
        raise ConfigError([f"{file}: expected a readable file: {why}"]) from None


def _counted(profile: ServiceProfile) -> str:
    count = len(profile.criteria)
    servers = dict.fromkeys(criterion.server.uri for criterion in profile.criteria)
    listed = f", in order {', '.join(servers)}" if servers else ""
    return f"{count} {'criterion' if count == 1 else 'criteria'}{listed}"


def _parser() -> argparse.ArgumentParser:
    purpose, _, explained = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="ims-acd profile",
        description=purpose,
        epilog=explained,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, what in (("check", "say whether a profile can be used"), ("explain", "say what it decides, and why")):
        action = actions.add_parser(name, help=what, description=f"{what.capitalize()}.")
        action.add_argument("--profile", required=True, metavar="FILE", help="the profile, TOML or XML")
    action.add_argument("--request", required=True, metavar="FILE", help="a SIP request as text")
    action.add_argument("--case", default="originating", choices=CASES, help="the session case; default originating")
    action.add_argument(
        "--registration", choices=REGISTRATIONS, help="what a REGISTER does; default initial, the first one"
    )
    action.add_argument("--name", metavar="NAME", help="the profile, where the file has several")
    return parser
