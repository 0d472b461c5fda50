"""The report as JSON: pure ASCII, so that bytes that are no UTF-8 survive as lone surrogates."""

from __future__ import annotations

import json


def render(document: dict[str, object]) -> str:
    """The document, indented, with a final newline."""
    return json.dumps(document, indent=2) + "\n"
