"""A library's name appears in its rooms only, imports inside functions and under TYPE_CHECKING too."""

import ast
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, product_modules

ROOMS = {
    "faust": ("aggregator/app.py", "aggregator/faust_*.py"),
    "mode": ("aggregator/app.py", "aggregator/faust_*.py"),
    "aiokafka": (
        "services/kafka*.py",
        "services/log_reader.py",
        "services/publishing.py",
        "services/topics.py",
        "ingest/*",
        "aggregator/*",
    ),
    "redis": ("services/redis_*.py",),
    "limits": ("services/redis_rates.py",),
    "jwt": ("services/tokens.py", "services/token_keys.py"),
    "cryptography": ("services/token_keys.py",),
    "fastapi": ("query_api/*",),
    "starlette": ("query_api/*",),
    "prometheus_client": ("services/telemetry.py", "services/array_histogram.py"),
    "opentelemetry": ("services/spans.py",),
}

ORACLES = ("oracle", "directory_oracle", "directory_lines", "directory_history", "directory_questions", "told")


def imported_libraries(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]


def strangers(library: str, rooms: tuple[str, ...]) -> list[Path]:
    found = []
    for path in product_modules():
        name = path.relative_to(ROOT)
        allowed = any(fnmatch(name.as_posix(), room) for room in rooms)
        if not allowed and library in imported_libraries(path.read_text()):
            found.append(name)
    return found


@pytest.mark.parametrize("library", ROOMS)
def test_a_library_is_imported_only_in_its_rooms(library: str) -> None:
    assert strangers(library, ROOMS[library]) == []


def test_an_import_inside_a_function_does_not_pass_the_fence() -> None:
    source = "def f():\n    from redis.asyncio import Redis\n    import faust.types as t\n"
    assert list(imported_libraries(source)) == ["redis", "faust"]


@pytest.mark.parametrize("name", ORACLES)
def test_an_oracle_knows_nothing_of_the_product(name: str) -> None:
    source = (ROOT / f"tests/support/{name}.py").read_text()
    imported = re.findall(r"^\s*(?:from|import) (\S+)", source, re.MULTILINE)
    strange = {module for module in imported if module.partition(".")[0] not in sys.stdlib_module_names}
    assert strange <= {f"tests.support.{oracle}" for oracle in ORACLES}
