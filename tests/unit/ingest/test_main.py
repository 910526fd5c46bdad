"""How the ingest process begins."""

import os

import pytest

import ingest.__main__


@pytest.mark.parametrize(("variables", "niceness"), [({}, 5), ({"TIDEMARK_INGEST__NICENESS": "0"}, 0)])
def test_ingest_gives_way_to_those_who_count(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], niceness: int
) -> None:
    given: list[int] = []
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "nice", given.append)
    monkeypatch.setattr(ingest.__main__, "run", lambda _: 0)
    assert ingest.__main__.main() == 0
    assert given == [niceness]
