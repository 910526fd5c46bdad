"""The body of every error but the quota family's (contract: `Error`)."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Error(BaseModel):
    """What went wrong; all members are always there."""

    model_config = ConfigDict(frozen=True)

    error: str = Field(description="Code for machines, stable.", examples=["INVALID_PARAMETER"])
    message: str = Field(description="Text for people.")
    status: int = Field(description="Repeats the HTTP status.")
    requestId: str = Field(description="The request's X-Request-ID.")
    details: dict[str, Any] = Field(description="What helps to ask again, such as the parameter to blame.")
