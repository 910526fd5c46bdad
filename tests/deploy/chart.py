"""The chart as Helm renders it."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.chart_tools import KUBERNETES, helm

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
CHART: Final = DEPLOY / "helm/tidemark"
EXAMPLES: Final = {path.stem: path for path in sorted((DEPLOY / "helm/examples").glob("*.yaml"))}
RELEASE, NAMESPACE = "tidemark", "usage"
OPERATOR_API: Final = "monitoring.coreos.com/v1"

Manifest = Mapping[str, Any]


class Refused(Exception):
    """Helm would not render; the text is what it says."""


def run_helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(helm()), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def render(
    *values: Path,
    sets: Sequence[str] = (),
    apis: Sequence[str] = (),
    kubernetes: str = KUBERNETES[-1],
    chart: Path = CHART,
) -> tuple[Manifest, ...]:
    """Return what `helm template` makes of values files.

    Args:
        sets: `--set` after the files, such as "ingest.replicas=3".
        apis: that the cluster knows besides its own.
        chart: its directory, or its package.

    Raises:
        Refused: the values are wrong.
    """
    files = [argument for path in values for argument in ("--values", path)]
    given = [argument for text in sets for argument in ("--set", text)]
    known = [argument for api in apis for argument in ("--api-versions", api)]
    options = ("--namespace", NAMESPACE, "--kube-version", f"{kubernetes}.0")
    done = run_helm("template", RELEASE, chart, *options, *files, *given, *known)
    if done.returncode != 0:
        raise Refused(done.stderr)
    return tuple(each for each in yaml.safe_load_all(done.stdout) if each)


@cache
def example(name: str) -> tuple[Manifest, ...]:
    """Return the manifests of one of the examples."""
    return render(EXAMPLES[name])


def of_kind(manifests: Sequence[Manifest], *kinds: str) -> list[Manifest]:
    return [each for each in manifests if each["kind"] in kinds]


def pod_specs(manifests: Sequence[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield the role and the pod's spec of all that runs pods, the hook too."""
    for each in of_kind(manifests, "Deployment", "Job"):
        template = each["spec"]["template"]
        yield template["metadata"]["labels"]["app.kubernetes.io/component"], template["spec"]
