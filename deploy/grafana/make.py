"""Makes the dashboards: `python deploy/grafana/make.py` writes NAME.json from panels/NAME.toml.

A test fails where a dashboard is not up to date. A panel has a title and what is not the default of:

- kind: `timeseries`, `stat` or `bargauge`; without queries it shows `about` as text.
- about: what it shows, and what to think of it.
- unit: Grafana's name of it.
- red_from: the value from which it is red.
- stacked: whether the series are laid on each other.
- queries: legend -> PromQL. `$__rate_interval` is Grafana's own.

Lag, freshness and ledger come from each process of the query API: the queries take one value of these.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
COLUMNS: Final = 24
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
SCHEMA: Final = 39
"""Of Grafana 11; later versions migrate it as they read it."""

Panel = Mapping[str, Any]


def names() -> list[str]:
    return sorted(path.stem for path in (HERE / "panels").glob("*.toml"))


def dashboard(name: str) -> dict[str, Any]:
    """Return one dashboard as Grafana imports it."""
    read = tomllib.loads((HERE / f"panels/{name}.toml").read_text(encoding="utf-8"))
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    return {
        "uid": f"tidemark-{name}",
        "title": f"Tidemark: {read['title']}",
        "tags": ["tidemark"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "annotations": {"list": []},
        "templating": {"list": [source]},
        "links": [{"type": "dashboards", "title": "Tidemark", "tags": ["tidemark"], "asDropdown": True}],
        "panels": list(_laid_out(read["panel"])),
    }


def _laid_out(panels: Sequence[Panel]) -> Iterator[dict[str, Any]]:
    """Yield the panels side by side, in rows."""
    x = y = row_height = 0
    for number, panel in enumerate(panels, start=1):
        width, height = _size(panel)
        if x + width > COLUMNS:
            x, y, row_height = 0, y + row_height, 0
        place = {"x": x, "y": y, "w": width, "h": height}
        yield {"id": number, "title": panel["title"], "gridPos": place} | _content(panel)
        x, row_height = x + width, max(row_height, height)


def _size(panel: Panel) -> tuple[int, int]:
    if "queries" not in panel:
        return COLUMNS, 4
    return (6, 4) if _kind(panel) == "stat" else (12, 8)


def _kind(panel: Panel) -> str:
    return str(panel.get("kind", "timeseries"))


def _content(panel: Panel) -> dict[str, Any]:
    if "queries" not in panel:
        return {"type": "text", "options": {"mode": "markdown", "content": panel["about"]}}
    targets = [
        {"refId": chr(ord("A") + at), "datasource": DATASOURCE, "expr": query.strip(), "legendFormat": legend}
        for at, (legend, query) in enumerate(panel["queries"].items())
    ]
    return {
        "type": _kind(panel),
        "description": panel.get("about", ""),
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
        "targets": targets,
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.get("unit", "short"), "noValue": "unknown"}
    # A gap is what was not known: no line joins its ends.
    custom: dict[str, Any] = {"spanNulls": False}
    if "red_from" in panel:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": panel["red_from"]}]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        custom["thresholdsStyle"] = {"mode": "line"}
    if panel.get("stacked"):
        custom |= {"stacking": {"mode": "normal"}, "fillOpacity": 20}
    return defaults | ({"custom": custom} if _kind(panel) == "timeseries" else {})


def _options(panel: Panel) -> dict[str, Any]:
    if _kind(panel) == "timeseries":
        return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}


def text(name: str) -> str:
    """Return one dashboard's file."""
    return json.dumps(dashboard(name), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for each in names():
        (HERE / f"{each}.json").write_text(text(each), encoding="utf-8")
