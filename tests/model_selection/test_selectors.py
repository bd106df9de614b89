"""Choosing alpha: criteria and folds against their definitions, and what scikit-learn expects."""

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmxne import InverseProblem, MixedNormCV, MixedNormEstimator, MixedNormIC
from skmxne.datasets import make_recording
from skmxne.model_selection.criteria import CRITERIA, WITHOUT_NOISE_VARIANCE

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
    warnings.filterwarnings("ignore", message="The model is empty")
    warnings.filterwarnings("ignore", message="The alpha chosen")
    warnings.filterwarnings("ignore", message="The residual has")
    warnings.filterwarnings("ignore", message="The empty model beats every model")
    warnings.filterwarnings("ignore", message="The model has .* it fits more noise")
    warnings.filterwarnings("ignore", message="Models of more than half as many features")
    warnings.filterwarnings("ignore", message="If noise has")
    warnings.filterwarnings("ignore", message="A constant explains")
    warnings.filterwarnings("ignore", message="noise_variance=None estimates the noise from")


@parametrize_with_checks([MixedNormIC(alphas=4), MixedNormCV(alphas=4, cv=3)])
def test_scikit_learn_checks(estimator, check):
    with warnings.catch_warnings():
        forgive_choice()
        check(estimator)


@pytest.mark.thorough
@parametrize_with_checks(
    [
        MixedNormIC(),
        MixedNormIC(alphas=4, fit_intercept=True),
        MixedNormIC(alphas=4, criterion="sure", n_mxne_iter=1, fit_intercept=True),
        MixedNormIC(alphas=4, criterion="gcv", noise_variance=None, n_mxne_iter=1),
        MixedNormIC(alphas=4, criterion="discrepancy", noise_variance=None),
        MixedNormCV(alphas=4, fit_intercept=True),
        MixedNormCV(alphas=4, n_mxne_iter=3, tol=1e-10, one_standard_error=True, cv=3),
        MixedNormCV(alphas=4, scoring="neg_mean_absolute_error", n_jobs=2, cv=3),
    ]
)
def test_scikit_learn_checks_of_other_parameters(estimator, check):
    test_scikit_learn_checks(estimator, check)


# The criteria


def compute_dof(X, coef, n_orient, curvature, excess):
    """Compute degrees of freedom by a system in the features, without the code of the package.

    The penalty on a block of norm r has the Hessian curvature * (I - excess * w w^T / r^2).
    """
    norms = np.linalg.norm(coef.reshape(len(curvature), -1), axis=1)
    inverse = np.linalg.inv(X.T @ X + np.diag(np.repeat(curvature, n_orient)))
    hat = inverse @ X.T @ X

    def sum_blocks(matrix):
        blocks = (matrix * (coef @ coef.T)).reshape(len(norms), n_orient, len(norms), n_orient)
        return blocks.sum(axis=(1, 3))

    system = np.diag(norms**2 / (excess * curvature)) - sum_blocks(inverse)
    moved = np.linalg.solve(system, sum_blocks(hat @ inverse))
    return coef.shape[1] * np.trace(hat) + np.trace(moved)


def refit(X, y, alpha, n_mxne_iter, n_orient):
    """Return RSS and dof of the estimator, before debiasing, at a fixed point if reweighted."""
    estimator = MixedNormEstimator(
        alpha, n_orient=n_orient, n_mxne_iter=n_mxne_iter, debias=False, tol=1e-12
    ).fit(X, y)
    coef = estimator.coef_[:, estimator.active_set_].T
    norms = np.linalg.norm(coef.reshape(estimator.n_active_, -1), axis=1)
    curvature, excess = estimator.penalty_ / norms, 1.0
    if n_mxne_iter > 1:
        blocks = [X[:, g : g + n_orient] for g in range(0, X.shape[1], n_orient)]
        scale = estimator.alpha_max_ / max(np.linalg.norm(block, 2) ** 2 for block in blocks)
        curvature, excess = curvature * np.sqrt(scale / norms) / 2, 1.5
    dof = compute_dof(X[:, estimator.active_set_], coef, n_orient, curvature, excess)
    return np.sum((y - estimator.predict(X)) ** 2), dof


DEFINITIONS = {
    "sure": lambda rss, dof, n, s2: rss + 2 * s2 * dof - n * s2,
    "bic": lambda rss, dof, n, s2: rss + np.log(n) * s2 * dof,
    "gcv": lambda rss, dof, n, s2: n * rss / (n - dof) ** 2,
    "discrepancy": lambda rss, dof, n, s2: rss - (n - dof) * s2,
}


@pytest.mark.usual(n_mxne_iter=[1])
@pytest.mark.usual(criterion=["gcv"], n_orient=[3])
@criteria
@pytest.mark.parametrize(
    ("n_mxne_iter", "n_orient", "noise_variance"),
    [(1, 1, None), (1, 3, 2.0), (300, 1, 2.0), (300, 3, None)],
)
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


@n_orients
@pytest.mark.parametrize("n_mxne_iter", [1, 10])
def test_active_positions_are_counted_along_the_path(make_data, n_orient, n_mxne_iter):
    X, y = make_data(n_orient)
    params = dict(n_orient=n_orient, n_mxne_iter=n_mxne_iter, tol=1e-10)
    model = MixedNormIC(alphas=ALPHAS, **params).fit(X, y)
    expected = [MixedNormEstimator(alpha, **params).fit(X, y).n_active_ for alpha in ALPHAS]
    assert len(set(expected)) > 1
    assert_array_equal(model.n_active_path_, expected)


