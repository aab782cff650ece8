"""Figures of campaigns show the numbers that they are made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial import ConvexHull

from campaigns.metrics import Episode, Evaluation, summarise
from campaigns.plots import Phase, curves, factors, hull, latency
from campaigns.plots.hull import lower_hull
from campaigns.plots.written import Phases, draw, write_plots


def a_summary(systems=("one",), policies=("random", "ucb"), hits=(1, 3)):
    episodes = [
        Episode(
            system,
            policy,
            number,
            5,
            tuple(Evaluation(f"s{i}", "ok", float(i + number), i < hit) for i in range(5)),
        )
        for system in systems
        for policy, hit in zip(policies, hits, strict=True)
        for number in (1, 2)
    ]
    return summarise(episodes, baseline=policies[0])


def lines(axes):
    return {line.get_label(): np.asarray(line.get_ydata()) for line in axes.get_lines()}


def test_discovery_curves_begin_at_nothing_and_show_the_means():
    figure = curves.discovery_curves(a_summary())
    found = lines(figure.axes[0])
    assert found["random"].tolist() == [0, 1, 1, 1, 1, 1, 1]
    assert found["ucb"].tolist() == [0, 1, 2, 3, 3, 3, 3]


def test_best_found_curves_show_the_means_of_episodes():
    figure = curves.best_found_curves(a_summary(), "Energy (eV)")
    assert lines(figure.axes[0])["ucb"].tolist() == [1.5, 2.5, 3.5, 4.5, 5.5, 5.5]
    assert figure.axes[0].get_ylabel() == "Energy (eV)"


def test_each_system_has_a_panel():
    figure = curves.discovery_curves(a_summary(systems=("Cu-Au", "Cu-Ag", "Ag-Au")))
    assert [axes.get_title(loc="left").split(":")[0] for axes in figure.axes] == ["Cu-Au", "Cu-Ag", "Ag-Au"]


def test_what_is_undefined_has_no_bar_but_a_word():
    figure = factors.factor_bars(a_summary(hits=(0, 2)), "one")
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts.count("undefined") == 4  # EF and AF of both
    assert len(figure.axes[0].patches) == 0
    slow = factors.factor_bars(a_summary(hits=(3, 1)), "one")
    assert "undefined (less than 0.6)" in [text.get_text() for text in slow.axes[1].texts]


def test_bars_are_as_long_as_their_numbers_say():
    figure = factors.factor_bars(a_summary(), "one")
    assert [bar.get_width() for bar in figure.axes[0].patches] == [1.0, 3.0]
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.00", "3.00"]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(-20, 20)), min_size=4, max_size=30, unique=True))
@settings(max_examples=80)
def test_the_lower_hull_is_that_of_scipy(points):
    x, y = np.array([(0, 0), (12, 0), *points], dtype=float).T
    chain = lower_hull(x, y)
    assert x[chain].tolist() == sorted(x[chain])
    heights = np.interp(x, x[chain], y[chain])
    assert (y >= heights - 1e-9).all()
    if np.ptp(y) == 0:
        return
    theirs = ConvexHull(np.column_stack([x, y]))
    lower = theirs.equations[theirs.equations[:, 1] < -1e-12]
    planes = np.max([-(a * x[chain] + c) / b for a, b, c in lower], axis=0)
    assert planes == pytest.approx(y[chain], abs=1e-9)


def phases(elements, n=12):
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.ones(len(elements)), n)
    return [
        Phase("X", dict(zip(elements, map(float, share), strict=True)), float(rng.normal()), "random")
        for share in shares
    ]


def test_phases_of_two_and_three_elements_are_drawn_and_of_four_are_not():
    two = hull.hull_plot(phases(["Cu", "Au"]), ["Cu", "Au"])
    assert "Au" in two.axes[0].get_xlabel()
    three = hull.hull_plot(phases(["Cu", "Ag", "Au"]), ["Cu", "Ag", "Au"])
    assert {text.get_text() for text in three.axes[0].texts} == {"Cu", "Ag", "Au"}
    with pytest.raises(ValueError, match="4 elements"):
        hull.hull_plot([], ["A", "B", "C", "D"])


def test_times_of_decisions_are_shares_and_policies_without_any_are_left_out():
    figure = latency.decision_latency({"random": [0.001, 0.003, 0.002], "ucb": []})
    found = lines(figure.axes[0])
    assert list(found) == ["random: median 2 ms"]
    assert found["random: median 2 ms"].tolist() == pytest.approx([0, 100 / 3, 200 / 3, 100])


def test_names_of_users_are_text_and_no_formula_and_figures_are_files(tmp_path):
    summary = a_summary(systems=("$x^2$ & <b>",), policies=("$\\frac{", "b_1"))
    drawn = draw(summary, "Score ($)", {"b_1": [0.1]}, {"$x^2$ & <b>": Phases(("Cu", "Au"), phases(["Cu", "Au"]))})
    assert [one.key for one in drawn] == ["discoveries", "best-found", "factors", "phases", "decisions"]
    for path in write_plots(tmp_path / "plots", drawn):
        with Image.open(path) as image:
            assert image.width > 500
        assert path.with_suffix(".svg").read_text().startswith("<?xml")


def test_a_campaign_without_discoveries_has_no_plot_of_them():
    keys = [one.key for one in draw(a_summary(hits=(0, 0)), "Score", {})]
    assert keys == ["best-found", "factors"]
