"""Tables of the pages about campaigns agree with the code."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from typing import Any

import yaml

from campaigns.metrics import METRICS
from campaigns.metrics.known import KnownFile
from tests.docs.pages import DOCS, blocks

PAGE = DOCS / "campaigns" / "molecules-and-dynamics.md"
NAMED = re.compile(r"^`(campaigns\.[\w.]+)`", re.MULTILINE)
ROW = re.compile(r"^\| `(\w+)` \| ([^|]*)\|", re.MULTILINE)


def tables() -> dict[str, dict[str, Any]]:
    """Of each component that the page names: parameters and defaults."""
    text = PAGE.read_text(encoding="utf-8")
    found = {}
    places = [*NAMED.finditer(text)]
    for place, after in zip(places, [*places[1:], None], strict=True):
        part = text[place.end() : after.start() if after else None].split("\n## ")[0]
        _, _, table = part.partition("| parameter |")
        found[place[1]] = {name: default.strip().strip("`") for name, default in ROW.findall(table)}
    return found


def test_every_parameter_of_every_component_stands_in_its_table_with_its_default() -> None:
    found = tables()
    shipped = {
        f"{module}.{name}"
        for module in ("campaigns.molecules", "campaigns.dynamics", "campaigns.finite")
        for name in importlib.import_module(module).__all__
        if name not in ("Molecule", "Settings")
    }
    assert set(found) == shipped
    for target, rows in found.items():
        module, _, name = target.rpartition(".")
        parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
        assert list(rows) == list(parameters), target
        for parameter, default in rows.items():
            if parameter == "seed":
                continue
            said = inspect.Parameter.empty if default == "" else yaml.safe_load(default)
            assert said == parameters[parameter].default, f"{target}.{parameter}"


def test_the_page_of_metrics_defines_what_is_written() -> None:
    text = (DOCS / "campaigns" / "metrics.md").read_text(encoding="utf-8")
    for name in METRICS:
        assert name in ("evaluations", "evaluated", "failed") or f"`{name}`" in text, name
    (block,) = [block for block in blocks(text) if block.language == "json"]
    KnownFile.model_validate(json.loads("\n".join(block.lines)))


def test_the_campaigns_that_are_shown_stand_in_the_tutorial_as_they_are() -> None:
    text = (DOCS / "campaigns" / "tutorial.md").read_text(encoding="utf-8")
    for name in ("molecules", "cu-au", "peptide"):
        assert f"{{literalinclude}} ../../examples/campaigns/{name}.yaml" in text
    for picture in re.findall(r"{image} (\S+)", text):
        assert (DOCS / "campaigns" / picture).is_file()
