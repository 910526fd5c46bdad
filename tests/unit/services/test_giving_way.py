"""How the roles that may give way begin."""

import os
from types import ModuleType

import pytest

import aggregator.__main__
import ingest.__main__


@pytest.mark.parametrize(
    ("role", "variables", "niceness"),
    [
        (ingest.__main__, {}, 5),
        (ingest.__main__, {"TIDEMARK_INGEST__NICENESS": "0"}, 0),
        (aggregator.__main__, {}, 3),
        (aggregator.__main__, {"TIDEMARK_AGGREGATOR__NICENESS": "0"}, 0),
    ],
)
def test_ingest_gives_way_to_who_counts_and_who_counts_to_redis(
    monkeypatch: pytest.MonkeyPatch, role: ModuleType, variables: dict[str, str], niceness: int
) -> None:
    given: list[int] = []
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "nice", given.append)
    monkeypatch.setattr(role, "run", lambda _: 0)
    assert role.main() == 0
    assert given == [niceness]