@pytest.mark.usual(n_mxne_iter=[1], correlation=[0.9])
@pytest.mark.filterwarnings("ignore:The residual has", "ignore:The model has")
@pytest.mark.filterwarnings("ignore:The model is empty")
@pytest.mark.parametrize("n_mxne_iter", [1, 3])
@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_sure_estimates_the_risk(make_problem, n_mxne_iter, correlation):
    """The mean over draws of the noise, at the same penalty and the same scale."""
    X, mean = make_problem(15, 30, n_orient=2, n_targets=4, n_active=2, noise=0.0)
    rng, noise_variance = np.random.default_rng(0), 4.0
    covariance = correlation ** np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    root = np.sqrt(noise_variance) * np.linalg.cholesky(covariance)
    model = MixedNormIC(
        criterion="sure",
        noise_variance=noise_variance,
        target_covariance=covariance,
        n_orient=2,
        n_mxne_iter=n_mxne_iter,
        reweighting_scale=1.0,
        tol=1e-10,
        debias=False,
    )
    estimates, losses, naive = [], [], []
    for _ in range(200):
        y = mean + rng.standard_normal(mean.shape) @ root.T
        alpha_max = np.linalg.norm((X.T @ y).reshape(30, -1), axis=1).max()
        model.set_params(alphas=[100 * 25.0 / alpha_max]).fit(X, y)
        estimates.append(model.criterion_[0])
        losses.append(np.sum((model.predict(X) - mean) ** 2))
        model.set_params(target_covariance=None).fit(X, y)
        naive.append(model.criterion_[0])
        model.set_params(target_covariance=covariance)
    standard_error = np.std(np.subtract(estimates, losses)) / np.sqrt(len(losses))
    assert abs(np.mean(estimates) - np.mean(losses)) < 3 * standard_error
    assert standard_error < 0.1 * np.mean(losses)
    if correlation:
        assert np.mean(naive) - np.mean(losses) < -5 * standard_error


