"""Accelerated proximal gradient descent (FISTA)."""

import numpy as np

from .objective import prox_l21


def solve_fista(problem, coef, *, tol, maxit, dgap_freq=10):
    """Solve a block problem by FISTA [1]_, restarting the momentum if it points uphill [2]_.

    References
    ----------
    .. [1] Beck & Teboulle (2009). A fast iterative shrinkage-thresholding algorithm for linear
       inverse problems. SIAM Journal on Imaging Sciences 2(1), 183-202.
    .. [2] O'Donoghue & Candes (2015). Adaptive restart for accelerated gradient schemes.
       Foundations of Computational Mathematics 15, 715-732.
    """
    X, y = problem.X, problem.y
    n_samples, n_features = X.shape
    gram = X @ X.T if n_samples < n_features else problem.gram
    if not gram.any():
        return np.zeros_like(coef), 1
    # A step slightly shorter than 1 / ||X||^2, against rounding.
    lipschitz = 1.0001 * max(np.linalg.eigvalsh(gram)[-1], np.finfo(float).tiny)
    coef = coef.copy()
    ahead, momentum = coef, 1.0
    for n_iter in range(1, maxit + 1):
        previous = coef
        gradient = X.T @ (problem.predict(ahead) - y)
        coef = prox_l21(ahead - gradient / lipschitz, problem.penalty / lipschitz, problem.n_orient)
        change = coef - previous
        settled = np.abs(change).max(initial=0.0) <= np.finfo(float).eps * np.abs(coef).max()
        if settled or (n_iter % dgap_freq == 0 and problem.dual_gap(coef) <= tol):
            break
        if np.vdot(ahead - coef, change) > 0.0:
            momentum = 1.0
        next_momentum = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        ahead = coef + (momentum - 1.0) / next_momentum * change
        momentum = next_momentum
    return coef, n_iter
