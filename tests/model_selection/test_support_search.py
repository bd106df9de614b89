"""A search over supports: criteria by their definition, and sources that no path has."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skmxne import InverseProblem, MixedNormEstimator, MixedNormIC, verify
from skmxne.model_selection.risk_inflation import RiskInflation
from skmxne.solvers.design import BlockDesign

n_orients = pytest.mark.parametrize("n_orient", [1, 3])


def explain(X, y):
    """Return the part of y that columns explain."""
    return X @ np.linalg.lstsq(X, y, rcond=None)[0]


def sum_errors(X, y, positions, n_orient, largest_error):
    """Sum up what positions may explain of errors of stronger ones, by the definition."""
    blocks = {k: X[:, k * n_orient : (k + 1) * n_orient] for k in positions}
    powers = {k: np.sum(explain(block, y) ** 2) for k, block in blocks.items()}
    courses, total, before = [], 0.0, np.empty((len(X), 0))
    for k in sorted(positions, key=lambda k: -powers[k]):
        others = np.hstack([blocks[j] for j in positions if j != k])
        explained = explain(blocks[k] - explain(others, blocks[k]), y)
        for course, limit, block in courses:
            cosine = np.linalg.norm(explain(block, blocks[k])) / np.linalg.norm(blocks[k])
            total += min(np.sum((explained @ course) ** 2), limit * cosine)
        # The time courses of the position, fitted to what stronger ones leave.
        fitted = explain(blocks[k] - explain(before, blocks[k]), y)
        known = np.reshape([course for course, _, _ in courses], (-1, y.shape[1]))
        _, sizes, rows = np.linalg.svd(fitted - fitted @ known.T @ known, full_matrices=False)
        for size, row in zip(sizes[:n_orient], rows, strict=False):
            limit = largest_error * powers[k] * size**2 / np.sum(sizes[:n_orient] ** 2)
            courses.append((row, limit, blocks[k]))
        before = np.hstack([before, blocks[k]])
    return total


@n_orients
@pytest.mark.parametrize("weighted", [False, True])
def test_criterion_and_errors_are_those_of_their_definition(make_problem, n_orient, weighted):
    X, y = make_problem(40, 60, n_orient=n_orient, n_targets=15, noise=1.0)
    X = X / np.linalg.norm(X, axis=0)  # for cosines of whole blocks
    weights = np.linspace(0.5, 1.0, 60) if weighted else None
    positions = [3, 20, 41]
    criterion = RiskInflation(
        BlockDesign(X, n_orient, weights),
        y,
        noise_variance=2.0,
        target_covariance=np.eye(15),
        model_error=0.05,
        floor=7.0,
    )
    used = np.hstack([X[:, k * n_orient : (k + 1) * n_orient] for k in positions])
    d = (np.sqrt(15 * n_orient) + np.sqrt(2 * np.log(60))) ** 2
    costs = 2.0 * d * np.sum(1.0 / weights[positions] ** 2 if weighted else np.ones(3))
    rss = np.sum((y - explain(used, y)) ** 2)
    assert criterion.fit(positions).criterion == pytest.approx(rss + costs + 21.0)
    errors = sum_errors(X, y, positions, n_orient, 0.5)
    assert errors > 0.0
    assert criterion.find_errors(np.array(positions)).sum() == pytest.approx(errors, rel=1e-6)


def make_alike(seed=0, n_orient=1, noise=1.0):
    """Make data of three sources of columns that are much alike, as neighbours in a cortex."""
    rng = np.random.default_rng(seed)
    smooth = np.exp(-0.5 * (np.subtract.outer(np.arange(120), np.arange(120)) / 4.0) ** 2)
    X = rng.standard_normal((60, n_orient, 120)) @ smooth
    X = X.swapaxes(1, 2).reshape(60, -1)
    X /= np.linalg.norm(X, axis=0)
    true = np.array([20, 60, 66])
    courses = rng.standard_normal((3 * n_orient, 15)) * 6.0
    columns = (true[:, np.newaxis] * n_orient + np.arange(n_orient)).ravel()
    return X, X[:, columns] @ courses + noise * rng.standard_normal((60, 15)), true


def find_active(model):
    return np.flatnonzero(model.active_set_.reshape(-1, model.n_orient).any(axis=1))


@n_orients
def test_sources_that_are_on_no_path_are_found(n_orient):
    n_right = {False: 0, True: 0}
    for seed in range(6):
        X, y, true = make_alike(seed, n_orient)
        for refine in n_right:
            model = MixedNormIC(n_orient=n_orient, refine=refine)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.fit(X, y)
            n_right[refine] += np.array_equal(find_active(model), true)
    assert n_right[True] >= 5
    assert n_right[True] > n_right[False]


@n_orients
def test_model_is_reweighted_from_the_positions_and_certified(n_orient):
    X, y, true = make_alike(n_orient=n_orient)
    model = MixedNormIC(n_orient=n_orient, n_mxne_iter=30, tol=1e-8).fit(X, y)
    assert_array_equal(find_active(model), true)
    assert verify(model, X, y).holds(1e-5)
    assert model.converged_
    assert model.alpha_ in model.alphas_
    assert model.n_active_path_.shape == model.criterion_.shape == model.alphas_.shape


@pytest.mark.parametrize("change", ["scaled", "rows", "columns", "single"])
def test_data_in_other_coordinates_have_the_same_positions(change):
    X, y, _ = make_alike(n_orient=3)
    expected = find_active(MixedNormIC(n_orient=3).fit(X, y))
    model, order = MixedNormIC(n_orient=3), np.arange(120)
    if change == "scaled":
        X, y = 1e6 * X, 1e-3 * y
        model.set_params(noise_variance=1e-6)
    elif change == "rows":
        rows = np.random.default_rng(0).permutation(60)
        X, y = X[rows], y[rows]
    elif change == "columns":
        order = order[::-1]
        X = X.reshape(60, 120, 3)[:, order].reshape(60, -1)
    else:
        X = X.astype(np.float32)
    found = find_active(model.fit(X, y))
    assert_array_equal(np.sort(order[found]), expected)


def test_weights_leave_positions_out_and_raise_their_threshold():
    X, y, true = make_alike()
    weights = np.ones(120)
    weights[true[0]] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert true[0] not in find_active(MixedNormIC(weights=weights).fit(X, y))
        weights[true[0]] = 0.9
        weights[[k for k in range(120) if k not in true]] = 0.9
        assert_array_equal(find_active(MixedNormIC(weights=weights).fit(X, y)), true)
        weights[true[0]] = 0.02
        assert true[0] not in find_active(MixedNormIC(weights=weights).fit(X, y))


@n_orients
@pytest.mark.parametrize("noise_variance", [1.0, None])
@pytest.mark.filterwarnings("ignore:The model is empty")
def test_nothing_is_found_in_noise(n_orient, noise_variance):
    n_found = 0
    for seed in range(10):
        X, _, _ = make_alike(seed, n_orient)
        noise = np.random.default_rng(seed).standard_normal((60, 15))
        model = MixedNormIC(n_orient=n_orient, noise_variance=noise_variance)
        n_found += model.fit(X, noise).n_active_ > 0
    assert n_found <= 1


@pytest.mark.parametrize("params", [dict(criterion="sure"), dict(n_mxne_iter=1)])
def test_without_search_the_model_is_that_of_the_path(params):
    X, y, _ = make_alike()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MixedNormIC(**params).fit(X, y)
        plain = clone(model).set_params(refine=False).fit(X, y)
    assert_array_equal(model.coef_, plain.coef_)
    assert model.refined_criterion_ == plain.refined_criterion_
    assert model.n_active_ == model.n_active_path_[list(model.alphas_).index(model.alpha_)]


def test_path_alpha_gives_the_model_of_the_path():
    for alphas in (20, [99]):
        X, y, _ = make_alike(5)
        model = MixedNormIC(alphas=alphas, tol=1e-8).fit(X, y)
        plain = MixedNormIC(alphas=alphas, tol=1e-8, refine=False)
        single = MixedNormEstimator(model.path_alpha_, n_mxne_iter=10, tol=1e-8)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain.fit(X, y), single.fit(X, y)
        assert plain.alpha_ == plain.path_alpha_ == model.path_alpha_
        assert_allclose(single.coef_, plain.coef_, atol=1e-3 * np.abs(plain.coef_).max())
    assert model.alpha_ < model.path_alpha_


def test_what_the_search_has_changed_is_told():
    n_changed = 0
    for seed in range(6):
        X, y, _ = make_alike(seed)
        model, plain = MixedNormIC(), MixedNormIC(refine=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before, after = find_active(plain.fit(X, y)), find_active(model.fit(X, y))
        told = [remark for remark in model.remarks_ if remark.startswith("The search")]
        assert not any(remark.startswith("The search") for remark in plain.remarks_)
        n_kept = len(np.intersect1d(before, after))
        if np.array_equal(before, after):
            assert told == []
            continue
        n_changed += 1
        kept = n_kept or "none"
        assert told[0].startswith(f"The search kept {kept} of the {len(before)} found on the path")
        n_moved = min(len(before), len(after)) - n_kept
        assert (f"moved {n_moved}" in told[0]) == (n_moved > 0)
        n_more = len(after) - len(before)
        assert (f"added {n_more}" in told[0]) == (n_more > 0)
        assert (f"dropped {-n_more}" in told[0]) == (n_more < 0)
    assert n_changed


def test_no_more_false_positions_than_on_the_path_if_noise_is_stronger_than_told():
    n_false = {False: 0, True: 0}
    for seed in range(10):
        X, y, true = make_alike(seed, noise=2.0)
        for refine in n_false:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = find_active(MixedNormIC(refine=refine).fit(X, y))
            distances = np.abs(np.subtract.outer(found, true)).min(axis=1, initial=120)
            n_false[refine] += np.count_nonzero(distances > 5)
            assert not refine or np.abs(np.subtract.outer(true, found)).min(axis=1).max() <= 5
    assert n_false[True] <= n_false[False]


@pytest.mark.parametrize("condition", ["Left Auditory", "Right Auditory"])
@pytest.mark.parametrize("loose", [0.0, 0.2])
def test_recorded_responses_are_found_in_both_auditory_cortices(sample_problem, condition, loose):
    """Averages of 3 and 6 trials, whose residual has twice the power that is predicted."""
    recording = sample_problem(condition, n_positions=7783)
    problem = InverseProblem.from_evoked(**recording, loose=loose)
    model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
    plain = MixedNormIC(n_orient=problem.n_orient, refine=False).fit(problem.X, problem.y)
    assert model.n_active_ <= plain.n_active_
    peaks = [dipole.amplitude.max() for dipole in problem.to_dipoles(model)]
    assert max(peaks) < 100e-9  # far stronger ones cancel each other
    places = problem.locations[find_active(model)]
    assert np.linalg.norm(places - [-0.060, 0.0, 0.058], axis=1).min() < 0.02
    assert np.linalg.norm(places - [0.057, 0.012, 0.068], axis=1).min() < 0.03


def test_search_starts_from_nothing_too():
    """From a path of one model, which has hardly a position."""
    n_right = 0
    for seed in range(10):
        X, y, true = make_alike(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = MixedNormIC(alphas=[99]).fit(X, y)
        assert model.n_active_path_[0] < 3
        n_right += np.array_equal(find_active(model), true)
        assert model.alpha_ < 99
    assert n_right >= 8


@pytest.mark.parametrize("alphas", [[30, 0], [50, 30, 0]])
def test_grid_that_ends_without_penalty(alphas):
    n_searched = 0
    for seed in range(6):
        X, y, _ = make_alike(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = MixedNormIC(alphas=alphas).fit(X, y)
        n_searched += any(remark.startswith("The search") for remark in model.remarks_)
        assert model.alpha_ > 0
    assert n_searched


def test_grid_without_a_penalty_has_no_search():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((60, 10)), rng.standard_normal((60, 15))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert MixedNormIC(alphas=[0]).fit(X, y).n_active_ == 10


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reweighting_scale", [None, 1e15, 1e30])
def test_criterion_is_that_of_the_positions_of_the_model(reweighting_scale):
    """Also where no penalty keeps all that were found."""
    for seed in range(6):
        X, y, _ = make_alike(seed)
        model = MixedNormIC(reweighting_scale=reweighting_scale).fit(X, y)
        noise = dict(noise_variance=1.0, target_covariance=None, model_error=0.03)
        fit = RiskInflation(BlockDesign(X), y, **noise).fit(find_active(model))
        assert model.refined_criterion_ == pytest.approx(fit.criterion)


def test_tiny_weights_and_data_of_any_unit():
    X, y, true = make_alike()
    weights = np.full(120, 1e-300)
    weights[true] = 1.0
    assert_array_equal(find_active(MixedNormIC(weights=weights).fit(X, y)), true)
    model = MixedNormIC(noise_variance=1e-160).fit(X, 1e-80 * y)
    assert_array_equal(find_active(model), find_active(MixedNormIC().fit(X, y)))


def test_weights_are_in_the_cost_of_what_is_added():
    """A position has to explain more, by the inverse square of its weight."""
    rng = np.random.default_rng(0)
    X = np.linalg.qr(rng.standard_normal((60, 40)))[0]
    y = 0.9 * rng.standard_normal((60, 10))
    y[:, 0] += 40.0 * X[:, 3]
    y[:, 1] += 12.0 * X[:, 7]
    weights = np.ones(40)
    for weight, n_active in [(1.0, 2), (0.3, 1)]:
        weights[7] = weight
        model = MixedNormIC(weights=weights, alphas=[70]).fit(X, y)
        assert model.n_active_path_[0] == 1
        assert model.n_active_ == n_active


@pytest.mark.parametrize("duplicate", [1, -1])
def test_positions_that_occur_twice(duplicate):
    X, y, true = make_alike()
    model = MixedNormIC().fit(np.hstack([X, duplicate * X]), y)
    assert_array_equal(np.sort(find_active(model) % 120), true)


@pytest.mark.parametrize("refine", [0, 1, "yes", None])
def test_refine_is_true_or_false(refine):
    X, y, _ = make_alike()
    with pytest.raises(TypeError, match="refine must be True or False"):
        MixedNormIC(refine=refine).fit(X, y)


@pytest.mark.parametrize(("same_course", "n_active"), [(True, 1), (False, 2)])
def test_errors_of_a_column_are_no_position(same_course, n_active):
    """What an error leaves has the time course of the position, along columns that are alike."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 60))
    X[:, 7] = X[:, 3] + 0.4 * rng.standard_normal(50)
    courses = np.linalg.qr(rng.standard_normal((10, 2)))[0].T
    y = np.outer(X[:, 3], 100.0 * courses[0]) + rng.standard_normal((50, 10))
    y += np.outer(X[:, 7], 12.0 * courses[0 if same_course else 1])
    assert MixedNormIC().fit(X, y).n_active_ == n_active
