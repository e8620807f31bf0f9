"""The command `ims-acd`.

    ims-acd serve --config FILE [--set section.key=value ...]   run until SIGTERM
    ims-acd check --config FILE [--set section.key=value ...]   say whether the configuration can be used
    ims-acd kpis --config FILE [--by agent ...]                 key figures of a period, from the event log
    ims-acd demo [...]                                          show five callers and two agents
    ims-acd simulate --config FILE --arrivals EXPR [...]        the engine on a virtual clock: figures and a plot
    ims-acd explain CALL --config FILE                          why a call was offered to whom
    ims-acd profile check --profile FILE                        say whether a service profile can be used
    ims-acd profile explain --profile FILE --request FILE       which application servers see a request, and why
    ims-acd recording decrypt FILE --config FILE                make an encrypted recording playable; also info
    ims-acd subscribers put --config FILE --from FILE           enter subscribers into the database; also list, remove
    ims-acd queue-log --config FILE [--since TIME] [...]        the event log in the form of Asterisk's queue_log
    ims-acd version

Exit status: 0 all went well, 1 it did not, 2 the command line or the configuration is wrong, with one line for
each mistake on standard error.
"""

import argparse
import platform
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

from acd.config import Config, ConfigError
from acd.config.source import Source

WRONG = 2
# The commands with arguments of their own.
_OWN = {
    "demo": "acd.demo",
    "kpis": "acd.kpi.command",
    "profile": "acd.profilecommand",
    "recording": "acd.recordingcommand",
    "simulate": "acd.simulation.command",
    "subscribers": "acd.subscribercommand",
}

_JOURNAL = {"explain": "tell why a call was offered to whom", "queue-log": "print the log as Asterisk's queue_log"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (default: those of the process) and return the exit status."""
    arguments, rest = _parser().parse_known_args(argv)
    if arguments.command in _JOURNAL:
        return int(import_module("acd.journal.command").main(rest, arguments.command))
    if arguments.command in _OWN:
        return int(import_module(_OWN[arguments.command]).main(rest) or 0)
    if rest:
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    if arguments.command == "version":
        core = "compiled" if import_module("ims_core.build").IS_COMPILED else "interpreted"
        return _print(f"ims-acd {version('ims-acd')} (Python {platform.python_version()}, core {core})")
    try:
        source = Source(arguments.config, arguments.set)
        config = source.read()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return WRONG
    if arguments.command == "check":
        return _print(f"{arguments.config}: ok: {summary(config)}")
    return int(import_module("acd.app").run(config, source) or 0)


def summary(config: Config) -> str:
    """Say in one line what a configuration sets up."""
    counts = {
        "accounts": len(config.accounts),
        "agents": len(config.agents),
        "queues": len(config.queues),
        "numbers": len(config.numbers),
    }
    if config.media.backend == "rtpengine":
        counts["rtpengines"] = len(config.media.rtpengine)
    listening = " and ".join(map(str, config.sip.listen))
    return f"{config.server.domain} on {listening}; {', '.join(f'{count} {what}' for what, count in counts.items())}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ims-acd", description="A SIP/IMS core and call-distribution engine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, purpose in (("serve", "run the server"), ("check", "check a configuration")):
        command = commands.add_parser(name, help=purpose, description=purpose.capitalize() + ".")
        command.add_argument("--config", required=True, metavar="FILE", help="the configuration, a TOML file")
        command.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="SECTION.KEY=VALUE",
            help="use this value in place of the file's; may be repeated",
        )
    commands.add_parser("kpis", help="print key figures from the event log", add_help=False)
    commands.add_parser("demo", help="show a few calls on this host", add_help=False)
    commands.add_parser("profile", help="check or explain a service profile", add_help=False)
    commands.add_parser("recording", help="tell of recordings, or decrypt one", add_help=False)
    commands.add_parser("simulate", help="run the engine on a virtual clock", add_help=False)
    commands.add_parser("subscribers", help="change the database of subscribers", add_help=False)
    for name, purpose in _JOURNAL.items():
        commands.add_parser(name, help=purpose, add_help=False)
    commands.add_parser("version", help="print the version")
    return parser


def _print(line: str) -> int:
    print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
