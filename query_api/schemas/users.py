"""The answers about users. The contract's own names are kept: here snake_case, there camelCase."""

from pydantic import Field

from query_api.schemas.members import Answer, Email, Instant, Maybe, PlainAnswer
from query_api.schemas.paging import Meta


class TeamUser(Answer):
    """A user in a list; times have whole seconds and are null when the record does not say."""

    id: str
    username: str
    email: Email
    role: str
    verified: bool
    deactivated_at: Instant | None
    updated_at: Instant | None


class UsersPage(Answer):
    """One page of users, by id."""

    data: tuple[TeamUser, ...]
    meta: Meta


class TeamUsersResponse(UsersPage):
    """One page of a team's members, by id."""


class PaginatedUsersResponse(UsersPage):
    """One page of an organization's users, by id."""


class PermissionUser(Answer):
    """A user that holds a role."""

    username: str
    organization_id: str


class UserInfo(PlainAnswer):
    """A user; what its record does not say is left out."""

    organization_id: str
    user_id: str
    email: Email
    role: str
    created_at: Maybe[Instant] = Field(None, alias="createdAt")
    updated_at: Maybe[Instant] = Field(None, alias="updatedAt")


class UserTeam(PlainAnswer):
    """The user's team: nothing for a user without one, only its id while the directory does not know the team."""

    team_id: Maybe[str] = None
    team_name: Maybe[str] = None


class UserInfoResponse(PlainAnswer):
    """A user and the user's team, which is one object whatever its name says."""

    user: UserInfo
    teams: UserTeam
