"""Surrogate models: their kernels and acquisitions, beside closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from campaigns.surrogate import acquire, make_model
from campaigns.surrogate.tanimoto import Tanimoto, tanimoto

COUNTS = arrays.arrays(np.float64, st.tuples(st.integers(1, 6), st.just(5)), elements=st.integers(0, 4).map(float))


@given(COUNTS)
@settings(max_examples=60)
def test_tanimoto_is_a_similarity_that_a_gaussian_process_can_have(vectors):
    matrix = tanimoto(vectors, vectors)
    assert ((matrix >= 0) & (matrix <= 1 + 1e-12)).all()
    assert np.allclose(matrix, matrix.T)
    assert np.diag(matrix) == pytest.approx(1)
    assert np.linalg.eigvalsh(matrix).min() > -1e-9


def test_a_kernel_that_is_asked_again_says_the_same_whatever_became_of_its_answer():
    kernel = Tanimoto()
    for vectors in np.random.default_rng(0).random((3, 5, 4)):
        expected = tanimoto(vectors, vectors)
        for _ in range(2):
            found = kernel(vectors)
            assert found.tobytes() == expected.tobytes()
            found += 1.0  # as a Gaussian process adds noise
        assert kernel(vectors, vectors[:2]).shape == (5, 2)
        assert kernel(vectors, eval_gradient=True)[1].shape == (5, 5, 0)


def test_tanimoto_of_bits_is_the_share_of_bits_in_common():
    assert tanimoto(np.array([[1.0, 1, 0, 1]]), np.array([[1.0, 0, 1, 1]]))[0, 0] == pytest.approx(2 / 4)


@given(st.floats(-5, 5), st.floats(0.01, 5), st.floats(-5, 5), st.floats(0, 3))
@settings(max_examples=80)
def test_acquisitions_are_their_formulas(mean, std, best, factor):
    means, stds = np.array([mean]), np.array([std])
    assert acquire(means, stds, best, "greedy", factor)[0] == mean
    assert acquire(means, stds, best, "ucb", factor)[0] == pytest.approx(mean + factor * std)
    gain = acquire(means, stds, best, "expected_improvement", factor)[0]
    assert gain >= max(0.0, mean - best) - 1e-9
    draws = mean + std * np.sqrt(2) * np.array(np.polynomial.hermite.hermgauss(200)[0])
    weights = np.polynomial.hermite.hermgauss(200)[1] / math.sqrt(math.pi)
    assert gain == pytest.approx(float(weights @ np.maximum(draws - best, 0)), abs=0.02 * std + 1e-6)


def test_without_uncertainty_the_expected_improvement_is_the_improvement():
    values = acquire(np.array([1.0, 3.0]), np.zeros(2), 2.0, "expected_improvement", 1.0)
    assert values.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(("name", "kernel"), [("gaussian_process", "rbf"), ("random_forest", "rbf")])
def test_models_learn_a_smooth_function_and_are_less_certain_far_away(name, kernel):
    x = np.linspace(0, 1, 25)[:, None]
    model = make_model(name, kernel, 100, seed=1)
    model.fit(x, np.sin(3 * x[:, 0]))
    guess = model.predict(np.array([[0.5], [0.71]]))
    assert guess.mean == pytest.approx(np.sin(3 * np.array([0.5, 0.71])), abs=0.05)
    if name == "gaussian_process":
        far = model.predict(np.array([[0.5], [3.0]])).std
        assert far[1] > 5 * far[0]
