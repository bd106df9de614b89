"""Block coordinate descent."""

import numpy as np

from .objective import compute_primal

# Number of iterates that an extrapolation combines.
_N_COMBINED = 5


def solve_bcd(problem, coef, *, tol, maxit, dgap_freq=10):
    """Solve a block problem by cyclic block coordinate descent, with extrapolation.

    Each block in turn takes a proximal gradient step of its own length, as in [1]_. Every few
    cycles the last iterates are combined as in [2]_, and the combination is used if its objective
    is smaller.

    References
    ----------
    .. [1] Strohmeier, Bekhti, Haueisen & Gramfort (2016). The iterative reweighted mixed-norm
       estimate for spatio-temporal MEG/EEG source reconstruction. IEEE Transactions on Medical
       Imaging 35(10), 2218-2228.
    .. [2] Bertrand & Massias (2021). Anderson acceleration of coordinate descent. AISTATS.
    """
    coef = coef.copy()
    residual = problem.y - problem.predict(coef)
    history = [coef.copy()]
    for n_iter in range(1, maxit + 1):
        moved = _cycle(problem, coef, residual)
        settled = moved <= np.finfo(float).eps * np.abs(coef).max(initial=0.0)
        if settled or (n_iter % dgap_freq == 0 and problem.dual_gap(coef, residual) <= tol):
            break
        history.append(coef.copy())
        if len(history) > _N_COMBINED:
            coef, residual = _extrapolate(problem, history, coef, residual)
            history = [coef.copy()]
    return coef, n_iter


def _cycle(problem, coef, residual):
    """Update all blocks once, in place, and return the largest change of a coefficient."""
    n_orient = problem.n_orient
    moved = 0.0
    for g, lipschitz in enumerate(problem.lipschitz):
        block = slice(g * n_orient, (g + 1) * n_orient)
        if lipschitz == 0.0:
            coef[block] = 0.0
            continue
        columns = problem.X[:, block]
        new = coef[block] + columns.T @ residual / lipschitz
        # The proximal operator of the norm, for one block: shrink it, or set it to zero.
        new *= 1.0 - problem.penalty / max(lipschitz * np.linalg.norm(new), problem.penalty)
        change = new - coef[block]
        if change.any():
            residual -= columns @ change
            coef[block] = new
            moved = max(moved, np.abs(change).max())
    return moved


def _extrapolate(problem, history, coef, residual):
    """Combine the last iterates so that their steps cancel, if this lowers the objective."""
    steps = np.diff(np.stack([iterate.ravel() for iterate in history]), axis=0)
    gram = steps @ steps.T
    # Scaled, and regularised as in [2]_: the steps become parallel.
    gram /= max(np.trace(gram), np.finfo(float).tiny)
    gram.flat[:: len(gram) + 1] += 1e-12
    weights = np.linalg.solve(gram, np.ones(len(gram)))
    weights /= weights.sum()
    candidate = np.tensordot(weights, np.stack(history[1:]), axes=1)
    candidate_residual = problem.y - problem.predict(candidate)

    def objective(coef, residual):
        return compute_primal(residual, problem.block_norms(coef), problem.penalty)

    if objective(candidate, candidate_residual) < objective(coef, residual):
        return candidate, candidate_residual
    return coef, residual
