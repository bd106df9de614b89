"""How the hints of the public names are used: mypy checks this, nothing runs it."""

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

from skmxne import (
    InverseProblem,
    MixedNormCV,
    MixedNormEstimator,
    MixedNormIC,
    PathDisplay,
    SelectionDisplay,
    SourceDisplay,
    SourceWeighting,
    compute_certificate,
    mixed_norm,
    mixed_norm_path,
    verify,
)
from skmxne.datasets import make_block_sparse_regression
from skmxne.solvers import SOLVERS, BlockProblem


def solve(
    problem: BlockProblem,
    coef: NDArray[np.float64],
    *,
    tol: float,
    maxit: int,
    dgap_freq: float,
) -> tuple[NDArray[np.float64], int]:
    assert_type(problem.dual_gap(coef), float)
    return SOLVERS["prox"](problem, coef, tol=tol, maxit=maxit, dgap_freq=dgap_freq)


def use_arrays() -> None:
    X, y = make_block_sparse_regression(n_orient=3, random_state=0)
    assert_type(X, NDArray[np.float64])
    model = MixedNormEstimator(alpha=20, n_orient=3, solver=solve, dgap_freq=np.inf).fit(X, y)
    assert_type(model, MixedNormEstimator)
    assert_type(model.coef_, NDArray[Any])
    assert_type(model.n_active_, int)
    assert_type(model.predict([[1.0, 2.0, 3.0]]), NDArray[Any])
    assert_type(verify(model, X, y).holds(), bool)
    assert_type(compute_certificate(X, y, model.coef_, 1.0).dual_gap, float)
    assert_type(MixedNormCV(alphas=[50, 20], weights=[1, 2]).fit(X, y), MixedNormCV)
    assert_type(MixedNormIC(criterion="bic").fit(X, y), MixedNormIC)
    assert_type(SourceWeighting(depth=None).fit(X).scale_, NDArray[np.float64])
    alphas, _, dual_gaps = mixed_norm_path(X, y, alphas=5)
    assert_type(alphas, NDArray[np.float64])
    assert_type(dual_gaps, NDArray[np.float64])
    assert_type(PathDisplay.from_estimator(model, X, y), PathDisplay)
    assert_type(SelectionDisplay.from_estimator(model), SelectionDisplay)


def use_recordings(evoked: Any, forward: Any, noise_cov: Any) -> None:
    problem = InverseProblem.from_evoked(evoked, forward, noise_cov, loose=0.2)
    assert_type(problem, InverseProblem)
    assert_type(problem.X, NDArray[np.float64])
    assert_type(problem.n_orient, int)
    assert_type(problem.y_folds, NDArray[np.float64] | None)
    model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
    assert_type(SourceDisplay.from_estimator(model, problem), SourceDisplay)
    assert_type(problem.explained_variance(model), float | list[float])
    assert_type(
        problem.weights_from(mixed_norm(evoked, forward, noise_cov, 50)), NDArray[np.float64]
    )
    assert_type(InverseProblem.from_epochs(evoked, forward, noise_cov, n_folds=3), InverseProblem)
    X, y, groups = problem.to_folds()
    assert_type(groups, NDArray[np.intp])
    assert_type(SourceWeighting().fit(X, y).transform(X), NDArray[Any])


def misuse() -> None:
    # An error that is not found makes the comment an error.
    MixedNormEstimator(n_orient="three")  # type: ignore[arg-type]
    MixedNormEstimator(solver=lambda problem: None)  # type: ignore[arg-type]
    MixedNormCV().fit()  # type: ignore[call-arg]
