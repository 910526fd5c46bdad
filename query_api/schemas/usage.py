"""The answers of the usage calls: the contract's members, the later file's, and `asOf`."""

from pydantic import Field

from query_api.ranges import Granularity
from query_api.schemas.members import Answer, Count, Instant, Maybe

Factor = Maybe[float]
"""A ratio rounded half-up to 3 decimals; left out when its denominator is 0, never null."""


class CodeCompletions(Answer):
    """Accepted completions."""

    active_users: Count
    completions: Count
    chars_completed: Count
    keystrokes: Count
    lines: Count
    automation_factor: Factor = Field(None, description="charsCompleted / (charsCompleted + keystrokes)")


class ChatUsage(Answer):
    """Chat."""

    active_users: Count
    interactions: Count
    useful_chat_interactions: Count
    lines: Count
    chars_completed: Count
    chat_consumption_rate: Factor = Field(None, description="usefulChatInteractions / interactions")


class AgentUsage(Answer):
    """The agent; a member of the later contract."""

    active_users: Count
    interactions: Count
    lines_added: Count
    lines_added_accepted: Count
    lines_removed: Count
    lines_removed_accepted: Count


class InstructUsage(Answer):
    """Inline instructions; a member of the later contract."""

    accepted_count: Count


class UsageBlock(Answer):
    """The sums of [from, to), which is what was summed: the asked range, widened outward to whole windows."""

    from_: Instant = Field(alias="from")
    to: Instant
    complete: bool | None = Field(
        description="Whether asOf has passed the end by the time that events may be late (an hour where nothing else is"
        " set); one that is later still counts. null while asOf is unknown."
    )
    active_users: Count = Field(description="Distinct users active in any product.")
    productivity_factor: Factor = Field(
        None,
        description="(codeCompletions.charsCompleted + chat.charsCompleted) / (the same + codeCompletions.keystrokes)",
    )
    code_completions: CodeCompletions
    chat: ChatUsage
    agent: AgentUsage
    instruct: InstructUsage


class UsageContainer(Answer):
    """The blocks, ascending and gapless; those that begin in the future are left out."""

    granularity: Granularity
    data: tuple[UsageBlock, ...]


class UsageEnvelope(Answer):
    """What every usage answer has."""

    organization_id: str
    from_: Instant = Field(alias="from", description="As asked, in UTC.")
    to: Instant = Field(description="As asked, in UTC.")
    usage: UsageContainer
    as_of: Instant | None = Field(
        description="Every event that reached Tidemark before this instant is in the numbers, or was refused;"
        " null while that is unknown."
    )


class OrgUsageResponse(UsageEnvelope):
    """Usage of an organization."""


class TeamUsageResponse(UsageEnvelope):
    """Usage of a team."""

    team_id: str


class UserUsageResponse(UsageEnvelope):
    """Usage of a user."""

    user_id: str
