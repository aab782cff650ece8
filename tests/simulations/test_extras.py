import sys

import pytest

from simulations.errors import ToolError
from simulations.extras import need


def test_what_is_installed_is_imported():
    assert need("json.decoder", "chem") is sys.modules["json.decoder"]


def test_a_missing_package_is_named_with_the_extra_that_brings_it():
    with pytest.raises(ToolError, match="'nobody_has_this' is not installed") as caught:
        need("nobody_has_this.inside", "chem")
    assert caught.value.kind == "MissingExtra"
    assert 'pip install "md-director[chem]"' in caught.value.hint


def test_a_package_that_is_there_and_broken_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_inside.py").write_text("import nobody_has_this_either\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="nobody_has_this_either"):
        need("broken_inside", "chem")
