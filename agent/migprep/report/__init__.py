"""The report: one document, and one pure function per format. No clock, no file, no machine."""

from __future__ import annotations

from migprep.typed import Any

#: Each is a module of this package with a `render(document) -> str`, imported when it is asked for.
FORMATS = ("text", "json", "md", "html", "junit", "sarif", "ndjson", "csv", "prom", "nagios", "checkmk")


def render(document: dict[str, Any], form: str) -> str:
    """The document in one of FORMATS."""
    from importlib import import_module

    words: str = import_module(f"migprep.report.{form}").render(document)
    return words
