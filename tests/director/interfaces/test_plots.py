"""Plots for agents: real pictures of the numbers that Outcomes have, and a refusal where there are none."""

from __future__ import annotations

import struct
from datetime import timedelta
from typing import Any

import pytest

from director.door import Refused
from director.interfaces.plots import chosen, draw_numbers, draw_run, draw_trace, name_of, numbers_of
from director.report.traces import Trace
from simulations.records import Outcome, Status
from tests.helpers import NOON

PNG = b"\x89PNG\r\n\x1a\n"


def outcome(number: int, result: dict[str, Any] | None = None, status: Status = Status.OK, **inputs: Any) -> Outcome:
    return Outcome(
        id=f"{number:032x}", key="k", tool="t", tool_version="1", status=status, inputs=inputs, result=result,
        director=0, partition=["n"], submitted_at=NOON, finished_at=NOON + timedelta(seconds=number),
    )  # fmt: skip


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(PNG)
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_numbers_within_numbers_have_dotted_names_and_flags_are_none() -> None:
    result = {"a_ev": 1, "b": {"mean": 2.5, "std": None}, "c": True, "d": float("nan"), "e": "x", "f": [1]}
    assert numbers_of(result) == {"a_ev": 1.0, "b.mean": 2.5}


def test_the_energy_that_most_have_is_drawn_and_a_quantity_that_is_named_goes_over_it() -> None:
    found = [
        outcome(1, {"energy_ev": 1.0, "x": 4}),
        outcome(2, {"energy_ev": 2.0}),
        outcome(3, {"free_energy_ev": 9.0}),
    ]
    name, values = chosen(found, None)
    assert (name, [value for _, value in values]) == ("energy_ev", [1.0, 2.0])
    assert [value for _, value in chosen(found, "x")[1]] == [4.0]


@pytest.mark.parametrize(
    ("results", "quantity", "said"),
    [
        ([{"a": 1}], "b", "no result has 'b'. They have: a"),
        ([{"a": 1}], None, "these results have no energy. Name another quantity: a"),
        ([None], None, "none of these Requests has ended ok"),
    ],
)
def test_a_number_that_is_not_there_is_refused_with_those_that_are(results: Any, quantity: Any, said: str) -> None:
    with pytest.raises(Refused) as refused:
        chosen([outcome(index, result) for index, result in enumerate(results)], quantity)
    assert said in str(refused.value)


def test_few_and_many_outcomes_and_names_with_odd_letters_are_drawn() -> None:
    few = [(outcome(n, smiles="$C^{C" if n else "C\x1b[2J"), float(n)) for n in range(3)]
    assert name_of(few[0][0]) == "C [2J"
    assert size(draw_numbers("ionization_energy_ev", few))[0] > 600
    many = [(outcome(n), n / 7) for n in range(200)]
    assert size(draw_numbers("potential_energy_kj_mol.mean", many))[1] > 300
    assert size(draw_numbers("a", [(outcome(0), 1.0)]))


def test_a_run_with_all_statuses_and_one_with_a_single_outcome_are_drawn() -> None:
    found = [outcome(number, status=status) for number, status in enumerate([*Status] * 3)]
    assert size(draw_run(found))
    assert size(draw_run(found[:1]))


def test_a_simulation_is_drawn_and_one_without_numbers_is_refused() -> None:
    nan = float("nan")
    columns = {"potential_energy_kj_mol": [1.0, nan, 3.0], "temperature_k": [300.0, 301.0, 299.0]}
    trace = Trace(outcome(1, structure="a$b"), [0.0, 1.0, 2.0], columns, 0, 1)
    assert size(draw_trace(trace))
    empty = Trace(outcome(1), [0.0], {"potential_energy_kj_mol": [nan], "temperature_k": [nan]}, 0, 1)
    with pytest.raises(Refused, match="no energy and no temperature"):
        draw_trace(empty)
