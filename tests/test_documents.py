"""What the pages say of files, commands and the demonstration is so."""

import re
from pathlib import Path

import pytest

from acd.config.load import load
from acd.config.model import ToAnnouncement, ToEcho, ToFlow, ToQueue

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
)
FOLDERS = "(?:ims_core|media|acd|tests|scripts|benchmarks|configs|deploy|docs|examples)"
TABLE = re.MULTILINE | re.DOTALL
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link}
    missing = [link for link in links if link and not ((ROOT / page).parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_a_page_names_exists(page: str) -> None:
    """A name without a folder is of the one that was named before it in the same paragraph or row."""
    missing = []
    for paragraph in re.split(r"\n(?:\n|(?=\||- |\d\. ))", (ROOT / page).read_text(encoding="utf-8")):
        folder = ROOT
        for name in re.findall(rf"`({FOLDERS}/[\w./-]*|\w+\.py)`", paragraph):
            path = ROOT / name if "/" in name else folder / name
            folder = path if path.is_dir() else path.parent
            missing += [] if path.exists() else [name]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_that_a_page_shows_can_be_used(page: str, tmp_path: Path) -> None:
    for number, shown in enumerate(
        re.findall(r"^```toml\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), TABLE)
    ):
        file = tmp_path / f"{number}.toml"
        file.write_text(f'[server]\ndomain = "ims.example"\n{shown}')
        load(file)


@pytest.mark.parametrize("page", PAGES)
def test_every_metric_that_a_page_names_is_declared(page: str) -> None:
    files = *sorted((ROOT / "acd/metrics").glob("*.py")), ROOT / "acd/ims/figures.py"
    declared = "".join(file.read_text(encoding="utf-8") for file in files)
    named = set(re.findall(r"`(acd_[a-z_]*[a-z])[`{]", (ROOT / page).read_text(encoding="utf-8")))
    assert {name for name in named if f'"{name}"' not in declared} == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_a_page_names_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^    )make ([a-z-]+)(?:`|$)", text, re.MULTILINE))
    assert named - targets == set()


def test_the_readme_tells_how_to_use_the_demonstration() -> None:
    config = load(ROOT / "configs/demo.toml")
    assert f"`{config.server.domain}`" in README
    dialled = dict(re.findall(r"^\| `(\d+)` \| (.+) \|$", README, re.MULTILINE))
    assert dialled.keys() == config.numbers.keys()
    kinds = {"menu": ToFlow, "queue": ToQueue, "echo": ToEcho, "announcement": ToAnnouncement}
    for number, text in dialled.items():
        (kind,) = (kind for word, kind in kinds.items() if word in text)
        assert isinstance(config.numbers[number], kind), number
    passwords = {account.password for account in config.accounts.values()}
    assert passwords == {"demo"}
    told = {"alice", "bob", *(f"caller{n}" for n in range(1, 6)), *(str(n) for n in range(1001, 1005))}
    assert set(config.accounts) == told
    assert "`alice`, `bob`, `caller1` to `caller5`" in README
    assert "`1001` to `1004`" in README


@pytest.mark.parametrize("name", ["demo", "lab"])
def test_the_shipped_configurations_play_prompts_that_exist(name: str) -> None:
    config = load(ROOT / f"configs/{name}.toml")
    played: set[str] = set()
    for number in config.numbers.values():
        played |= set(number.announcement) if isinstance(number, ToAnnouncement) else set()
    for flow in config.flows.values():
        played |= {*flow.greeting, *flow.menu}
    for queue in config.queues.values():
        played |= {*queue.welcome, queue.music}
    missing = [prompt for prompt in played if prompt and not (ROOT / f"media/prompts/{prompt}.wav").exists()]
    assert played
    assert not missing
