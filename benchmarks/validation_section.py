"""A section of the report of `bench_adapter.py`: cross-validation, next to one around MNE."""

import statistics
import sys

import numpy as np
from measuring import clock, time_product
from peers import Problem, certify, make_recorded, solve_mne
from presenting import format_ratios, make_table
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.model_selection import GridSearchCV, KFold

from skmxne import MixedNormCV

ALPHAS = np.geomspace(90.0, 10.0, 15)
GAP = 1e-6
FOLDS = KFold(5, shuffle=True, random_state=0)


class MneMixedNorm(RegressorMixin, BaseEstimator):
    """MNE's solver as an estimator, for searches."""

    def __init__(self, alpha=20.0, n_orient=1, tol=GAP):
        self.alpha = alpha
        self.n_orient = n_orient
        self.tol = tol

    def fit(self, X, y):
        """Fit, and keep the gap that is certified."""
        problem = Problem("fold", np.asfortranarray(X), y, self.n_orient)
        fitted = solve_mne(problem, self.alpha, self.tol)
        self.features_, self.coef_ = fitted
        self.gap_ = certify(problem, self.alpha, fitted)
        return self

    def predict(self, X):
        """Predict."""
        return X[:, self.features_] @ self.coef_


def report_validation(bench):
    """Time cross-validation over 15 alphas and 5 folds."""
    yield "## Cross-validation: 5 folds, 15 alphas from 90 to 10 percent, gap 1e-6"
    rows = []
    for problem in make_recorded(bench.recording):
        product = time_product(problem)
        model = MixedNormCV(
            alphas=ALPHAS, cv=FOLDS, n_orient=problem.n_orient, tol=GAP, debias=False, n_jobs=2
        )
        seconds = [
            clock(model.fit, problem.X, problem.y)[0] for _ in range(bench.arguments.repeats)
        ]
        print(f"  {problem.name}: GridSearchCV around MNE's solver", file=sys.stderr)
        search = GridSearchCV(
            MneMixedNorm(n_orient=problem.n_orient),
            {"alpha": ALPHAS},
            cv=FOLDS,
            scoring="neg_mean_squared_error",
        )
        theirs, _ = clock(search.fit, problem.X, problem.y)
        median = statistics.median(seconds)
        rows.append(
            [
                problem.name,
                f"{median:.3g}",
                f"{1e3 * product:.2f}",
                f"{median / product:.0f}",
                f"{model.alpha_:.3g}",
                f"{search.best_params_['alpha']:.3g}",
                f"{search.best_estimator_.gap_:.0e}",
                f"{theirs:.3g}",
                format_ratios([theirs / one for one in seconds]),
            ]
        )
    header = ["problem", "skmxne, s", "a product, ms", "in products", "alpha", "alpha, MNE"]
    yield from make_table([*header, "gap, MNE", "MNE, s", "ratio"], rows)
    yield (
        "The search around MNE's solver is run once, on all threads, and its time includes one "
        "certificate a fit, less than a hundredth of it. A product is X.T @ y."
    )
