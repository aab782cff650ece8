"""What is said where the extra for agents is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from director.door import Refused
from director.interfaces.extras import need


def test_a_missing_package_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "langchain_core", None)
    monkeypatch.delitem(sys.modules, "langchain_core.tools", raising=False)
    with pytest.raises(Refused, match=r'langchain_core: is not installed here. pip install "md-director\[agents\]"'):
        need("langchain_core.tools")


def test_a_package_that_is_there_and_broken_is_not_called_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "broken_package.py").write_text("import no_such_module_of_anybody\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_of_anybody"):
        need("broken_package")
