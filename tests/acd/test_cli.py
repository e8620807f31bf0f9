import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from acd.cli import main
from acd.config import Config
from acd.config.source import Source
from ims_core.build import IS_COMPILED

CONFIGS = Path(__file__).parents[2] / "configs"
DEMO = str(CONFIGS / "demo.toml")
WRONG = '[server]\ndomian = "ims.example"\n[sip]\nlisten = "nowhere"\n'


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """The configurations that `serve` was called with, in place of a server."""
    configs: list[Config] = []

    def run(config: Config, source: Source) -> int:
        assert source.read() == config
        configs.append(config)
        return 3

    monkeypatch.setitem(sys.modules, "acd.app", SimpleNamespace(run=run))
    return configs


@pytest.fixture
def wrong(tmp_path: Path) -> str:
    file = tmp_path / "wrong.toml"
    file.write_text(WRONG, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("name", ["demo.toml", "lab.toml"])
def test_check_says_what_a_good_file_sets_up(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(CONFIGS / name)
    assert main(["check", "--config", file]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{file}: ok: ims.example on udp:127.0.0.1:5060 and tcp:127.0.0.1:5060; ")
    assert (out.count("\n"), err) == (1, "")


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_wrong_file_is_told_in_lines_and_2(
    command: str, wrong: str, served: list[Config], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--config", wrong, "--set", "media.workers=0"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(": expected ")[0] for line in err.splitlines()] == [
        f"{wrong}: server.domian",
        f"{wrong}: server.domain",
        f"{wrong}: sip.listen[0]",
        "--set: media.workers",
    ]
    assert served == []


def test_serve_runs_the_server_on_the_changed_configuration(served: list[Config]) -> None:
    assert main(["serve", "--config", DEMO, "--set", "server.drain_seconds=7", "--set", "http.listen="]) == 3
    (config,) = served
    assert (config.server.drain_seconds, config.http.listen) == (7, None)


def test_demo_has_arguments_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[list[str]] = []
    monkeypatch.setitem(sys.modules, "acd.demo", SimpleNamespace(main=given.append))
    assert main(["demo", "--quick", "-h"]) == 0
    assert given == [["--quick", "-h"]]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["serve"],
        ["check", "--config"],
        ["check", "--config", DEMO, "more"],
        ["version", "--config", DEMO],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: ims-acd" in capsys.readouterr().err


def test_the_installed_command_works() -> None:
    command = Path(sys.executable).with_name("ims-acd")
    done = subprocess.run([command, "version"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith(f"ims-acd {version('ims-acd')} (Python 3.")
    assert done.stdout.endswith(f"core {'compiled' if IS_COMPILED else 'interpreted'})\n")


def test_a_wrong_configuration_never_shows_a_traceback(wrong: str) -> None:
    command = [sys.executable, "-m", "acd.cli", "serve", "--config", wrong]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 3
    assert "Traceback" not in done.stderr
