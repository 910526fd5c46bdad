"""The consumer groups of a deployment whose `kafka.group_prefix` is the default, as its operators know them."""

from typing import Final

INGEST_GROUP: Final = "tidemark-ingest"
AGGREGATOR_GROUP: Final = "tidemark-aggregator"
