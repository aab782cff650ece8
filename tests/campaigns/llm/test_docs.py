"""The page about language models names every setting, with its default."""

from __future__ import annotations

import re
from pathlib import Path

from campaigns.llm import LanguageSettings
from campaigns.llm.access import API_KEY, API_KEY_FILE, BASE_URL, MODEL
from campaigns.llm.prompts import ContextConfig

PAGE = (Path(__file__).resolve().parents[3] / "docs/how-to/language-models.md").read_text(encoding="utf-8")


def test_every_setting_stands_on_the_page_with_its_default() -> None:
    rows = {name: line for line in PAGE.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line)}
    assert set(LanguageSettings.model_fields) <= set(rows)
    for name, field in LanguageSettings.model_fields.items():
        if field.default is not None and not field.is_required():
            said = rows[name].rstrip(" |").rpartition("| ")[2]
            wanted = f"{field.default:g}" if isinstance(field.default, float) else str(field.default).lower()
            assert said == wanted, name
    assert all(f"`{name}`" in PAGE for name in (*ContextConfig.model_fields, BASE_URL, MODEL, API_KEY, API_KEY_FILE))
