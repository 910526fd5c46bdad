"""What the served OpenAPI document has beyond the two contracts, or otherwise: all of it, and nothing else.

`tests/contract/test_openapi_contract.py` compares the document with both, and finds these rows and no other.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """One thing that is more or otherwise.

    Attributes:
        where: operations ("GET /path") and schemas ("schema Team") of the document; each of them has all of `what`.
        note: what allows it: the contract notes (A01 to A31, Q1 to Q10), the design, a decision record, a standard.
    """

    where: tuple[str, ...]
    what: tuple[str, ...]
    note: str
    sentence: str


_USAGE: Final = ("GET /api/v1/organization/usage", "GET /api/v1/team/usage", "GET /api/v1/user/usage")
_FOR_EVERYBODY: Final = ("GET /api/v1/organization", "GET /api/v1/organization/teams")
_WITH_403: Final = ("GET /api/v1/team/usage", "GET /api/v1/user/usage", "GET /api/v1/user/{user_id}")
_WITHOUT_403: Final = (
    "GET /api/v1/license",
    "GET /api/v1/organization/account-utilizations",
    "GET /api/v1/instance/permissions",
    "GET /api/v1/organization/usage",
    "GET /api/v1/organization/users",
    "GET /api/v1/team/account-utilizations",
    "GET /api/v1/team/{teamId}",
    "GET /api/v1/team/{teamId}/users",
)
_V1: Final = (*_FOR_EVERYBODY, *_WITH_403, *_WITHOUT_403)
_PAGED: Final = (
    "GET /api/v1/organization/teams",
    "GET /api/v1/organization/users",
    "GET /api/v1/team/{teamId}/users",
)
_OF_TEAM: Final = (
    "GET /api/v1/team/account-utilizations",
    "GET /api/v1/team/usage",
    "GET /api/v1/team/{teamId}",
    "GET /api/v1/team/{teamId}/users",
)
_QUOTA_USAGE: Final = "GET /organizations/quota/usage"
_CURRENT_TIER: Final = "GET /organizations/quota/current-tier"
_SUBORGANIZATIONS: Final = "GET /organizations/suborganizations"
_WITH_HEADER: Final = (_QUOTA_USAGE, _CURRENT_TIER, _SUBORGANIZATIONS)
_QUOTA: Final = (*_WITH_HEADER, "GET /organizations/quota/all-tiers")
_DIRECTORY: Final = (*(each for each in _V1 if each not in _USAGE), *_WITH_HEADER)
_ALL: Final = (*_V1, *_QUOTA)

_ID: Final = r"maxLength 128, minLength 1, pattern ^[^/\x00-\x1f\x7f-\x9f]+$"
_IDS: Final = "An id is what an id in an event may be; there is no other."


def _have_bodies(body: str, *statuses: str) -> tuple[str, ...]:
    return tuple(f"{status} has a body {body}" for status in statuses)


_Row = tuple[tuple[str, ...], tuple[str, ...], str, str]
_ROWS: Final[tuple[_Row, ...]] = (
    (_V1, _have_bodies("Error", "400", "401", "404", "500"), "A29", "Errors have the body of the later contract."),
    (_WITH_403, _have_bodies("Error", "403"), "A29", "A 403 has that body too, where the contract has one without."),
    (("schema Error",), ("requestId: no nullable",), "A29", "The body of an error names its request, never null."),
    (_ALL, ("header X-Request-ID in every answer",), "A29", "Every answer names its request in a header."),
    (
        _WITHOUT_403,
        _have_bodies("Error", "status 403"),
        "ADR 0010",
        "What the caller's role may not ask is refused with 403, where the contract has no status for that.",
    ),
    (
        _V1,
        _have_bodies("Error", "status 429", "status 503"),
        "A28, ADR 0011",
        "429 and 503 tell a caller to come again: it asked too often, or a store is away.",
    ),
    (
        _QUOTA,
        _have_bodies("APIResponseBase", "status 401", "status 403", "status 429", "status 500", "status 503"),
        "Q4",
        "Errors of the quota calls that their contract leaves open have its envelope without a result.",
    ),
    (
        (_QUOTA_USAGE, _CURRENT_TIER),
        _have_bodies("APIResponseBase", "status 404"),
        "Q4",
        "404 answers for an organization that there is not, or that the caller may not know of.",
    ),
    (_ALL, ("header Retry-After in 429, 503",), "A28", "A caller that is told to come again is told when."),
    (_ALL, ("header WWW-Authenticate in 401",), "RFC 9110, section 11.6.1", "A 401 says with what to come."),
    (_QUOTA, ("security bearerAuth",), "ADR 0010", "The quota calls take a bearer token in place of an API key."),
    (
        _USAGE,
        ("header ETag in 200, 304", "parameter If-None-Match in header", "status 304"),
        "ADR 0011",
        "Usage has a tag, and 304 says to a caller that has it already that it still holds.",
    ),
    (
        _USAGE,
        ("header Tidemark-As-Of in 200, 304",),
        "A13",
        "Usage says in a header as of when it is, in a 304 as of when it still holds.",
    ),
    (
        _DIRECTORY,
        ("header Tidemark-As-Of in 200",),
        "A13, Q10",
        "What comes out of the directory says in a header as of when it is.",
    ),
    (
        ("schema OrgUsageResponse", "schema TeamUsageResponse", "schema UserUsageResponse"),
        ("member asOf",),
        "A13",
        "Usage says in its body, too, as of when it is; null while that is unknown.",
    ),
    (
        ("schema OrganizationUsageDetails", "schema CurrentTier"),
        ("member asOf",),
        "Q10",
        "Counts and the current tier say in their bodies, too, as of when they are.",
    ),
    (
        ("schema OrganizationUsageDetails",),
        ("member headroom", "member utilization"),
        "Q6",
        "Counts come with what is left of each limit and how much of it is used, by the whole hierarchy.",
    ),
    (
        _USAGE,
        ("parameter granularity: enum with hourly | day | week | month | hour",),
        "A07",
        "Granularities are taken in the words of all revisions; hourly and hour are ours.",
    ),
    (("schema Granularity",), ("enum with hourly",), "A07", "Blocks of an hour are named hourly."),
    (
        ("schema UsageBlock",),
        ("member agent", "member instruct"),
        "notes, section 3",
        "A usage block has the products of the later contract.",
    ),
    (
        ("schema UsageBlock",),
        ("member complete",),
        "design.md, section 8",
        "A usage block says whether it is complete, but for events that are later than expected.",
    ),
    (_PAGED, ("parameter limit: maximum 1000",), "A01", "A page has at most 1000 rows, for which a limit of 0 asks."),
    (
        ("GET /api/v1/instance/permissions",),
        ("parameter role: enum Admin | Manager | TeamLead | Member",),
        "A18",
        "Only a role that there is can be asked for.",
    ),
    (_USAGE, (f"parameter organizationId: {_ID}",), "design.md, section 4", _IDS),
    (_OF_TEAM, (f"parameter teamId: {_ID}",), "design.md, section 4", _IDS),
    (("GET /api/v1/user/usage",), (f"parameter userId: {_ID}",), "design.md, section 4", _IDS),
    (("GET /api/v1/user/{user_id}",), (f"parameter user_id: {_ID}",), "design.md, section 4", _IDS),
    (_WITH_HEADER, (f"parameter SlashID-OrgID: {_ID}",), "design.md, section 4", _IDS),
    ((_SUBORGANIZATIONS,), ("parameter filter: maxLength 1000",), "ADR 0011", "A filter has at most 1000 characters."),
    (
        ("schema APIMeta",),
        ("no member cursor_pagination",),
        "Q8",
        "Lists of the quota calls come whole, so there is no cursor.",
    ),
    (
        ("every schema",),
        ("more members are required",),
        "A11, A21, Q2, Q3",
        "What an answer always has is required, where the contract leaves it open.",
    ),
)
ADDITIONS: Final = tuple(
    Addition(where=where, what=what, note=note, sentence=sentence) for where, what, note, sentence in _ROWS
)


_SECTION: Final = """\
## Beyond the contracts

The operations are those of the usage-metrics contract and of the quota contract. All that is more here than there, or
otherwise, is in this list, with what allows it; the member `x-additions` says of each row where.
"""


def additions_member() -> list[dict[str, Any]]:
    """Return the rows as the document's member `x-additions`."""
    return [asdict(addition) for addition in ADDITIONS]


def additions_section() -> str:
    """Return the rows as a section of the document's description, in Markdown."""
    sentences = dict.fromkeys(f"- {each.sentence} ({each.note})" for each in ADDITIONS)
    return "\n".join([_SECTION, *sentences, ""])
