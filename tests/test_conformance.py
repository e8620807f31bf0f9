"""The conformance pages tell what the tests show now, and what is not supported."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts/conformance.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("conformance", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_current_and_no_test_claims_what_is_not_supported() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("claimed", ["3911-4", "3261-23", "3261-23.4.1"])
def test_a_claim_of_what_is_not_supported_is_told(script: ModuleType, claimed: str) -> None:
    found = script.Collector()
    found.clauses[claimed].add("tests/test_x.py::test_y")
    titles = {"3911": "Join", "3261": "SIP"}
    lacking = [script.Unsupported(clause, "this", "because") for clause in ("3261-23", "3911")]
    told = script.mistakes(found, script.Data(titles, lacking))
    assert told == [f"{claimed} is not supported (conformance.toml), and claimed by tests/test_x.py::test_y"]


def test_a_claim_beside_it_is_none_and_a_standard_must_have_a_title(script: ModuleType) -> None:
    found = script.Collector()
    found.clauses["3261-2"].add("tests/test_x.py::test_y")
    found.clauses["9999-1"].add("tests/test_x.py::test_y")
    told = script.mistakes(found, script.Data({"3261": "SIP"}, [script.Unsupported("3261-23", "this", "because")]))
    assert told == ["RFC 9999 has no title in conformance.toml"]


def test_what_only_ims_core_has_must_be_shown(script: ModuleType) -> None:
    found = script.Collector()
    found.clauses["3515-2.1"].add("tests/test_x.py::test_y")
    only = [script.Unsupported(clause, "this", "because") for clause in ("3515", "3891")]
    data = script.Data({"3515": "REFER"}, [], only)
    assert script.mistakes(found, data) == ["3891 is said to be in ims_core (conformance.toml), and claimed by no test"]
    assert "| RFC 3515 | this | because |" in script.pages(found, data)["conformance.md"].splitlines()


def test_a_test_with_a_program_of_others_is_marked_with_its_name(script: ModuleType) -> None:
    found = script.Collector()
    for test in ("tests/a.py::test_one", "tests/b.py::test_two"):
        found.clauses["3261-9.1"].add(test)
    found.peers["sipp"].add("tests/b.py::test_two")
    lacking = [script.Unsupported("3911", "Join", "there are no conferences")]
    pages = script.pages(found, script.Data({"3261": "SIP"}, lacking))
    assert "- [`b.py::test_two`](../../tests/b.py) **sipp**" in pages["conformance/rfc3261.md"].splitlines()
    index = pages["conformance.md"].splitlines()
    assert "| [RFC 3261](conformance/rfc3261.md) | SIP | 1 | 2 | 1 |" in index
    assert "| RFC 3911 | Join | there are no conferences |" in index
    assert "| sipp | 1 | [`b`](../tests/b.py) |" in index


def test_what_is_not_supported_says_why_in_a_line(script: ModuleType) -> None:
    data = script.read()
    for entries in (data.unsupported, data.ims_core_only):
        clauses = [entry.clause for entry in entries]
        assert clauses
        assert clauses == sorted(set(clauses), key=script.clause_key)
        for entry in entries:
            assert entry.what
            assert entry.reason
            assert "\n" not in entry.reason
