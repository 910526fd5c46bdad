"""The answers about one team."""

from query_api.schemas.members import Answer, Count


class TeamName(Answer):
    """What a team is called."""

    id: str
    name: str


class TeamUtilization(Answer):
    """How many of a team's members are what at present."""

    registered: Count
    deactivated: Count
    invited: Count
