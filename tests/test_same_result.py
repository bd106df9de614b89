"""The same result over runs, numbers of threads, where and how X lies, and after interrupts."""

import logging
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from threadpoolctl import threadpool_info, threadpool_limits

from skmxne import MixedNormCV, MixedNormEstimator, MixedNormIC, mixed_norm_path
from skmxne.solvers import SOLVERS

MODELS = {
    "estimator": MixedNormEstimator(5, n_orient=3),
    "reweighted": MixedNormEstimator(5, n_orient=3, n_mxne_iter=3),
    "MixedNormIC": MixedNormIC(n_orient=3, alphas=5),
    "MixedNormCV": MixedNormCV(n_orient=3, alphas=5, cv=3),
    "MixedNormCV, two jobs": MixedNormCV(n_orient=3, alphas=5, cv=3, n_jobs=2),
}
models = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
pytestmark = pytest.mark.filterwarnings("ignore:The alpha chosen", "ignore:The residual has")


@pytest.fixture(scope="module")
def data(make_problem):
    """Return X and y."""
    return make_problem(30, 1300, n_orient=3, n_targets=4, n_active=3, noise=1.0)


@pytest.fixture(scope="module")
def large_data(make_problem):
    """Return X of more than two chunks of blocks, and y."""
    return make_problem(30, 6000, n_orient=3, n_targets=4, n_active=3, noise=1.0)


@models
def test_number_of_threads_does_not_matter(large_data, model):
    fits = []
    for n_threads in (1, 2, 3):
        with threadpool_limits(n_threads, user_api="blas"):
            fits.append(clone(model).fit(*large_data))
    for fitted in fits[1:]:
        assert_array_equal(fitted.coef_, fits[0].coef_)
        assert fitted.dual_gap_ == fits[0].dual_gap_


@models
def test_memory_on_disk_does_not_matter(data, tmp_path, model):
    X, y = data
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert_array_equal(clone(model).fit(mapped, y).coef_, clone(model).fit(X, y).coef_)


@models
def test_order_of_memory_does_not_matter(data, model):
    X, y = data
    model = clone(model).set_params(tol=1e-12)
    expected = clone(model).fit(np.ascontiguousarray(X), y).coef_
    coef = clone(model).fit(np.asfortranarray(X), np.asfortranarray(y)).coef_
    # Products are rounded in another order.
    assert_allclose(coef, expected, atol=1e-5 * np.abs(expected).max())


def test_path_is_the_same_over_threads_and_memory(data, tmp_path):
    X, y = data
    np.save(tmp_path / "X.npy", X)
    paths = []
    for n_threads, gain in [(1, X), (2, X), (1, np.load(tmp_path / "X.npy", mmap_mode="r"))]:
        with threadpool_limits(n_threads, user_api="blas"):
            paths.append(mixed_norm_path(gain, y, alphas=5, n_orient=3))
    for _, coefs, gaps in paths[1:]:
        assert_array_equal(gaps, paths[0][2])
        for coef, expected in zip(coefs, paths[0][1], strict=True):
            assert_array_equal(coef.toarray(), expected.toarray())


# Prints a digest of what all models come to.
RUN = """
import hashlib, warnings
from skmxne import MixedNormCV, MixedNormEstimator, MixedNormIC
from skmxne.datasets import make_block_sparse_regression
warnings.simplefilter("ignore")
sizes = dict(n_orient=3, n_targets=4, n_active=3, noise=1.0)
X, y = make_block_sparse_regression(30, 100, random_state=0, **sizes)
models = MixedNormEstimator(5, n_orient=3), MixedNormIC(n_orient=3), MixedNormCV(n_orient=3)
coefs = [model.fit(X, y).coef_.tobytes() for model in models]
print(hashlib.sha256(b"".join(coefs)).hexdigest())
"""


def run(code, *arguments, **environment):
    # Whoever traces this process (coverage) is not to be there.
    own = {name: value for name, value in os.environ.items() if "COV" not in name}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=own | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.thorough
def test_processes_come_to_the_same_bits():
    digests = [run(RUN, PYTHONHASHSEED=seed) for seed in ("1", "2")]
    assert digests[0] == digests[1]


@pytest.mark.parametrize("n_before", [0, 2])
@pytest.mark.parametrize(
    "model",
    [
        MixedNormEstimator(5, n_orient=3, n_mxne_iter=3, verbose="ERROR"),
        MixedNormIC(n_orient=3, alphas=5, verbose="ERROR"),
        MixedNormCV(n_orient=3, alphas=5, cv=3),
        MixedNormCV(n_orient=3, alphas=5, cv=3, n_jobs=2, verbose="ERROR"),
    ],
)
def test_interrupted_model_is_fitted_again(data, model, n_before):
    """Ctrl-C in a fit leaves the last model, the level of messages, filters and BLAS alone."""

    def look():
        threads = {lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}
        # Threads of scikit-learn leave the same filters, with patterns for texts.
        filters = [[getattr(part, "pattern", part) for part in each] for each in warnings.filters]
        return threads, filters, logging.getLogger("skmxne").level

    calls = []

    def solve_until_interrupted(problem, coef, **options):
        calls.append(1)
        if len(calls) > n_before:
            raise KeyboardInterrupt
        return SOLVERS["newton"](problem, coef, **options)

    model = clone(model).fit(*data)
    expected, before = model.coef_.copy(), look()
    model.set_params(solver=solve_until_interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data)
    assert look() == before
    assert_array_equal(model.coef_, expected)
    assert_array_equal(model.set_params(solver="auto").fit(*data).coef_, expected)
    assert look() == before
