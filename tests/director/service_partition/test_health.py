"""What a server's answers mean."""

import pytest

from director.service_partition.health import Answer, models_in, opinion

REFUSED, BAD, GONE = Answer(401), Answer(400), Answer(None, reason="/v1 does not answer")


@pytest.mark.parametrize(
    ("with_key", "without", "fault", "unsure"),
    [
        (BAD, REFUSED, None, ""),
        (Answer(200), Answer(403), None, ""),
        (BAD, BAD, "it answers without the API key", ""),
        (REFUSED, REFUSED, "it refuses the API key", ""),
        (GONE, REFUSED, None, "/v1 does not answer"),
        (BAD, GONE, None, "/v1 does not answer"),
    ],
)
def test_a_server_lets_in_who_has_its_key_and_nobody_else(with_key, without, fault, unsure):
    found = opinion(with_key, without)
    assert found.unsure == unsure
    assert (found.fault or "").startswith(fault or "")
    assert (found.fault is None) == (fault is None)


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'{"data": 1}', b'{"data": [{}]}', b'{"data": ["a"]}'])
def test_what_is_no_list_of_models_lists_none(body):
    assert models_in(body) == []


def test_models_are_listed_by_their_ids():
    assert models_in(b'{"data": [{"id": "a"}, {"id": "b"}]}') == ["a", "b"]
