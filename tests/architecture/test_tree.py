import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.architecture.tree import ROOT, tracked_files

_TOP_LEVEL = {
    *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile"),
    *("services", "ingest", "aggregator", "query_api", "deploy", "tests", "requirements"),
}
_INDEX_SETTINGS = ("global.index-url", "global.extra-index-url", "install.index-url", "install.extra-index-url")
_INDEX_VARIABLES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL")
_PUBLIC = {"pypi.org", "files.pythonhosted.org"}


def words_of_this_machine() -> set[str]:
    """Paths and host names that only this machine knows, taken from itself: written here they would be found."""
    paths = {
        f"{Path.home()}/",
        f"{ROOT}/",
        *(value + "/" for value in map(os.environ.get, ["XDG_CACHE_HOME"]) if value),
    }
    return {word for word in paths | index_hosts() if len(word) > 3} - _PUBLIC


def index_hosts() -> set[str]:
    addresses = [os.environ.get(name, "") for name in _INDEX_VARIABLES]
    pip = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(pip, capture_output=True, text=True, check=False, timeout=60).stdout
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        if name in _INDEX_SETTINGS:
            addresses.append(value.strip("'\""))
    return {urlsplit(address).hostname or "" for text in addresses for address in text.split()} - {""}


def text_of(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")


def test_no_file_names_a_path_or_an_index_of_this_machine() -> None:
    words = words_of_this_machine()
    found = [(path.relative_to(ROOT), word) for path in tracked_files() for word in words if word in text_of(path)]
    assert found == []


@pytest.mark.parametrize("lock", ["runtime", "local", "dev", "build"])
def test_a_lock_holds_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / f"requirements/{lock}.lock").read_text()
    assert "://" not in text
    pinned = re.findall(r"^[a-z0-9].*?==", text, re.MULTILINE)
    assert pinned
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=[a-z0-9])", text.strip()))


def test_the_wheel_is_built_with_what_developers_build_it_with() -> None:
    build, dev = ((ROOT / f"requirements/{name}.lock").read_text() for name in ("build", "dev"))
    assert set(re.split(r"\n(?=[a-z0-9])", build.strip())) <= set(re.split(r"\n(?=[a-z0-9])", dev.strip()))


def test_the_top_level_is_as_the_house_fixes_it() -> None:
    top = {path.relative_to(ROOT).parts[0] for path in tracked_files()}
    assert {name for name in top if not name.startswith(".")} == _TOP_LEVEL


def test_every_decision_record_ends_with_what_enforces_it() -> None:
    for path in (ROOT / "deploy/docs/adr").glob("[0-9]*.md"):
        *_, (title, body) = re.findall(r"^##+ (.+)\n([^#]*)", path.read_text(), re.MULTILINE)
        assert title.strip().lower() == "enforced by", path.name
        assert body.strip(), path.name


def test_no_file_is_named_after_nothing_in_particular() -> None:
    vague = re.compile(r"(^|_)(helpers?|utils?|managers?)(_|\.)")
    assert [path for path in tracked_files() if path.suffix == ".py" and vague.search(path.name)] == []
