"""The page `deploy/docs/metrics.md`, made from the table of metrics.

`python -m services.metrics_page > deploy/docs/metrics.md` brings it up to date; a test fails when it is not.
"""

import sys

from services.telemetry import METRICS, Metric


def metrics_page() -> str:
    """Return the page as Markdown."""
    rows = "\n".join(_row(metric) for metric in METRICS)
    return f"""# Metrics

Made from `services/telemetry.py` by `python -m services.metrics_page`; do not edit by hand.

Every role serves these on its own port under `/metrics`, beside `/healthz` and `/readyz`. A series appears with its
first value: an unknown value is absent, never 0. Labels never hold the id of an organization, a team, a user or an
event. The process metrics of the Prometheus client (`process_*`) come with them.

| metric | kind | labels | meaning |
| --- | --- | --- | --- |
{rows}
"""


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
    return f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.help} |"


if __name__ == "__main__":
    sys.stdout.write(metrics_page())