def test_covariance_of_targets_in_the_criteria(make_data):
    X, y = make_data()
    covariance = 2.0 * 0.9 ** np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    n = len(X) * np.trace(covariance)
    n_independent = len(X) * np.trace(covariance) ** 2 / np.sum(covariance**2)
    assert n_independent < y.size / 2
    assert set(DEFINITIONS) == set(CRITERIA)
    for criterion, definition in DEFINITIONS.items():
        model = MixedNormIC(criterion=criterion, target_covariance=covariance, eps=0.02, alphas=5)
        model.fit(X, y)
        rss, dof = model.residual_sum_of_squares_, model.degrees_of_freedom_
        share = n_independent / n
        expected = definition(rss, share * dof, n_independent, 1.0 / share)
        assert_allclose(model.criterion_, expected, rtol=1e-12)
        if criterion == "bic":
            assert_allclose(model.criterion_, rss + np.log(n_independent) * dof, rtol=1e-12)
        elif criterion != "gcv":  # where only the size of n matters, and the products count
            assert_allclose(model.criterion_, definition(rss, dof, n, 1.0), rtol=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_discrepancy_of_noise_estimated_at_the_smallest_alpha_is_reached(make_problem, seed):
    X, y = make_problem(30, 40, noise=1.0, n_targets=6, random_state=seed)
    covariance = 0.9 ** np.abs(np.subtract.outer(np.arange(6), np.arange(6)))
    for target_covariance in (None, covariance):
        model = MixedNormIC(
            criterion="discrepancy",
            noise_variance=None,
            target_covariance=target_covariance,
            alphas=[50, 20],
        )
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("always")
            model.fit(X, y)
        assert model.criterion_[-1] == 0.0
        assert not any("not reached" in str(one.message) for one in record)


@pytest.mark.usual(criterion=["ric", "gcv"], X_scale=[1e8])
@pytest.mark.parametrize("criterion", ["ric", *CRITERIA])
@pytest.mark.parametrize(("X_scale", "y_scale"), [(1e8, 1e-9), (1e-12, 1e6)])
def test_scaling_the_data_does_not_change_the_choice(make_data, criterion, X_scale, y_scale):
    X, y = make_data(3)
    model = MixedNormIC(criterion=criterion, n_orient=3, eps=0.02, alphas=8, tol=1e-8)
    plain = clone(model).fit(X, y)
    scaled = model.set_params(noise_variance=y_scale**2).fit(X_scale * X, y_scale * y)
    assert scaled.alpha_ == plain.alpha_
    assert_allclose(scaled.degrees_of_freedom_, plain.degrees_of_freedom_, rtol=1e-4)


@pytest.mark.thorough
@pytest.mark.usual(seed=[0])
@pytest.mark.parametrize("seed", [0, 1])
def test_covariance_from_trials_makes_up_for_correlated_noise(seed):
    recording = make_recording(n_sources=1 + seed, autocorrelation=0.9, random_state=seed)
    epochs = recording.epochs.copy().crop(0.05, 0.35)
    problem = InverseProblem.from_epochs(epochs, recording.forward, recording.noise_cov, loose=0)
    covariance = problem.target_covariance
    white = MixedNormIC(criterion="bic").fit(problem.X, problem.y)
    model = MixedNormIC(criterion="bic", target_covariance=covariance).fit(problem.X, problem.y)
    assert model.n_active_ == 1 + seed < white.n_active_
    assert len(problem.to_dipoles(model)) == 1 + seed
    # Without being told, "ric" sees how many times are independent.
    unaware, aware = (
        MixedNormIC(noise_variance=None, target_covariance=each).fit(problem.X, problem.y)
        for each in (None, covariance)
    )
    assert unaware.n_active_ == aware.n_active_ == 1 + seed
    n_independent = np.trace(covariance) ** 2 / np.sum(covariance**2)
    assert aware.n_independent_targets_ == pytest.approx(n_independent)
    assert unaware.n_independent_targets_ == pytest.approx(n_independent, rel=0.5)
    assert n_independent < 0.2 * len(covariance)


# The risk inflation criterion


def fit_least_squares(X, y, model):
    """Return the residual of the least-squares fit of the active positions."""
    active = X[:, model.active_set_]
    return y - active @ np.linalg.lstsq(active, y, rcond=None)[0]


@n_orients
@pytest.mark.parametrize("model_error", [0.0, 0.1])
def test_risk_inflation_is_what_its_definition_makes_of_refits(make_data, n_orient, model_error):
    X, y = make_data(n_orient)
    params = dict(n_orient=n_orient, n_mxne_iter=3, tol=1e-10)
    covariance = np.diag([3.0, 2.0, 1.0, 1.0, 0.5, 0.5])
    model = MixedNormIC(
        model_error=model_error, noise_variance=1.5, target_covariance=covariance, alphas=ALPHAS
    )
    model.set_params(**params)
    with warnings.catch_warnings():
        forgive_choice()
        model.fit(X, y)

    fits = [MixedNormEstimator(alpha, **params).fit(X, y) for alpha in ALPHAS]
    n_active = np.array([fit.n_active_ for fit in fits])
    rss = np.array([np.sum(fit_least_squares(X, y, fit) ** 2) for fit in fits])
    blocks = X.T.reshape(-1, n_orient, len(X))
    active = np.any([fit.active_set_ for fit in fits], axis=0)[::n_orient]
    alone = [np.linalg.lstsq(block.T, y, rcond=None)[1].sum() for block in blocks[active]]
    largest = np.sum(y**2) - min(alone)
    m = 8.0**2 / np.sum(covariance**2)
    d = 8.0 / m * (np.sqrt(n_orient * m) + np.sqrt(2 * np.log(len(blocks)))) ** 2
    expected = rss + n_active * (1.5 * d + model_error * largest)
    expected[2 * n_active * n_orient > len(X)] = np.inf
    assert len(set(n_active)) > 2
    assert_allclose(model.criterion_, expected, rtol=1e-8)
    assert_allclose(model.residual_sum_of_squares_, rss, rtol=1e-8)
    assert_allclose(model.degrees_of_freedom_, 8.0 * n_orient * n_active)
    assert model.alpha_ == ALPHAS[np.argmin(expected)]
    assert model.n_independent_targets_ == pytest.approx(m)


@n_orients
def test_independent_targets_are_counted_in_what_a_model_leaves(make_data, n_orient):
    X, y = make_data(n_orient, n_samples=60, noise=0.0)
    rng = np.random.default_rng(0)
    true = np.diag([3.0, 2.0, 0.4, 0.3, 0.2, 0.1])
    y = y + rng.standard_normal(y.shape) @ np.sqrt(true)
    params = dict(alphas=ALPHAS, n_orient=n_orient)
    model = MixedNormIC(**params).fit(X, y)
    residual = fit_least_squares(X, y, model)
    n_left = len(X) - n_orient * model.n_active_
    covariance = residual.T @ residual / n_left
    known = MixedNormIC(target_covariance=6.0 * covariance / np.trace(covariance), **params)
    known.fit(X, y)
    index = ALPHAS.index(model.alpha_)
    assert model.n_active_ == known.n_active_ == SIZES["n_active"]
    assert known.criterion_[index] == pytest.approx(model.criterion_[index], rel=0.02)
    expected = np.trace(true) ** 2 / np.sum(true**2)
    assert model.n_independent_targets_ == pytest.approx(expected, rel=0.25)
    # Without the bias of a covariance that is estimated from few samples.
    assert known.n_independent_targets_ < model.n_independent_targets_
    told = MixedNormIC(target_covariance=np.eye(6), **params).fit(X, y)
    assert told.criterion_[index] < model.criterion_[index]


@n_orients
def test_unknown_noise_is_what_the_positions_cannot_have_explained_of_it(make_data, n_orient):
    X, y = make_data(n_orient, n_samples=60, noise=2.0)
    model = MixedNormIC(
        alphas=ALPHAS, n_orient=n_orient, noise_variance=None, model_error=0.0
    ).set_params(target_covariance=np.eye(6))
    model.fit(X, y)
    d = (np.sqrt(6 * n_orient) + np.sqrt(2 * np.log(60))) ** 2
    n_left = y.size - model.n_active_path_ * d
    assert min(n_left) < 0 < max(n_left)
    expected = np.where(n_left > 0, y.size * model.residual_sum_of_squares_ / n_left, np.inf)
    assert_allclose(model.criterion_, expected)
    assert model.n_active_ == SIZES["n_active"]
    residual = fit_least_squares(X, y, model)
    left = np.sum(residual**2) / (len(X) - n_orient * model.n_active_) / 6
    assert model.noise_variance_ == pytest.approx(left)
    assert left == pytest.approx(4.0, rel=0.2)


@pytest.mark.parametrize("noise_variance", [1.0, None])
def test_models_that_leave_no_noise_are_not_chosen(make_problem, noise_variance):
    X, y = make_problem(20, 100, n_targets=3, noise=1.0)
    model = MixedNormIC(noise_variance=noise_variance, alphas=[60, 20, 1, 0])
    with warnings.catch_warnings():
        forgive_choice()
        model.fit(X, y)
    assert model.n_active_path_[-1] > 10 > model.n_active_
    assert np.isinf(model.criterion_[model.n_active_path_ > 10]).all()
    assert np.isfinite(model.criterion_[model.n_active_path_ <= 10]).all() == (
        noise_variance is not None
    )


DOUBTS = "times the power that|it fits noise|is not reached|cannot be judged|If noise has"


@pytest.mark.usual(noise=[5.0], seed=[0])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise", [3.0, 5.0, 10.0])
@pytest.mark.parametrize("criterion", sorted({"ric", *CRITERIA} - WITHOUT_NOISE_VARIANCE))
def test_much_more_noise_than_told_is_never_silent(make_problem, criterion, noise, seed):
    """However much of it the model takes for signal."""
    X, y = make_problem(
        60, 100, n_orient=3, n_targets=10, n_active=4, noise=noise, random_state=seed
    )
    model = MixedNormIC(criterion=criterion, n_orient=3, alphas=12)
    with pytest.warns(UserWarning, match=DOUBTS):
        model.fit(X, y)


@pytest.mark.usual(n_samples=[30], n_orient=[3])
@pytest.mark.parametrize(
    ("n_samples", "n_orient", "n_targets", "noise"),
    [
        *[(60, 1, 300, 1.2), (60, 3, 20, 2.0)],
        *[(30, 1, 1, 2.0), (30, 3, 1, 3.0), (58, 3, 1, 3.0)],
    ],
)
def test_noise_taken_for_sources_is_never_silent(n_samples, n_orient, n_targets, noise):
    """Somewhat more than told of many data, or much more of few, from which positions choose."""
    n_found = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((n_samples, 200 * n_orient))
        y = noise * rng.standard_normal((n_samples, n_targets))
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("always")
            model = MixedNormIC(n_orient=n_orient).fit(X, y)
        n_found += model.n_active_ > 0
        told = [each for each in record if re.search(DOUBTS, str(each.message))]
        assert len(told) == 1 or model.n_active_ == 0
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The model is empty")
            assert model.set_params(noise_variance=None).fit(X, y).n_active_ == 0
    assert n_found >= 3


@pytest.mark.usual(seed=range(2))
@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize(
    ("n_samples", "n_positions", "n_targets", "n_orient"),
    [(60, 200, 30, 3), (60, 50, 4, 1), (30, 1300, 4, 3)],
)
def test_noise_as_told_is_not_doubted(
    make_problem, n_samples, n_positions, n_targets, n_orient, seed
):
    sizes = dict(n_orient=n_orient, n_targets=n_targets, n_active=3, noise=1.0)
    X, y = make_problem(n_samples, n_positions, random_state=seed, **sizes)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The alpha chosen")
        MixedNormIC(n_orient=n_orient).fit(X, y)


@pytest.mark.parametrize("n_samples", [3, 5])
def test_too_few_samples_for_any_position_are_told(make_problem, n_samples):
    X, y = make_problem(40, 20, n_orient=3, n_targets=5, n_active=2, noise=0.1)
    with pytest.warns(UserWarning, match="cannot be judged|other warning") as record:
        MixedNormIC(n_orient=3).fit(X[:n_samples], y[:n_samples])
    limited, empty = (str(each.message) for each in record)
    assert f"more features than half the number of samples ({n_samples}) explain more" in limited
    assert empty == "The model is empty, all coefficients are zero: see the other warning."


@pytest.mark.usual(criterion=["bic"])
@pytest.mark.parametrize("criterion", ["bic", "sure"])
def test_estimate_by_a_model_that_fits_noise_is_told(make_problem, criterion):
    X, _ = make_problem(60, 600, n_orient=3)
    y = np.random.default_rng(0).standard_normal((60, 20))
    model = MixedNormIC(criterion=criterion, noise_variance=None, n_orient=3)
    with pytest.warns(UserWarning, match="noise_variance=None estimates .* it fits noise"):
        model.fit(X, y)
    assert model.noise_variance_ < 0.5


@pytest.mark.parametrize("time_pca", [2, 5])
@pytest.mark.filterwarnings("ignore:The model is empty")
@pytest.mark.parametrize("n_draws", [2, pytest.param(10, marks=pytest.mark.thorough)])
def test_limited_rank_does_not_make_noise_a_source(make_problem, time_pca, n_draws):
    """The part of noise that is kept is the largest."""
    X, _ = make_problem(60, 200)
    rng = np.random.default_rng(0)
    for _ in range(n_draws):
        model = MixedNormIC(time_pca=time_pca).fit(X, rng.standard_normal((60, 50)))
        assert model.n_active_ == 0


@pytest.mark.parametrize("params", [{}, dict(alphas=[95, 90])])
def test_grid_without_an_empty_model_does_not_hide_that_it_is_the_best(make_problem, params):
    X, _ = make_problem(60, 200)
    rng = np.random.default_rng(0)
    for _ in range(5):
        y = rng.standard_normal((60, 50))
        with pytest.warns(UserWarning, match="The empty model beats every model"):
            model = MixedNormIC(n_mxne_iter=1, **params).fit(X, y)
        assert model.criterion_.min() > np.sum(y**2)


def test_only_positions_that_may_be_chosen_compete(make_data):
    X, y = make_data()
    weights = np.ones(X.shape[1])
    weights[::2] = 0.0
    model = MixedNormIC(weights=weights, alphas=ALPHAS)
    alone = MixedNormIC(alphas=ALPHAS)
    with warnings.catch_warnings():
        forgive_choice()
        model.fit(X, y)
        alone.fit(X[:, 1::2], y)
    assert_allclose(model.criterion_, alone.criterion_)


def test_grid_that_ends_too_early_is_one_reason_for_noise(make_data):
    X, y = make_data(noise=0.01)
    model = MixedNormIC(criterion="sure", noise_variance=1e-4, alphas=3, eps=0.5)
    with pytest.warns(
        UserWarning, match=r"The residual has .* too early: try smaller alphas"
    ) as record:
        model.fit(X, y)
    assert len(record) == 1


def test_little_noise_may_be_far_from_its_variance_by_chance(make_problem):
    """One target of 12 samples: half of such data sets are more than 40 % off."""
    X, signal = make_problem(12, 6, n_targets=1, n_active=1, noise=0.0)
    rng, n_off = np.random.default_rng(0), 0
    for _ in range(20):
        y = 100.0 * signal + rng.standard_normal(signal.shape)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The alpha chosen")
            model = MixedNormIC().fit(X, y)
        left = model.residual_sum_of_squares_.min() / (12 - model.n_active_)
        n_off += not 0.5 <= left <= 2.0
    assert n_off > 1


@pytest.mark.usual(smoothness=[0.95], noise_variance=[None])
@pytest.mark.parametrize("smoothness", [0.0, 0.95])
@pytest.mark.parametrize("noise_variance", [1.0, None])
@pytest.mark.filterwarnings("ignore:The model is empty", "ignore:The residual has")
def test_risk_inflation_finds_nothing_in_noise(make_problem, smoothness, noise_variance):
    """With targets that are correlated, too, of which the criterion is not told."""
    X, _ = make_problem(60, 200)
    rng, n_found = np.random.default_rng(0), 0
    lags = np.abs(np.subtract.outer(np.arange(20), np.arange(20)))
    root = np.linalg.cholesky(smoothness**lags)
    for _ in range(6):
        y = rng.standard_normal((60, 20)) @ root.T
        n_found += MixedNormIC(noise_variance=noise_variance).fit(X, y).n_active_ > 0
    assert n_found <= 1


@pytest.mark.parametrize(("share", "n_active"), [(0.01, 1), (0.1, 2)])
def test_position_has_to_explain_its_share_of_the_strongest(make_problem, share, n_active):
    X, _ = make_problem(50, 80)
    rng = np.random.default_rng(0)
    X = np.linalg.qr(X[:, :50])[0]
    amplitudes = 100.0 * np.array([1.0, np.sqrt(share)])
    time_courses = np.linalg.qr(rng.standard_normal((10, 2)))[0].T
    y = X[:, [3, 7]] @ (amplitudes[:, None] * time_courses) + rng.standard_normal((50, 10))
    model = MixedNormIC(eps=0.01, refine=False).fit(X, y)
    assert model.n_active_ == n_active
    assert MixedNormIC(model_error=0.0, eps=0.01).fit(X, y).n_active_ == 2


@pytest.mark.usual(seed=[0, 1])
@pytest.mark.parametrize("seed", range(6))
def test_source_without_noise_is_found(seed):
    """What it leaves because its column is not exact has one time course, which is no noise."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((60, 300)) / np.sqrt(60)
    field = X[:, 30:33].sum(axis=1) + 0.1 * rng.standard_normal(60) / np.sqrt(60)
    y = 3 * np.outer(field, np.hanning(61))
    model = MixedNormIC(n_orient=3)
    with pytest.warns(UserWarning, match="times the power that the noise level predicts"):
        model.fit(X, y)
    assert list(np.flatnonzero(model.active_set_)) == [30, 31, 32]
    assert model.n_independent_targets_ > 60


def test_of_models_with_the_same_positions_the_sparsest_alpha_is_chosen(make_data):
    X, y = make_data()
    model = MixedNormIC().fit(X, y)
    same = model.criterion_ == model.criterion_.min()
    assert same.sum() > 1
    assert model.alpha_ == model.alphas_[same].max()


@pytest.mark.usual(criterion=["ric"])
@pytest.mark.usual(factor=[2.5])
@pytest.mark.parametrize("factor", [0.4, 2.5])
@pytest.mark.parametrize("criterion", ["ric", "bic"])
def test_noise_that_contradicts_its_variance_is_told(make_data, criterion, factor):
    X, y = make_data(noise=0.5)
    model = MixedNormIC(criterion=criterion, noise_variance=0.25).fit(X, y)
    wrong = clone(model).set_params(noise_variance=0.25 / factor)
    with pytest.warns(
        UserWarning, match="The residual has .* times the power that the noise level predicts"
    ) as record:
        wrong.fit(X, y)
    assert [warning.filename for warning in record] == [__file__]
    ratio = float(str(record[0].message).split()[3])
    assert ratio == pytest.approx(factor, rel=0.25)
    clone(model).set_params(noise_variance=None).fit(X, y)


# Cross-validation

FOLDS = KFold(5, shuffle=True, random_state=0)


@pytest.mark.usual(scoring=[None], n_orient=[3])
@pytest.mark.usual(n_orient=[1], n_mxne_iter=[1])
@pytest.mark.filterwarnings("ignore:The alpha chosen")
@pytest.mark.filterwarnings("ignore:The model is empty")  # In a fold, by the search.
@n_orients
@pytest.mark.parametrize("n_mxne_iter", [1, 4])
@pytest.mark.parametrize(
    ("scoring", "cv"),
    [(None, None), ("r2", 3), ("neg_median_absolute_error", ShuffleSplit(4, random_state=0))],
)
def test_choice_is_that_of_a_grid_search(make_data, n_orient, n_mxne_iter, scoring, cv):
    X, y = make_data(n_orient)
    params = dict(n_orient=n_orient, n_mxne_iter=n_mxne_iter, tol=1e-9)
    if scoring == "neg_median_absolute_error":
        y = y[:, 0]
    search = GridSearchCV(
        MixedNormEstimator(**params),
        {"alpha": ALPHAS},
        cv=FOLDS if cv is None else cv,
        scoring=scoring or "neg_mean_squared_error",
    ).fit(X, y)

    model = MixedNormCV(alphas=ALPHAS, scoring=scoring, cv=cv, **params).fit(X, y)

    results = search.cv_results_
    expected = np.transpose([results[f"split{k}_test_score"] for k in range(search.n_splits_)])
    scores = -model.mse_path_ if scoring is None else model.score_path_
    assert hasattr(model, "score_path_") == (scoring is not None)
    assert model.mse_path_.shape == expected.shape
    assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)
    # Debiased, alphas of the same positions may predict the same, but for rounding.
    is_best = np.isclose(expected.mean(axis=1), expected.mean(axis=1).max(), rtol=1e-6)
    assert model.alpha_ in np.array(ALPHAS)[is_best]
    if model.alpha_ == search.best_params_["alpha"]:
        assert_array_equal(model.coef_, search.best_estimator_.coef_)
    else:
        assert is_best.sum() > 1


def test_error_and_number_of_active_positions_are_those_of_every_fold(make_data):
    X, y = make_data(3)
    model = MixedNormCV(n_orient=3, alphas=ALPHAS, tol=1e-10).fit(X, y)
    for k, (train, test) in enumerate(FOLDS.split(X)):
        for i, alpha in enumerate(ALPHAS):
            estimator = MixedNormEstimator(alpha, n_orient=3, tol=1e-10).fit(X[train], y[train])
            expected = mean_squared_error(y[test], estimator.predict(X[test]))
            assert model.mse_path_[i, k] == pytest.approx(expected, rel=1e-5)
            assert model.n_active_path_[i, k] == estimator.n_active_


@pytest.mark.parametrize("n_mxne_iter", [1, 4])
def test_model_is_the_estimator_at_the_alpha_of_the_folds(make_data, n_mxne_iter):
    X, y = make_data(3)
    params = dict(n_orient=3, n_mxne_iter=n_mxne_iter)
    model = MixedNormCV(**params).fit(X, y)
    expected = MixedNormEstimator(model.alpha_, **params).fit(X, y)
    fitted = {name: value for name, value in vars(expected).items() if name.endswith("_")}
    for name, value in fitted.items():
        assert_array_equal(getattr(model, name), value)
    assert set(vars(model)) - set(vars(expected)) >= {"alpha_", "alphas_", "mse_path_"}


def test_one_standard_error_takes_the_largest_alpha_within_it(make_data):
    X, y = make_data(noise=0.3)
    best = MixedNormCV(alphas=ALPHAS).fit(X, y)
    model = MixedNormCV(alphas=ALPHAS, one_standard_error=True).fit(X, y)
    means = model.mse_path_.mean(axis=1)
    k = means.argmin()
    bound = means[k] + np.std(model.mse_path_[k], ddof=1) / np.sqrt(5)
    assert model.alpha_ == max(a for a, m in zip(ALPHAS, means, strict=True) if m <= bound)
    assert model.alpha_ > best.alpha_ == ALPHAS[k]
    assert_array_equal(model.mse_path_, best.mse_path_)


def test_number_of_jobs_does_not_matter(make_data):
    X, y = make_data(3)
    fits = [MixedNormCV(n_orient=3, n_jobs=n).fit(X, y) for n in (None, 2)]
    assert_array_equal(fits[0].mse_path_, fits[1].mse_path_)
    assert_array_equal(fits[0].coef_, fits[1].coef_)


@pytest.mark.filterwarnings("ignore:The alpha chosen")
def test_callable_as_scoring_sees_fitted_estimators(make_data):
    X, y = make_data(3)
    seen = []

    def score(estimator, X, y):
        seen.append((estimator.alpha, estimator.n_active_, estimator.n_features_in_))
        return -np.abs(y - estimator.predict(X)).max()

    model = MixedNormCV(n_orient=3, alphas=[60, 30], cv=2, scoring=score)
    model.fit(X, y)
    assert [alpha for alpha, _, _ in seen] == [60, 30, 60, 30]
    assert all(n_active > 0 and n == X.shape[1] for _, n_active, n in seen)


def test_folds_that_nothing_predicts_are_told():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 40)), rng.standard_normal((30, 2))
    with pytest.warns(UserWarning, match="no alpha predicts left-out data better"):
        model = MixedNormCV(n_mxne_iter=10, alphas=[98, 60, 30]).fit(X, y)
    assert model.alpha_ == 98


def test_zero_is_no_edge_of_the_grid(make_problem):
    """Below it there is nothing to try."""
    X, y = make_problem(40, 10, n_active=10, noise=0.01)
    assert MixedNormCV(alphas=[50, 0]).fit(X, y).alpha_ == 0
    model = MixedNormIC(noise_variance=1e-4, alphas=[50, 0]).fit(X, y)
    assert model.alpha_ == 0
    assert model.degrees_of_freedom_[-1] == 10 * y.shape[1]


# Groups and sample weights


def split_by(groups):
    return [(np.flatnonzero(groups != g), np.flatnonzero(groups == g)) for g in np.unique(groups)]


@pytest.mark.parametrize("enable_metadata_routing", [False, True])
def test_groups_go_to_the_splitter(make_data, enable_metadata_routing):
    X, y = make_data()
    groups = np.arange(len(X)) % 4
    expected = MixedNormCV(cv=split_by(groups)).fit(X, y)
    model = MixedNormCV(cv=GroupKFold(4))
    with config_context(enable_metadata_routing=enable_metadata_routing):
        model.fit(X, y, groups)
    assert_allclose(np.sort(model.mse_path_), np.sort(expected.mse_path_), rtol=1e-10)
    with pytest.raises(ValueError, match="'groups' parameter should not be None"):
        model.fit(X, y)


def test_groups_are_routed_through_a_pipeline(make_data):
    X, y = make_data()
    groups = np.arange(len(X)) % 4
    model = MixedNormCV(cv=GroupKFold(4))
    expected = clone(model).fit(X, y, groups)
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline("passthrough", model).fit(X, y, groups=groups)
    assert_array_equal(pipeline[-1].mse_path_, expected.mse_path_)


def test_sample_weights_are_routed_if_requested(make_data):
    X, y = make_data()
    weight = np.linspace(0.1, 1.0, len(X))
    expected = MixedNormCV().fit(X, y, sample_weight=weight)
    with config_context(enable_metadata_routing=True):
        model = MixedNormCV().set_fit_request(sample_weight=True)
        pipeline = make_pipeline("passthrough", model).fit(X, y, sample_weight=weight)
    assert_array_equal(pipeline[-1].mse_path_, expected.mse_path_)


def test_groups_that_no_splitter_takes_are_told(make_data):
    X, y = make_data()
    with pytest.warns(UserWarning, match="groups parameter is ignored by KFold"):
        MixedNormCV().fit(X, y, groups=np.arange(len(X)))


@pytest.mark.parametrize("scoring", [None, "r2"])
def test_sample_weights_repeat_samples_in_folds_and_scores(make_data, scoring):
    X, y = make_data()
    repeats = np.random.default_rng(0).integers(0, 4, len(X))
    groups = np.arange(len(X)) % 4
    params = dict(scoring=scoring, tol=1e-10, alphas=ALPHAS)
    weighted = MixedNormCV(cv=split_by(groups), **params).fit(X, y, sample_weight=repeats)
    repeated = MixedNormCV(cv=split_by(groups.repeat(repeats)), **params)
    repeated.fit(X.repeat(repeats, axis=0), y.repeat(repeats, axis=0))
    assert_allclose(weighted.mse_path_, repeated.mse_path_, rtol=1e-6)
    if scoring:
        assert_allclose(weighted.score_path_, repeated.score_path_, rtol=1e-6)
    assert weighted.alpha_ == repeated.alpha_


# Both

models = pytest.mark.parametrize("model", [MixedNormCV(cv=3), MixedNormIC()], ids=["CV", "IC"])


@models
def test_single_precision_stays_single(make_data, model):
    X, y = (array.astype(np.float32) for array in make_data())
    single = clone(model).fit(X, y)
    double = clone(model).fit(X.astype(float), y.astype(float))
    assert single.coef_.dtype == np.float32
    assert single.alpha_ == double.alpha_
    assert_allclose(single.coef_, double.coef_, rtol=1e-3, atol=1e-4)


@models
def test_one_target_has_the_shape_it_comes_in(make_data, model):
    X, y = make_data(n_targets=1)
    flat, column = clone(model).fit(X, y), clone(model).fit(X, y[:, None])
    assert flat.coef_.shape == (X.shape[1],)
    assert flat.predict(X).shape == (len(X),)
    assert column.predict(X).shape == (len(X), 1)
    assert_array_equal(flat.coef_, column.coef_[0])
    assert flat.alpha_ == column.alpha_


@models
def test_data_frames(make_data, model):
    X, y = make_data()
    frame = pd.DataFrame(X, columns=[f"position {g}" for g in range(X.shape[1])])
    fitted = clone(model).fit(frame, pd.DataFrame(y))
    assert_array_equal(fitted.feature_names_in_, frame.columns)
    # Their memory is laid out another way, and products round in another way.
    assert_allclose(fitted.coef_, clone(model).fit(X, y).coef_, rtol=1e-6, atol=1e-8)
    assert_allclose(fitted.predict(frame), X @ fitted.coef_.T, rtol=1e-10)


@models
def test_clone_and_pickle(make_data, model):
    X, y = make_data()
    fitted = clone(model).fit(X, y)
    loaded = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(loaded.predict(X), fitted.predict(X))
    assert not hasattr(clone(fitted), "coef_")
    assert_array_equal(clone(fitted).fit(X, y).coef_, fitted.coef_)


@models
def test_in_a_pipeline(make_data, model):
    X, y = make_data()
    pipeline = make_pipeline(MaxAbsScaler(), clone(model)).fit(X, y)
    expected = clone(model).fit(X / np.abs(X).max(axis=0), y)
    assert pipeline[-1].alpha_ == expected.alpha_
    assert_allclose(pipeline.predict(X), expected.predict(X / np.abs(X).max(axis=0)), rtol=1e-10)


@models
def test_data_are_not_changed(make_data, model):
    arrays = [array.copy() for array in make_data()]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    clone(model).fit(*arrays)
    for array, copy in zip(arrays, before, strict=True):
        assert_array_equal(array, copy)


@models
@pytest.mark.filterwarnings("ignore:The residual has")
def test_smallest_alpha_of_the_grid_is_told(make_data, model):
    X, y = make_data(noise=0.01)
    model = clone(model).set_params(alphas=3, eps=0.5)
    if isinstance(model, MixedNormIC):
        model.set_params(criterion="gcv")
    match = "The alpha chosen, 50 %, is the smallest of the grid.* below it. Try smaller alphas"
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        model.fit(X, y)
    (told,) = [each for each in record if "of the grid" in str(each.message)]
    assert re.match(match, str(told.message))
    assert told.filename == __file__
    assert model.alpha_ == 50
    with pytest.warns(UserWarning, match="below it. Try smaller alphas"):
        model.set_params(alphas=[90, 50]).fit(X, y)


@models
def test_largest_alpha_of_the_grid_is_told(make_data, model):
    X, y = make_data()
    model = clone(model)
    if isinstance(model, MixedNormIC):
        model.set_params(alphas=[40, 35, 30], refine=False)
    else:
        model.set_params(alphas=[3, 2])
    match = r"The alpha chosen, \d+ %, is the largest of the grid.* above it. Try larger alphas"
    with pytest.warns(UserWarning, match=match) as record:
        model.fit(X, y)
    assert [warning.filename for warning in record] == [__file__]


def test_next_to_nothing_that_predicts_best_is_told(make_data):
    X, y = make_data(n_active=1)
    match = "The alpha chosen, 99 %, is the largest of the grid, where almost nothing is active"
    with pytest.warns(UserWarning, match=match):
        model = MixedNormCV().fit(X, y)
    assert model.n_active_ == 1
    assert MixedNormCV(n_mxne_iter=10).fit(X, y).n_active_ == 1


@models
def test_nothing_to_find(make_data, model):
    X, y = make_data()
    with pytest.warns(
        UserWarning, match="The model is empty.*nothing in X correlates with y"
    ) as record:
        fitted = clone(model).fit(X, 0.0 * y)
    assert [warning.filename for warning in record] == [__file__]
    assert not fitted.coef_.any()
    assert fitted.alpha_ == 99


@models
def test_unreached_tolerance_is_told_once(make_data, model):
    X, y = make_data()
    model = clone(model).set_params(maxit=1, tol=1e-12, alphas=[30, 20])
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        model.fit(X, y)
    (told,) = [str(w.message) for w in record if issubclass(w.category, ConvergenceWarning)]
    n_fits = "2 of 2 alphas" if isinstance(model, MixedNormIC) else "7 of 7 fits"
    assert f"above tol=1e-12 at {n_fits}, so the model is not exact: increase maxit=1" in told


REFUSED = [
    (MixedNormIC(criterion="aic"), ValueError, r"criterion='aic' is unknown: use one of \['ric'"),
    (MixedNormIC(criterion=None), ValueError, "criterion=None is unknown"),
    (MixedNormIC(noise_variance=0), ValueError, r"noise_variance must be in \(0, inf\)"),
    (MixedNormIC(noise_variance="1"), TypeError, "noise_variance must be a number or None"),
    (MixedNormIC(target_covariance=np.eye(2)), ValueError, r"target_covariance has shape \(2, 2\)"),
    (MixedNormIC(target_covariance=np.ones(6)), ValueError, r"target_covariance has shape \(6,\)"),
    (MixedNormIC(target_covariance=-np.eye(6)), ValueError, "target_covariance must be a cov"),
    (MixedNormIC(target_covariance=np.tri(6)), ValueError, "target_covariance must be a cov"),
    (MixedNormIC(target_covariance=np.zeros((6, 6))), ValueError, "not all zero"),
    (MixedNormIC(target_covariance=np.full((6, 6), np.nan)), ValueError, "target_covariance cont"),
    (MixedNormIC(alphas=0), ValueError, "alphas must be an int from 1 to 10000"),
    (MixedNormIC(eps=2), ValueError, "eps must be in"),
    (MixedNormIC(n_orient=7), ValueError, "n_orient=7 does not divide"),
    (MixedNormIC(n_mxne_iter=0), ValueError, "n_mxne_iter must be"),
    (MixedNormCV(alphas=[100]), ValueError, r"\[0, 100\)"),
    (MixedNormCV(eps=None), TypeError, "eps must be a number"),
    (MixedNormCV(cv=1), ValueError, "n_splits=1"),
    (MixedNormCV(cv="5"), ValueError, "Expected `?cv`? as"),
    (MixedNormCV(cv=[]), ValueError, "cv gives no fold"),
    (MixedNormCV(scoring="best"), ValueError, "scoring"),
    (MixedNormCV(scoring=["r2"]), TypeError, "scoring must be the name of a score"),
    (MixedNormCV(scoring=lambda *_: np.nan), ValueError, "scoring=.* is not finite"),
    (MixedNormCV(one_standard_error=1), TypeError, "one_standard_error must be True or False"),
    (
        MixedNormCV(one_standard_error=True, cv=ShuffleSplit(1)),
        ValueError,
        "one_standard_error=True needs more than one fold",
    ),
    (MixedNormCV(weights=[1.0]), ValueError, "weights has shape"),
    (MixedNormCV(solver="lars"), ValueError, "solver='lars'"),
]


@pytest.mark.parametrize(("model", "error", "match"), REFUSED)
def test_bad_parameter_is_refused_by_name(make_data, model, error, match):
    with pytest.raises(error, match=match):
        clone(model).fit(*make_data())


def test_no_noise_to_estimate(make_problem):
    X, y = make_problem(20, 100, n_targets=1, noise=1.0)
    model = MixedNormIC(criterion="bic", noise_variance=None, n_mxne_iter=1, alphas=[50, 0])
    with pytest.raises(ValueError, match=r"noise_variance=None cannot estimate .* alpha=0"):
        model.fit(X, y)
    model.set_params(criterion="ric", alphas=[0])
    for noise_variance in (None, 1.0):
        model.set_params(noise_variance=noise_variance)
        with pytest.raises(ValueError, match=r"criterion 'ric' cannot tell .*samples \(20\)"):
            model.fit(X, y)


def test_bad_sample_weights(make_data):
    X, y = make_data()
    with pytest.raises(ValueError, match=r"sample_weight has shape \(3,\)"):
        MixedNormCV().fit(X, y, sample_weight=np.ones(3))
    weight = np.r_[np.zeros(10), np.ones(30)]
    with pytest.raises(ValueError, match="sample_weight is zero throughout a fold"):
        MixedNormCV(cv=4).fit(X, y, sample_weight=weight)


@models
def test_data_that_are_not_finite_are_refused(make_data, model):
    X, y = make_data()
    with pytest.raises(ValueError, match="Input X contains NaN"):
        clone(model).fit(np.full_like(X, np.nan), y)


@models
def test_parameters_are_those_of_the_estimator(model):
    ours, its = model.get_params(), MixedNormEstimator().get_params()
    assert set(its) - set(ours) == {"alpha", "warm_start"}
    shared = set(its) & set(ours) - {"n_mxne_iter"}
    assert {name: ours[name] for name in shared} == {name: its[name] for name in shared}
    assert model.n_mxne_iter == (10 if isinstance(model, MixedNormIC) else 1)


def test_score_that_takes_no_weights_is_named(make_problem):
    X, y = make_problem(20, 10)

    def scorer(estimator, X, y):
        return -np.abs(estimator.predict(X) - y).max()

    with pytest.raises(TypeError, match="scoring takes no sample_weight"):
        MixedNormCV(scoring=scorer).fit(X, y, sample_weight=np.ones(20))


def test_scores_of_another_fit_are_forgotten(make_problem):
    X, y = make_problem(20, 10)
    model = MixedNormCV(scoring="r2", alphas=[50, 5, 0]).fit(X, y)
    assert model.score_path_.shape == model.mse_path_.shape
    assert not hasattr(model.set_params(scoring=None).fit(X, y), "score_path_")


def test_blocks_of_more_features_than_half_the_samples(make_problem):
    """No alpha, however large, has a model that could be judged."""
    model = MixedNormIC(n_orient=3, n_mxne_iter=1, alphas=[99.9, 50])
    X, y = make_problem(6, 30)
    with pytest.warns(UserWarning, match="cannot be judged"):
        assert clone(model).fit(X, y).n_active_ == 1
    with pytest.raises(ValueError, match=r"samples \(5\)\. Each block has 3: use"):
        clone(model).fit(X[:5], y[:5])


@pytest.mark.filterwarnings("ignore:The alpha chosen")
@pytest.mark.parametrize("scale", [1e-300, 1e300])
@pytest.mark.parametrize("criterion", ["ric", *CRITERIA])
def test_unit_of_target_covariance_does_not_count(make_problem, criterion, scale):
    X, y = make_problem(30, 40, noise=1.0)
    covariance = np.eye(y.shape[1])
    model = MixedNormIC(criterion=criterion, alphas=6, target_covariance=covariance).fit(X, y)
    scaled = clone(model).set_params(target_covariance=scale * covariance, noise_variance=1 / scale)
    assert scaled.fit(X, y).alpha_ == model.alpha_
    assert scaled.n_independent_targets_ == pytest.approx(model.n_independent_targets_)


def test_models_that_leave_no_data_to_judge_by_are_refused(make_problem):
    X, y = make_problem(10, 30)
    with pytest.raises(ValueError, match="criterion 'gcv' cannot judge any model"):
        MixedNormIC(criterion="gcv", alphas=[0]).fit(X, y)


def test_rank_of_single_precision_counts_without_penalty(make_problem):
    X, y = make_problem(40, 20, n_targets=2)
    X = X @ np.diag(np.arange(20) < 3) @ np.random.default_rng(0).standard_normal((20, 20))
    model = MixedNormIC(criterion="bic", noise_variance=0.01, alphas=[0], n_mxne_iter=1)
    with pytest.warns(UserWarning, match="The residual has"):
        model.fit(X.astype(np.float32), y)
    assert model.degrees_of_freedom_ == pytest.approx([3 * 2])


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint8, bool])
def test_targets_of_integers_are_not_multiplied_as_such(make_data, dtype):
    X, y = make_data()
    y = (np.abs(y) * 100.0 / np.abs(y).max()).astype(dtype)
    model = MixedNormIC(noise_variance=None, alphas=6)
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        expected = clone(model).fit(X, y.astype(float))
        n_before = len(record)
        model.fit(X, y)
    assert_array_equal(model.criterion_, expected.criterion_)
    assert len(record) == 2 * n_before


@pytest.mark.parametrize(
    "cv",
    [
        [(0, 1)],
        [(np.arange(5)[:, None], np.arange(5))],
        [(None, np.arange(5))],
        [([0, [1]], [2])],
        [("a", [1])],
    ],
)
def test_folds_that_are_no_indices(make_data, cv):
    with pytest.raises(ValueError, match="cv must give"):
        MixedNormCV(cv=cv).fit(*make_data())


@pytest.mark.parametrize("scoring", ["accuracy", "roc_auc", "neg_mean_squared_log_error"])
def test_scores_of_other_models_are_named(make_data, scoring):
    with pytest.raises(ValueError, match=r"scoring=.* cannot be used"):
        MixedNormCV(scoring=scoring, alphas=3).fit(*make_data())


@pytest.mark.parametrize("kind", [MixedNormIC, MixedNormCV])
def test_interrupted_fit_leaves_the_model_before(monkeypatch, make_data, kind):
    """As in the last step, the model of the alpha chosen."""
    X, y = make_data()
    model = (
        kind(alphas=[60, 30], noise_variance=1) if kind is MixedNormIC else kind(alphas=[60, 30])
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model.fit(X, y)
    before = {name: value for name, value in vars(model).items() if name.endswith("_")}

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{kind.__module__}.store_model", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(alphas=[50, 20, 10]).fit(X, y)
    after = {name: value for name, value in vars(model).items() if name.endswith("_")}
    assert after.keys() == before.keys()
    assert all(after[name] is value for name, value in before.items() if name != "n_features_in_")
