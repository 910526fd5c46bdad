from pathlib import Path
from typing import Any

import pytest

from query_api.app import create_app
from query_api.tiers import SHIPPED, load_tiers
from services.memory_counters import MemoryCounterStore
from services.settings_loading import WrongSettings
from services.telemetry import Telemetry
from tests.support.api_in_process import PARTITIONS, SETTINGS

GOOD = """
default = "free"
[tiers.free]
custom_templates_allowed = false
nhi_external_connections_allowed = true
max_suborganizations = 0
max_persons = 10
max_groups = "unlimited"
"""


def load(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "tiers.toml"
    path.write_text(text)
    return load_tiers(path)


def test_the_shipped_file_has_the_five_known_names() -> None:
    tiers = load_tiers(None)
    assert list(tiers.by_name) == [
        "free-trial",
        "professional",
        "enterprise",
        "enterprise-with-nhi",
        "identity-protection",
    ]
    assert tiers.default.name == "free-trial"


def test_an_own_file_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    tiers = load(tmp_path, GOOD)
    assert list(tiers.by_name) == ["free"]
    tier = tiers.by_name["free"]
    assert (tier.max_suborganizations, tier.max_persons, tier.max_groups) == (0, 10, None)
    assert (tier.custom_templates_allowed, tier.nhi_external_connections_allowed) == (False, True)


def test_a_tier_that_nobody_knows_is_the_default_one(tmp_path: Path) -> None:
    tiers = load(tmp_path, GOOD + GOOD.replace('default = "free"', "").replace("tiers.free", "tiers.other"))
    assert tiers.of("other").name == "other"
    assert tiers.of(None) is tiers.of("gone") is tiers.default


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("max_persons = 10", "", ["tier 'free'", "'max_persons' is missing"]),
        ("max_persons", "max_person", ["tier 'free'", "no key 'max_person'"]),
        ("max_persons = 10", "max_persons = -1", ["tier 'free'", "max_persons", "unlimited"]),
        ("max_persons = 10", "max_persons = true", ["tier 'free'", "max_persons"]),
        ("max_persons = 10", "max_persons = 1.0", ["tier 'free'", "max_persons"]),
        ("max_persons = 10", "max_persons = 9_007_199_254_740_992", ["tier 'free'", "max_persons"]),
        ('"unlimited"', '"Unlimited"', ["tier 'free'", "max_groups"]),
        ("= true", '= "true"', ["tier 'free'", "nhi_external_connections_allowed", "true or false"]),
        ('default = "free"', 'default = "none"', ["default", "free"]),
        ('default = "free"', "default = 1", ["default"]),
        ('default = "free"', "", ["'default' is missing"]),
        ('default = "free"', 'default = "free"\nextra = 1', ["no key 'extra'"]),
        ("[tiers.free]", "[tiers]\nfree = 1\n[tiers.other]", ["tier 'free'", "[tiers.free]"]),
        ("[tiers.free]", '[tiers."a\\nb"]', ["64 characters"]),
        ("[tiers.free]", '[tiers.""]', ["64 characters"]),
        ("[tiers.free]", "[tiers.free", ["line 3"]),
    ],
)
def test_a_file_that_cannot_be_used_stops_the_start_with_one_sentence(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    assert old in GOOD
    with pytest.raises(WrongSettings) as refused:
        load(tmp_path, GOOD.replace(old, new))
    sentence = str(refused.value)
    assert sentence.startswith(f"TIDEMARK_API__TIERS_FILE: {tmp_path / 'tiers.toml'}: ")
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


@pytest.mark.parametrize("text", ['default = "free"\ntiers = {}', 'default = "free"\ntiers = 1'])
def test_a_file_without_tiers_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(WrongSettings, match="tables"):
        load(tmp_path, text)


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongSettings, match="No such file"):
        load_tiers(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(WrongSettings, match="utf-8"):
        load_tiers(tmp_path / "bytes.toml")


def test_the_shipped_file_lies_in_the_package() -> None:
    assert SHIPPED.parent.name == "query_api"


def test_the_served_document_has_the_names_of_the_file(tmp_path: Path) -> None:
    tiers = load(
        tmp_path, GOOD.replace("[tiers.free]", '[tiers."free of charge"]').replace('"free"', '"free of charge"')
    )
    document = create_app(MemoryCounterStore(PARTITIONS), SETTINGS, Telemetry("api"), tiers=tiers).openapi()
    for schema in ("PricingTierConstraints", "CurrentTier"):
        name = document["components"]["schemas"][schema]["properties"]["name"]
        assert (name["type"], name["enum"]) == ("string", list(tiers.by_name))
