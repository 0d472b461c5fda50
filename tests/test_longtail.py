"""What the second week after a move brings is told: each kind by a rule with a case that fails, or by a test."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_rules import DOCUMENTS

GROUPS = yaml.safe_load((Path(__file__).parent / "longtail.yaml").read_text())
KINDS = [kind for kinds in GROUPS.values() for kind in kinds]
FAILING = {
    (document["rule"], case["name"]) for document in DOCUMENTS for case in document["cases"] if case["status"] == "fail"
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["what"])
def test_it_is_told(kind: dict[str, Any]) -> None:
    told = set(kind.get("told", {}).items())
    assert told or "test" in kind
    assert told <= FAILING, f"no such failing case: {told - FAILING}"
    if "test" in kind:
        module, _, name = kind["test"].partition(".")
        assert callable(getattr(importlib.import_module(f"tests.{module}"), name))
