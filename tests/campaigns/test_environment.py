"""What is looked for, as a score."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.environment import Objective

amounts = st.floats(allow_nan=False, allow_infinity=False)


@given(amounts, amounts, st.booleans())
def test_a_better_amount_has_a_greater_score_and_what_is_wanted_is_met_from_itself_on(one, other, least):
    objective = Objective(least, other)
    better = one < other if least else one > other
    assert (objective.score(one) > objective.score(other)) is better
    assert objective.met(objective.score(one)) is (better or one == other)


@pytest.mark.parametrize(
    ("objective", "score"), [(Objective(least=False), 5.0), (Objective(least=True, wanted=1.0), None)]
)
def test_there_is_no_success_without_a_score_or_something_wanted(objective, score):
    assert not objective.met(score)
