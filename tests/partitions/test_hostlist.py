import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partitions.hostlist import compress, expand, is_hostname


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("n1", ["n1"]),
        ("n[1-3,5]", ["n1", "n2", "n3", "n5"]),
        ("n[3,1-2]", ["n3", "n1", "n2"]),
        ("n[008-010]", ["n008", "n009", "n010"]),
        ("n[099-101,7]", ["n099", "n100", "n101", "n7"]),
        ("n[99-100]", ["n99", "n100"]),
        ("n[001-2]", ["n001", "n002"]),
        ("r[1-2]n[01-02]", ["r1n01", "r1n02", "r2n01", "r2n02"]),
        ("n[1-2]-ib.site", ["n1-ib.site", "n2-ib.site"]),
        ("a,b[1-2],c", ["a", "b1", "b2", "c"]),
        ("[1-2]", ["1", "2"]),
        ("gpu*,n[1-2]?", ["gpu*", "n1?", "n2?"]),
    ],
)
def test_every_form_is_expanded_in_order(expression, expected):
    assert expand(expression) == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "is empty"),
        ("n1,,n2", "has an empty entry"),
        ("n1,", "has an empty entry"),
        (",", "has an empty entry"),
        ("n[1-3", "brackets that do not match"),
        ("n1-3]", "brackets that do not match"),
        ("n][", "brackets that do not match"),
        ("n[1[2]]", "brackets that do not match"),
        ("n[]", "'' in brackets"),
        ("n[1,]", "'' in brackets"),
        ("n[a,b]", "'a' in brackets"),
        ("n[1-2-3]", "'1-2-3' in brackets"),
        ("n[-3]", "'-3' in brackets"),
        ("n[3-1]", "range '3-1', which runs backwards"),
        ("n[1-010]", "range '1-010', whose ends are padded differently"),
        ("n1, n2", "' ' at position 4"),
        ("n1\n", "at position 3"),
        ("n\x1b[31m", "at position 2"),
        ("n;reboot", "';' at position 2"),
        ("nö", "'ö' at position 2"),
        ("n[1-٣]", "'٣' at position 5"),
        ("a,-oProxyCommand", "begins with '-'"),
        ("n[1-100001]", "names 100,001 hosts"),
        ("n[0-999999999999999999]", "more than 100,000"),
        ("n[1-50000],m[1-50001]", "names 100,001 hosts"),
        ("r[1-1000]n[1-1000]", "names 1,000,000 hosts"),
    ],
)
def test_what_is_malformed_is_refused_with_the_place(expression, message):
    with pytest.raises(ValueError, match=f"^VARIABLE: .*{re.escape(message)}"):
        expand(expression, "VARIABLE")


def test_a_message_stays_short_and_printable():
    with pytest.raises(ValueError, match=r"^hosts: ") as caught:
        expand("n\x07" * 10_000)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ""),
        (["login"], "login"),
        (["n7"], "n7"),
        (["node1", "node2", "node3", "node5"], "node[1-3,5]"),
        (["nid008", "nid009", "nid010"], "nid[008-010]"),
        (["n9", "n10", "n09"], "n[9-10,09]"),
        (["n2", "n1"], "n[2,1]"),
        (["x1n1.a2.org", "x1n2.a2.org", "x2n1.a2.org"], "x1n[1-2].a2.org,x2n1.a2.org"),
        (["a1", "b", "a2"], "a1,b,a2"),
        (["n", "n1", "n2"], "n,n[1-2]"),
    ],
)
def test_neighbours_share_a_bracket(names, expected):
    assert compress(names) == expected


numbered = st.builds(
    "{}{}{}".format,
    st.sampled_from(["n", "r1n", "x-", ""]),
    st.one_of(st.integers(0, 12), st.integers(95, 105), st.integers(0, 120).map("{:03}".format), st.integers(10**17)),
    st.sampled_from(["", "-ib", ".site2.org", "9" * 18]),
)
any_name = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,12}", fullmatch=True)


@given(st.lists(st.one_of(numbered, any_name), min_size=1, max_size=40, unique=True))
def test_expansion_undoes_compression(names):
    assert all(is_hostname(name) for name in names)
    assert expand(compress(names)) == names


@pytest.mark.parametrize("name", ["", "-n1", ".n1", "n1\n", "n 1", "n[1]", "n*", "n1,n2", "nö"])
def test_what_no_host_is_called(name):
    assert not is_hostname(name)
