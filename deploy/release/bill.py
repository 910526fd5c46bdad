"""The bill of materials (SBOM) of a release, in CycloneDX 1.6: the wheel, and what its lock file installs. Pure.

Everything in it follows from the wheel, the lock file and the commit's time, its serial number too. Licences are not
in it, and of who needs whom only what the wheel itself asks for: the lock file says neither, and what is not known is
absent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from deploy.release.lock_file import Pin

SPECIFICATION: Final = "1.6"
MARKER_PROPERTY: Final = "tidemark:installed-where"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """What the bill is of.

    Attributes:
        name, version, license: of the distribution; the licence as SPDX names it.
        file, digest: name and SHA-256 of the wheel.
        needs: names of the distributions that it asks for, normalized.
    """

    name: str
    version: str
    license: str
    file: str
    digest: str
    needs: Sequence[str]

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def bill_of(wheel: Wheel, pins: Sequence[Pin], made_s: int) -> dict[str, Any]:
    """Return the bill as JSON members; `made_s` is the time of the commit, in UNIX seconds."""
    body: dict[str, Any] = {
        "metadata": {
            "timestamp": datetime.fromtimestamp(made_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycles": [{"phase": "build"}],
            "component": _of_wheel(wheel),
        },
        "components": [_of_pin(pin) for pin in pins],
        "dependencies": [{"ref": wheel.purl, "dependsOn": sorted(p.purl for p in pins if _normal(p) in wheel.needs)}],
        "compositions": [
            {"aggregate": "complete", "assemblies": [wheel.purl]},
            {"aggregate": "incomplete", "dependencies": [pin.purl for pin in pins]},
        ],
    }
    return {"bomFormat": "CycloneDX", "specVersion": SPECIFICATION, "serialNumber": _serial(body), "version": 1, **body}


def _of_wheel(wheel: Wheel) -> dict[str, Any]:
    return {
        "type": "application",
        "bom-ref": wheel.purl,
        "name": wheel.name,
        "version": wheel.version,
        "hashes": [{"alg": "SHA-256", "content": wheel.digest}],
        "licenses": [{"license": {"id": wheel.license}}],
        "purl": wheel.purl,
        "properties": [{"name": "tidemark:file", "value": wheel.file}],
    }


def _of_pin(pin: Pin) -> dict[str, Any]:
    """Return a component. Which of its files is installed depends on the machine: each one's hash is given."""
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": pin.purl,
        "name": pin.name,
        "version": pin.version,
        "scope": "optional" if pin.marker else "required",
        "purl": pin.purl,
        "externalReferences": [
            {"type": "distribution", "url": pin.purl, "hashes": [{"alg": "SHA-256", "content": h} for h in pin.hashes]}
        ],
    }
    if pin.marker:
        component["properties"] = [{"name": MARKER_PROPERTY, "value": pin.marker}]
    return component


def _normal(pin: Pin) -> str:
    return pin.purl.removeprefix("pkg:pypi/").partition("@")[0]


def _serial(body: Mapping[str, Any]) -> str:
    """Return a serial number that the same contents always have: the specification wants a random UUID or this."""
    return UUID(bytes=sha256(repr(body).encode()).digest()[:16], version=4).urn
