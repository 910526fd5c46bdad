"""What a release is made of: the lock file, the bill of materials, the archive, and versions that must agree."""

import json
import os
from pathlib import Path

import pytest

from deploy.release.archive import archive_of
from deploy.release.bill import MARKER_PROPERTY, Wheel, bill_of
from deploy.release.lock_file import Pin, WrongLock, read_lock
from deploy.release.versions import NotReady, check_changelog, check_chart
from tests.support.pipeline import ROOT

ONE, TWO = "1" * 64, "2" * 64
LOCK = f"""# made by uv
Some.Thing_else==1.2.3 ; python_full_version < '3.12' \\
    --hash=sha256:{ONE} \\
    --hash=sha256:{TWO}
redis==8.1.0 \\
    --hash=sha256:{TWO}
"""
MADE_S = 1_700_000_000
WHEEL = Wheel(name="tidemark-usage", version="7.1.0", license="Apache-2.0", file="t.whl", digest=ONE, needs=["redis"])


def test_a_lock_file_gives_its_pins_with_all_their_hashes() -> None:
    assert read_lock(LOCK) == [
        Pin(name="Some.Thing_else", version="1.2.3", marker="python_full_version < '3.12'", hashes=(ONE, TWO)),
        Pin(name="redis", version="8.1.0", marker="", hashes=(TWO,)),
    ]


@pytest.mark.parametrize(
    "line",
    ["redis", "redis>=8", "redis==8", f"redis==8 --hash=md5:{ONE}", "-r other.lock", f"redis==8 --hash=sha256:{ONE} x"],
)
def test_a_line_that_is_no_pin_is_refused_not_left_out(line: str) -> None:
    with pytest.raises(WrongLock, match="make lock"):
        read_lock(f"{LOCK}{line}\n")


def test_the_bill_lists_everything_that_the_lock_file_installs() -> None:
    bill = bill_of(WHEEL, read_lock(LOCK), MADE_S)
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert bill["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    assert bill["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": ONE}]
    thing, redis = bill["components"]
    assert (thing["purl"], thing["scope"]) == ("pkg:pypi/some-thing-else@1.2.3", "optional")
    assert thing["properties"] == [{"name": MARKER_PROPERTY, "value": "python_full_version < '3.12'"}]
    assert [each["content"] for each in thing["externalReferences"][0]["hashes"]] == [ONE, TWO]
    assert (redis["purl"], redis["scope"]) == ("pkg:pypi/redis@8.1.0", "required")
    assert bill["dependencies"] == [{"ref": "pkg:pypi/tidemark-usage@7.1.0", "dependsOn": [redis["purl"]]}]


def test_the_bill_of_the_same_is_the_same_and_of_another_lock_another() -> None:
    bills = [
        json.dumps(bill_of(WHEEL, read_lock(lock), MADE_S)) for lock in (LOCK, LOCK, LOCK.replace("8.1.0", "8.1.1"))
    ]
    assert bills[0] == bills[1]
    serials = [json.loads(bill)["serialNumber"] for bill in bills]
    assert serials[0] != serials[2]


def test_the_runtime_lock_of_the_project_is_understood() -> None:
    pins = read_lock((ROOT / "requirements/runtime.lock").read_text())
    assert len({pin.purl for pin in pins}) == len(pins) > 50
    assert {"aiokafka", "faust-streaming", "redis", "numpy"} <= {pin.name for pin in pins}


def test_an_archive_depends_on_names_and_contents_alone(tmp_path: Path) -> None:
    packed = []
    for number, order in enumerate((["a.yaml", "templates/b.yaml"], ["templates/b.yaml", "a.yaml"])):
        directory = tmp_path / str(number)
        for at, name in enumerate(order):
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
            path.chmod(0o600 if number else 0o664)
            os.utime(path, (number + at, number + at))
        packed.append(archive_of(directory, "tidemark", MADE_S))
    assert packed[0] == packed[1]
    assert archive_of(tmp_path / "0", "tidemark", MADE_S + 1) != packed[0]


def test_a_version_without_its_section_is_not_released() -> None:
    check_changelog("# Changelog\n\n## [Unreleased]\n\n## [7.1.0] - 2026-11-26\n", "7.1.0")
    for text in ("## [Unreleased]\n", "## [7.1.0]\n", "## [7x1.0] - 2026-11-26\n", "see ## [7.1.0] - 2026-11-26\n"):
        with pytest.raises(NotReady, match=r"no section `## \[7\.1\.0\]"):
            check_changelog(text, "7.1.0")


def test_a_chart_of_another_version_is_not_released() -> None:
    check_chart('name: tidemark\nversion: 7.1.0\nappVersion: "7.1.0"  # the same\n', "7.1.0")
    for text in ("version: 7.1.0\n", "version: 7.1.0\nappVersion: 7.1.1\n", "version: 7.1\nappVersion: 7.1.0\n"):
        with pytest.raises(NotReady, match=r"set both to 7\.1\.0"):
            check_chart(text, "7.1.0")
