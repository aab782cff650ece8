"""What the documentation tells people to type does what the documentation says.

Commands of ``console`` blocks run in a copy of what a clone holds, and their exit codes and shown output are compared
(``…`` stands for anything). ``python`` blocks run too. Pages about runs that end early or go wrong, and those about
what chooses simulations, stand in files of their own, so that all run side by side.
Blocks that say ``facility`` or ``laptop`` need more than a clone: ``tests/globus/test_docs.py`` types them.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.docs.pages import CHOOSING, FACILITY, IN_TROUBLE, LAPTOP, PAGES, Command, blocks, page_name
from tests.docs.reader import Reader

FENCES = {"console", "python", "yaml", "json", "text", "toml"}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_block_is_of_a_kind_that_is_tested_or_shows_no_command(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8")):
        known = block.language in FENCES or re.fullmatch(r"\{[a-z-]+\}", block.language)
        assert known, f"{page_name(page)}, line {block.line}: {block.language or 'no language'!r}; use console or text"
        assert block.side in ("", FACILITY, LAPTOP), f"{page_name(page)}, line {block.line}: {block.side!r}"
        if not block.language.startswith("{") and block.language != "console":
            prompts = [line for line in block.lines if line.startswith("$ ")]
            assert not prompts, f"{page_name(page)}, line {block.line}: commands belong into a console block"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [page for page in PAGES if page not in IN_TROUBLE + CHOOSING], ids=page_name)
def test_commands_and_snippets_do_what_the_page_says(page: Path, reader: Reader) -> None:
    reader.read(page)


@pytest.mark.timeout(900)
def test_the_script_of_a_chain_of_jobs_goes_on_with_the_run_that_is_there(reader: Reader) -> None:
    reader.type(Command("director run examples/batch.yaml --run-dir runs/batch"), "README.md")
    shutil.copytree(reader.clone / "runs" / "batch", reader.clone / "runs" / "chain")
    job = ["env", f"SLURM_SUBMIT_DIR={reader.clone}", "bash", "examples/slurm-chain.sh"]
    assert "nothing is open: all 6 requests of runs/chain" in reader.run(job, 0, "docs/how-to/walltime.md")
