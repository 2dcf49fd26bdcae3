"""Reads a dashboard with Grafana's own SDK and writes it again: whatever Grafana does not know is not there then."""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard


def lost(source, written, place="dashboard"):
    """Where what was written says less than the source, or something else."""
    if isinstance(source, dict) and isinstance(written, dict):
        for name, value in source.items():
            if name not in written:
                # A field that says "nothing" may be left out.
                if value is not None:
                    yield f"{place}.{name}"
            else:
                yield from lost(value, written[name], f"{place}.{name}")
    elif isinstance(source, list) and isinstance(written, list) and len(source) == len(written):
        for index, (one, other) in enumerate(zip(source, written)):
            yield from lost(one, other, f"{place}[{index}]")
    elif source != written:
        yield f"{place}: {source!r} became {written!r}"


with open(sys.argv[1], encoding="utf-8") as file:
    dashboard = json.load(file)
written = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(dashboard)))
problems = list(lost(dashboard, written))
print("\n".join(problems) or f"{len(dashboard['panels'])} panels")
sys.exit(bool(problems))
