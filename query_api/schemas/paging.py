"""What a page says of itself."""

from pydantic import Field

from query_api.schemas.members import Answer, Count


class Next(Answer):
    """The parameters of the following page."""

    limit: Count
    offset: Count


class Meta(Answer):
    """How many rows there are."""

    count: Count = Field(description="Rows of this page.")
    total: Count = Field(description="Rows of all pages.")
    next: Next | None = Field(description="The parameters of the following page; null on the last one.")
