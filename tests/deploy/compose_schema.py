"""The JSON Schema of the Compose specification, from the package check-jsonschema: fetched once, by its hash."""

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.support.kafka_jars import jar_directory

_VERSION: Final = "0.39.0"
_HASH: Final = "sha256:14ce5c94871c551268ea948ffe21e9f1464dc48fb20bf9a4c13deeaaf756cf9b"
_IN_WHEEL: Final = "check_jsonschema/builtin_schemas/vendor/compose-spec.json"


def compose_schema() -> Mapping[str, Any]:
    cached = jar_directory().with_name(f"compose-spec-{_VERSION}.json")
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as scratch:
            draft = Path(scratch) / "schema.json"
            draft.write_bytes(_fetched(Path(scratch)))
            draft.replace(cached)
    read: dict[str, Any] = json.loads(cached.read_text())
    return read


def _fetched(scratch: Path) -> bytes:
    asked = scratch / "asked.txt"
    asked.write_text(f"check-jsonschema=={_VERSION} --hash={_HASH}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command = [*pip, "--require-hashes", "--requirement", str(asked), "--dest", str(scratch)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"pip could not fetch the schema of the Compose specification: {done.stderr}"
    with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel:
        return wheel.read(_IN_WHEEL)
