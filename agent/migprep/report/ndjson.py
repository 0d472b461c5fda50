"""One JSON object a line (ndjson.org) for log pipelines: verdicts, then findings, then what could not be judged.

Every line stands alone: it names its host, time and target. Pure ASCII, so that stray bytes survive.
"""

from __future__ import annotations

import json

from migprep.typed import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Item = dict[str, Any]


def render(document: Item) -> str:
    """Lines of `kind` verdict, finding and unknown."""
    common = {"host": document["host"]["name"], "time": document["run"]["started"]}
    return "".join(json.dumps({**common, **line}) + "\n" for line in _lines(document))


def _lines(document: Item) -> Iterator[Item]:
    for target in document["targets"]:
        yield {
            "kind": "verdict",
            "target": target["name"],
            "verdict": target["verdict"],
            "after_fixes": target["after_fixes"],
        }
    for result in document["results"]:
        common = {key: result[key] for key in ("target", "rule", "title", "severity", "blocks", "link")}
        for finding in result["findings"]:
            yield {"kind": "finding", **common, **finding}
        if result["status"] == "unknown":
            yield {"kind": "unknown", **common, "reason": result["reason"]}
