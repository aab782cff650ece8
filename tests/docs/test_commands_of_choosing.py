"""The same as ``test_commands.py`` for pages about campaigns, language models and agents."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import CHOOSING, page_name
from tests.docs.reader import Reader


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", CHOOSING, ids=page_name)
def test_commands_and_snippets_do_what_the_page_says(page: Path, reader: Reader) -> None:
    reader.read(page)
