"""Choosing alpha: criteria against their definitions, and what scikit-learn expects."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmxne import MixedNormEstimator, MixedNormIC
from skmxne.degrees_of_freedom import CRITERIA, compute_degrees_of_freedom

SIZES = dict(n_samples=40, n_positions=60, n_targets=6, n_active=3, noise=1.0)
ALPHAS = [80.0, 60.0, 40.0, 30.0, 20.0, 12.0, 8.0]

n_orients = pytest.mark.parametrize("n_orient", [1, 3])
criteria = pytest.mark.parametrize("criterion", CRITERIA)


@pytest.fixture(scope="module")
def make_data(make_problem):
    """Return a function that makes X and y."""
    return lambda n_orient=1, **sizes: make_problem(n_orient=n_orient, **(SIZES | sizes))


def forgive_choice():
    """Ignore what the data of scikit-learn's checks, which are random, make of a choice."""
    warnings.filterwarnings("ignore", message="No position is active")
    warnings.filterwarnings("ignore", message=r"alpha_=\S+ is the smallest of the grid")


@parametrize_with_checks(
    [
        MixedNormIC(),
        MixedNormIC(criterion="sure", n_mxne_iter=1),
        MixedNormIC(criterion="gcv", noise_variance=None, n_mxne_iter=1),
        MixedNormIC(criterion="discrepancy", noise_variance=None),
    ]
)
def test_scikit_learn_checks(estimator, check):
    with warnings.catch_warnings():
        forgive_choice()
        check(estimator)


# The criteria


def refit(X, y, alpha, n_mxne_iter, n_orient):
    """Return RSS and dof of the estimator, before debiasing."""
    estimator = MixedNormEstimator(
        alpha, n_orient=n_orient, n_mxne_iter=n_mxne_iter, debias=False, tol=1e-12
    ).fit(X, y)
    scale = estimator.alpha_max_ / max(
        np.linalg.norm(X[:, g : g + n_orient], 2) ** 2 for g in range(0, X.shape[1], n_orient)
    )
    dof = compute_degrees_of_freedom(
        X[:, estimator.active_set_],
        estimator.coef_[:, estimator.active_set_].T,
        estimator.penalty_,
        n_orient=n_orient,
        reweighting_scale=scale if n_mxne_iter > 1 else None,
    )
    return np.sum((y - estimator.predict(X)) ** 2), dof


DEFINITIONS = {
    "sure": lambda rss, dof, n, s2: rss + 2 * s2 * dof - n * s2,
    "bic": lambda rss, dof, n, s2: rss + np.log(n) * s2 * dof,
    "gcv": lambda rss, dof, n, s2: n * rss / (n - dof) ** 2,
    "discrepancy": lambda rss, dof, n, s2: rss - (n - dof) * s2,
}


@n_orients
@criteria
@pytest.mark.parametrize("n_mxne_iter", [1, 100])
@pytest.mark.parametrize("noise_variance", [2.0, None])
def test_criterion_is_what_its_definition_makes_of_refits(
    make_data, criterion, n_mxne_iter, n_orient, noise_variance
):
    X, y = make_data(n_orient)
    params = dict(n_orient=n_orient, n_mxne_iter=n_mxne_iter)
    model = MixedNormIC(
        criterion=criterion, noise_variance=noise_variance, alphas=ALPHAS, tol=1e-12, **params
    )

    with warnings.catch_warnings():
        forgive_choice()
        model.fit(X, y)

    rss, dof = np.transpose([refit(X, y, alpha, **params) for alpha in ALPHAS])
    s2 = noise_variance or rss[-1] / (y.size - dof[-1])
    values = DEFINITIONS[criterion](rss, dof, y.size, s2)
    assert_array_equal(model.alphas_, ALPHAS)
    assert_allclose(model.residual_sum_of_squares_, rss, rtol=1e-5)
    assert_allclose(model.degrees_of_freedom_, dof, rtol=1e-4)
    assert model.noise_variance_ == pytest.approx(s2, rel=1e-5)
    assert_allclose(model.criterion_, values, rtol=1e-4, atol=1e-4 * y.size)
    assert np.ptp(values) > 0.1 * np.abs(values).min()
    if criterion == "discrepancy":
        reached = [a for a, r, d in zip(ALPHAS, rss, dof, strict=True) if r <= (y.size - d) * s2]
        assert model.alpha_ == max(reached, default=ALPHAS[-1])
    else:
        assert model.alpha_ == ALPHAS[np.argmin(values)]


@n_orients
@pytest.mark.parametrize("n_mxne_iter", [1, 10])
@pytest.mark.parametrize("debias", [True, False])
def test_model_is_the_estimator_at_the_alpha_chosen(make_data, n_orient, n_mxne_iter, debias):
    X, y = make_data(n_orient)
    params = dict(n_orient=n_orient, n_mxne_iter=n_mxne_iter, debias=debias, tol=1e-12)
    model = MixedNormIC(**params).fit(X, y)
    expected = MixedNormEstimator(model.alpha_, **params).fit(X, y)
    assert 0 < model.n_active_ == expected.n_active_
    assert_array_equal(model.active_set_, expected.active_set_)
    assert_allclose(model.coef_, expected.coef_, atol=1e-5 * np.abs(expected.coef_).max())
    assert_allclose(model.debias_scale_, expected.debias_scale_, rtol=1e-4)
    assert model.alpha_max_ == expected.alpha_max_
    assert model.penalty_ == expected.penalty_
    assert model.objective_[-1] == pytest.approx(expected.objective_[-1], rel=1e-9)
    assert model.dual_gap_ <= 1e-12
    assert model.converged_
    ours, its = ({name for name in vars(fit) if name.endswith("_")} for fit in (model, expected))
    assert its < ours
