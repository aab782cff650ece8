"""Whatever a file holds, it says something in plain values, or it is said where it does not."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.plain_yaml import Unreadable, parse_yaml, read_yaml_file

pieces = st.sampled_from(
    ["a", "b", ": ", "- ", "\n", "\n  ", "[", "]", "{", "}", ",", "'", '"', "&x ", "*x", "!!binary ", "!!set ",
     "!!int ", "!!float ", "!!timestamp ", "!!python/name:os.system ", "<<", "2026-13-45", "0x", "1:99", "1e999",
     ".nan", "~", "|", "?", "#", "%", "---", "\t", "\x00", "\ud800", "\u00e9"]
)  # fmt: skip
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@given(st.lists(pieces, max_size=12).map("".join))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(Unreadable):
        parse_yaml(text, "a.yaml")


@given(values)
def test_json_means_the_same_as_yaml(value):
    assert parse_yaml(json.dumps(value), "a.yaml").value == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\n", "a.yaml, line 2, column 1: is not valid YAML or JSON"),
        ("a: 1\na: 2\n", "a.yaml, line 2, column 1: is not valid YAML or JSON: the name 'a' is given twice"),
        ("1: a\n", "a.yaml, line 1, column 1: is not valid YAML or JSON: the name 1 is not text"),
        ("a:\n  b: 2026-13-45\n", "a.yaml, line 2, column 6: is not valid YAML or JSON: month must be in 1..12"),
        ("a: !!float ''\n", "a.yaml, line 1, column 4: is not valid YAML or JSON: this is no float"),
        ("a: !!int x\n", "a.yaml, line 1, column 4: is not valid YAML or JSON: invalid literal for int"),
        ("!!python/object/apply:os.system ['true']", "a.yaml, line 1, column 1: is not valid YAML or JSON"),
        ('["\\ud83d"]', "a.yaml, line 1, column 2: is not valid YAML or JSON: holds half of a character"),
        ("[" * 5_000, "a.yaml: is nested too deeply"),
        ("a: \x00", "a.yaml: is not valid YAML or JSON: unacceptable character #x0000"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, said):
    with pytest.raises(Unreadable) as refused:
        parse_yaml(text, "a.yaml")
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize("text", ["1e-5", "1E-5", "1.e-5", "0.1e-4", ".1e-4", "+1e-5", "1.0e-05", "0.00001"])
def test_a_number_is_one_with_or_without_a_point(text):
    assert parse_yaml(f"tolerance: {text}", "a.yaml").value == {"tolerance": 1e-5}
    assert parse_yaml(f"tolerance: '{text}'", "a.yaml").value == {"tolerance": text}


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    path = tmp_path / "a.yaml"
    with pytest.raises(Unreadable, match=r"a.yaml: cannot be read \(No such file"):
        read_yaml_file(path, "a.yaml", 100)
    path.write_bytes(b"a: \xff")
    with pytest.raises(Unreadable, match=r"a.yaml: is not UTF-8 text"):
        read_yaml_file(path, "a.yaml", 100)
    path.write_text("#" * 101)
    with pytest.raises(Unreadable, match=r"a.yaml: is larger than 100 bytes"):
        read_yaml_file(path, "a.yaml", 100)
    path.write_text("#" * 100)
    assert read_yaml_file(path, "a.yaml", 100).value is None
