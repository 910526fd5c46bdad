"""The pods of a rendered chart, as the programs in them see it: variables, files, commands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.deploy.chart import Manifest, example, pod_specs

SECRETS = {
    "TIDEMARK_EVENTS__IDENTITY_SECRET": "an identity secret of this test",
    "TIDEMARK_API__JWT_SECRET": "a secret of this test, long enough to sign",
    "TIDEMARK_REDIS__URL": "redis://:word@redis:6379/0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """One pod: `given` are its plain variables, `secret` variable -> (secret, key), `mounts` place -> volume."""

    role: str
    arguments: Sequence[str]
    given: Mapping[str, str]
    secret: Mapping[str, tuple[str, str]]
    mounts: Mapping[str, Mapping[str, Any]]

    def variables(self) -> dict[str, str]:
        """All variables, with values for the secrets that could stand there."""
        return dict(self.given) | {name: SECRETS.get(name, "a word of this test") for name in self.secret}

    def files(self) -> dict[str, str]:
        """Variables that name a file -> the file, which a mount must hold."""
        return {name: value for name, value in self.given.items() if value.startswith("/")}


def pods(manifests: Sequence[Manifest]) -> dict[str, Pod]:
    """Return the pods by role; `topics` is the hook's."""
    return {role: _pod(role, spec) for role, spec in pod_specs(manifests)}


@cache
def example_pods(name: str) -> dict[str, Pod]:
    return pods(example(name))


def _pod(role: str, spec: Manifest) -> Pod:
    [container] = spec["containers"]
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len(set(names)), f"{role} is given a variable twice"
    references = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in container["env"] if "valueFrom" in each}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    return Pod(
        role=role,
        arguments=container["args"],
        given={each["name"]: each["value"] for each in container["env"] if "value" in each},
        secret={name: (reference["name"], reference["key"]) for name, reference in references.items()},
        mounts={str(Path(mount["mountPath"])): volumes[mount["name"]] for mount in container["volumeMounts"]},
    )
