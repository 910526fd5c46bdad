"""The envelope of the quota family."""

from pydantic import ConfigDict, Field

from query_api.schemas.members import Long, Maybe, PlainAnswer, without_default


class APIPagination(PlainAnswer):
    """How much of the list is there."""

    limit: int = Field(description="Most entries of an answer.")
    offset: int = Field(description="Always 0: everything is in one answer.")
    total_count: Long


class APIMeta(PlainAnswer):
    """Empty, but for a list."""

    pagination: Maybe[APIPagination] = None


class APIResponseError(PlainAnswer):
    """One thing that went wrong."""

    httpcode: int = Field(description="Repeats the HTTP status.")
    message: str = Field(description="Text for people.")


class APIResponseBase(PlainAnswer):
    """The envelope, whose members are always there (contract notes Q2); an error's has no result."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    meta: APIMeta = Field(APIMeta(), json_schema_extra=without_default)
    errors: tuple[APIResponseError, ...] = Field(
        (), description="What went wrong; empty when nothing did.", json_schema_extra=without_default
    )
