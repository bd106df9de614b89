"""The options that all fits share, checked once."""

import math
from dataclasses import dataclass

import numpy as np

from ..solvers.dispatch import Solver, check_solver
from .validation import check_bool, check_integer, check_real, check_weights


@dataclass(frozen=True, eq=False)
class FitOptions:
    """The options of a fit, with `scale` in place of `weights` and `weights_min`.

    `scale` holds one factor per block, for its columns, or is None.
    """

    n_orient: int = 1
    n_mxne_iter: int = 1
    reweighting_scale: float | None = None
    scale: np.ndarray | None = None
    solver: str | Solver = "auto"
    maxit: int = 3000
    tol: float = 1e-4
    active_set_size: int | None = 10
    dgap_freq: float = 10
    debias: bool = True
    time_pca: bool | int = True
    fit_intercept: bool = False

    @classmethod
    def check(cls, n_features, *, n_orient=1, weights=None, weights_min=0.0, **options):
        """Make options from the parameters of an estimator; errors name the wrong parameter."""
        n_orient = check_n_orient(n_orient, n_features)
        weights_min = check_real("weights_min", weights_min, 0, math.inf)
        scale = check_weights(weights, weights_min, n_features // n_orient)
        checked = {name: _CHECKS[name](name, value) for name, value in options.items()}
        check_solver(checked.get("solver", "auto"), n_orient)
        return cls(n_orient=n_orient, scale=scale, **checked)


def check_n_orient(n_orient, n_features):
    """Check the number of features per block."""
    n_orient = check_integer("n_orient", n_orient)
    if n_features % n_orient:
        raise ValueError(
            f"n_orient={n_orient} does not divide the {n_features} features of X: each block "
            "has n_orient consecutive features. Set n_orient to the number of features in a block "
            "(for a gain: 1 for fixed, 3 for loose or free orientation)."
        )
    return n_orient


def _check_dgap_freq(name, value):
    return value if value == math.inf else check_integer(name, value, or_else="inf")


def _check_time_pca(name, value):
    if isinstance(value, bool | np.bool_):
        return bool(value)
    return check_integer(name, value, or_else="True or False")


def _check_scale(name, value):
    return check_real(name, value, 0, math.inf, optional=True, interval="()")


_CHECKS = {
    "n_mxne_iter": check_integer,
    "reweighting_scale": _check_scale,
    "solver": lambda _, value: value,
    "maxit": check_integer,
    "tol": lambda name, value: check_real(name, value, 0, math.inf),
    "active_set_size": lambda name, value: check_integer(name, value, optional=True),
    "dgap_freq": _check_dgap_freq,
    "debias": check_bool,
    "time_pca": _check_time_pca,
    "fit_intercept": check_bool,
}
