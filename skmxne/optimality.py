"""The optimality conditions and the duality gap, computed anew.

Nothing here is shared with the solvers: all is computed again, in double precision, from the data,
the coefficients and the hyperparameters.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils import assert_all_finite

from .arrays import check_data, check_magnitude, naming
from .parameters import check_parameters, check_sample_weight, check_weights


class Certificate(NamedTuple):
    """What `verify` and `compute_certificate` find.

    Attributes
    ----------
    dual_gap : float
        Duality gap relative to ``||y||_F^2``: by how much the objective may at most be above the
        minimum.
    kkt_residual : float
        Largest violation of the optimality conditions, relative to the penalty; without penalty,
        relative to ``max_g ||X_g^T y||_F``. It does not need to be as small as the gap: next to
        the minimum it is of the order of the root of the gap.
    objective : float
        Value of the objective, with the square root where the model is a reweighted one.
    penalty : float
        The penalty.
    """

    dual_gap: float
    kkt_residual: float
    objective: float
    penalty: float

    def holds(self, tol: float = 1e-4) -> bool:
        """Return whether the duality gap is at most `tol`, as estimators promise."""
        return bool(self.dual_gap <= tol)


class CertifiedProblem:
    """Data checked and weighted, and what coefficients are worth on them.

    Parameters
    ----------
    X, y : array-like
        As for `verify`.
    params : dict
        `n_orient`, `weights` and `weights_min` of the model, and what else is to be checked.
    sample_weight : array-like of shape (n_samples,), float or None
        As for `verify`.

    Attributes
    ----------
    params : dict
        The parameters, checked.
    """

    def __init__(self, X, y, params, sample_weight):
        X, y = check_data(X, y)
        assert_all_finite(X, input_name="X")
        self.params = params = check_parameters(params, X.shape[1])
        self.eps = np.finfo(X.dtype).eps
        self.X, self.y = X.astype(np.float64), y.reshape(len(y), -1).astype(np.float64)
        if sample_weight is not None:
            roots = np.sqrt(check_sample_weight(sample_weight, len(y)))[:, np.newaxis]
            self.X, self.y = self.X * roots, self.y * roots
        check_magnitude("y", self.y, np.vdot(self.y, self.y))
        check_magnitude("X", self.X, np.vdot(self.X, self.X))
        self.n_orient = params["n_orient"]
        n_positions = X.shape[1] // self.n_orient
        self.scale = check_weights(params["weights"], params["weights_min"], n_positions)
        if self.scale is None:
            self.scale = np.ones(n_positions)

    def check_coef(self, coef):
        """Return coefficients as blocks of shape (n_positions, n_orient, n_targets)."""
        with naming("coef", coef):
            coef = coef.toarray() if sparse.issparse(coef) else np.asarray(coef)
        if coef.dtype.kind not in "fiub":
            raise TypeError(f"coef must be real numbers, got dtype {coef.dtype}.")
        expected = self.y.shape[1], self.X.shape[1]
        if coef.shape != expected and (expected[0] > 1 or coef.shape != expected[1:]):
            raise ValueError(
                f"coef has shape {coef.shape}, but X and y make (n_targets, n_features) = "
                f"{expected}: pass the data of the fit, or transpose coef."
            )
        if not np.isfinite(coef).all():
            raise ValueError("coef is infinite or NaN.")
        coef = coef.reshape(expected).T.astype(np.float64)
        return coef.reshape(len(self.scale), self.n_orient, -1)

    def limit_rank(self, rank):
        """Leave of the targets what a limited rank leaves."""
        basis = np.linalg.svd(self.y, full_matrices=False)[2][:rank]
        self.y = self.y @ basis.T @ basis

    def find_alpha_max(self):
        """Compute the smallest penalty that makes all zero: zero where it is but rounding."""
        norms = self.scale * _compute_norms(self.correlate(self.y))
        sizes = self.scale * _compute_norms(self.X.T.reshape(len(norms), self.n_orient, -1))
        rounding = len(self.y) * np.finfo(float).eps * np.linalg.norm(self.y) * sizes
        return float(norms[norms > rounding].max(initial=0.0))

    def find_reweighting_scale(self):
        """Compute the amplitude that makes the reweighted model follow the scale of the data."""
        blocks = self.X.T.reshape(len(self.scale), self.n_orient, -1)
        largest = np.linalg.eigvalsh(blocks @ blocks.swapaxes(1, 2))[:, -1]
        return self.find_alpha_max() / (self.scale**2 * largest).max()

    def correlate(self, residual):
        """Compute ``X_g^T residual``, shape (n_positions, n_orient, n_targets)."""
        return (self.X.T @ residual).reshape(len(self.scale), self.n_orient, -1)

    def certify(self, coef, penalty, amplitude=None):
        """Compute the certificate of blocks of coefficients, on the columns as they are."""
        residual = self.y - self.X @ coef.reshape(self.X.shape[1], -1)
        active, scale = coef.any(axis=(1, 2)), self.scale
        if not scale[active].all():
            return Certificate(np.inf, np.inf, np.inf, penalty)
        sizes = np.zeros(len(scale))
        sizes[active] = _compute_norms(coef[active]) / scale[active]
        objective = 0.5 * np.vdot(residual, residual)
        if amplitude is None:
            objective += penalty * sizes.sum()
        else:
            objective += penalty * np.sqrt(amplitude * sizes).sum()
            scale, sizes = scale * 2.0 * np.sqrt(sizes / amplitude), np.sqrt(sizes * amplitude) / 2
        correlation = self.correlate(residual)
        if penalty == 0.0:
            gap = self._compute_explained(residual, scale)
        else:
            points = residual, self._improve_dual(residual, correlation, coef, penalty, scale)
            gaps = [self._compute_gap(residual, t, coef, penalty, scale, sizes) for t in points]
            gap = max(min(gaps), 0.0)
        gap = _divide(gap, np.vdot(self.y, self.y))
        violation = self._compute_violation(correlation, coef, penalty, scale)
        return Certificate(gap, violation, float(objective), penalty)

    def _compute_explained(self, residual, scale):
        """Compute half the power of what of the residual the columns explain."""
        X = self.X * np.repeat(scale, self.n_orient)
        left, singular_values, _ = np.linalg.svd(X, full_matrices=False)
        rounding = max(X.shape) * self.eps * singular_values[0]
        missed = left[:, singular_values > rounding].T @ residual
        return 0.5 * np.vdot(missed, missed)

    def _improve_dual(self, residual, correlation, coef, penalty, scale):
        """Change the residual as little as makes it optimal for the active positions.

        With a small penalty, what coefficients miss but little is much for the residual.
        """
        active = coef.any(axis=(1, 2))
        if not active.any():
            return residual
        columns = self.X[:, np.repeat(active, self.n_orient)]
        units = _normalize(coef[active]) * (penalty / scale[active])[:, np.newaxis, np.newaxis]
        missed = (units - correlation[active]).reshape(-1, self.y.shape[1])
        return residual + np.linalg.lstsq(columns.T, missed, rcond=None)[0]

    def _compute_gap(self, residual, point, coef, penalty, scale, sizes):
        """Compute the gap of the best feasible multiple of a point of the dual problem."""
        power, correlation = np.vdot(point, point), self.correlate(point)
        step = np.vdot(point, self.y) / power if power else 0.0
        dual_norm = (scale * _compute_norms(correlation)).max()
        if abs(step) * dual_norm > penalty:
            step = np.sign(step) * penalty / dual_norm
        distance = residual - step * point
        gap = 0.5 * np.vdot(distance, distance) + penalty * sizes.sum()
        return gap - step * np.vdot(correlation, coef)

    def _compute_violation(self, correlation, coef, penalty, scale):
        """Compute the largest violation of the optimality conditions, relative to the penalty."""
        active = coef.any(axis=(1, 2))
        correlation = correlation * scale[:, np.newaxis, np.newaxis]
        violations = np.maximum(_compute_norms(correlation) - penalty, 0.0)
        missed = correlation[active] - penalty * _normalize(coef[active])
        violations[active] = _compute_norms(missed)
        return _divide(violations.max(), penalty or self.find_alpha_max())


def _compute_norms(blocks):
    """Compute the norm of every block along the first axis."""
    return np.linalg.norm(blocks, axis=(1, 2))


def _normalize(blocks):
    """Divide blocks that are not zero by their norms."""
    # Squares of the smallest numbers are zero.
    blocks = blocks / np.abs(blocks).max(axis=(1, 2), keepdims=True)
    return blocks / _compute_norms(blocks)[:, np.newaxis, np.newaxis]


def _divide(value, unit):
    """Divide by a unit that may be zero."""
    return float(value / unit) if unit else (np.inf if value else 0.0)
