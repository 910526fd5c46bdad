"""Good directory events as bytes, and the admission that the tests of this directory judge them by."""

import copy
from typing import Any

from ingest.directory_admission import DirectoryAdmission
from ingest.verdicts import AdmissionRules
from services.events import UnknownFields
from tests.unit.ingest.good_events import MAX_AGE_MS, MAX_AHEAD_MS, MAX_BYTES, TIME

DATA: dict[str, dict[str, Any]] = {
    "directory.organization": {
        "name": "Örg 1",
        "parentId": "org-0",
        "publicKey": "-----BEGIN",
        "samlEnabled": True,
        "smtpConfigured": False,
        "usernamePasswordEnabled": True,
        "domains": ["org.example", "x"],
        "planType": "Enterprise",
        "tier": "professional",
    },
    "directory.team": {"name": "Core", "isDefaultTeam": True},
    "directory.user": {
        "username": "Ann",
        "email": "ann@org.example",
        "role": "TeamLead",
        "verified": False,
        "status": "registered",
        "teamId": "team-1",
        "leads": ["team-1", "team-2"],
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": "2026-02-01T00:00:00Z",
        "deactivatedAt": "2026-03-01T00:00:00Z",
    },
    "directory.group": {"name": "Staff"},
    "directory.license": {
        "exp": 2_000_000_000,
        "iat": 1_700_000_000,
        "seats": 10,
        "seatsCap": 2**31 - 1,
        "audience": "acme",
        "features": ["chat", "agent"],
        "settings": {"chat": {"models": ["a", None, 1.5, -(2**63), 2**64 - 1]}, "": []},
    },
}
REQUIRED: dict[str, tuple[str, ...]] = {
    "directory.organization": ("name",),
    "directory.team": ("name",),
    "directory.user": ("username", "email", "role", "verified", "status"),
    "directory.group": ("name",),
    "directory.license": ("exp", "iat"),
}
TYPES = tuple(DATA)


def directory_event(kind: str = "directory.user", *without: str, **changes: Any) -> dict[str, Any]:
    """Return a good upsert of everything that its type has, with some attributes changed or left out."""
    whole: dict[str, Any] = {
        "specversion": "1.0",
        "id": "d-1",
        "source": "/identity",
        "type": kind,
        "time": TIME,
        "subject": "org-1" if kind == "directory.organization" else "thing-1",
        "organizationid": "org-1",
        "data": {"action": "upsert", "version": 7} | copy.deepcopy(DATA[kind]),
    }
    return {name: value for name, value in (whole | changes).items() if name not in without}


def with_data(kind: str, *without: str, **changes: Any) -> dict[str, Any]:
    """Return a good upsert with some fields of its data changed or left out."""
    whole = directory_event(kind)["data"] | changes
    return directory_event(kind, data={name: value for name, value in whole.items() if name not in without})


def directory_admission(unknown_fields: UnknownFields = "refuse") -> DirectoryAdmission:
    return DirectoryAdmission(
        AdmissionRules(
            ignore_unknown=unknown_fields == "ignore",
            max_bytes=MAX_BYTES,
            max_age_ms=MAX_AGE_MS,
            max_ahead_ms=MAX_AHEAD_MS,
        )
    )
