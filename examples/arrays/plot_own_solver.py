"""
A solver of your own
====================

A solver works on a few positions at a time; the active set, the certificate, paths, reweighting and
the estimators around it are there already. So a new algorithm is a function of twenty lines, and
can be compared at the same certificate::

    python examples/arrays/plot_own_solver.py
"""

import matplotlib.pyplot as plt
import numpy as np

from skmxne import MixedNormCV, MixedNormEstimator
from skmxne.datasets import make_block_sparse_regression
from skmxne.solvers import SOLVERS, BlockProblem, prox_l21

# %%
# The function
# ------------
# It gets a `BlockProblem`, with the columns ``X`` of the positions at work, ``y``, the ``penalty``
# and ``n_orient``, and coefficients to start from. It returns coefficients whose duality gap,
# relative to the power of ``y``, is at most ``tol``, and the number of iterations. This one updates
# blocks in random order; `prox_l21` is the proximal operator of the norm.


def solve_in_random_order(problem, coef, *, tol, maxit, dgap_freq):
    """Minimise over one block after the other, in an order drawn anew every time."""
    rng = np.random.default_rng(0)
    n_orient = problem.n_orient
    residual = problem.y - problem.X @ coef
    for n_iter in range(1, maxit + 1):
        for g in rng.permutation(problem.n_positions):
            block = slice(g * n_orient, (g + 1) * n_orient)
            columns, step = problem.X[:, block], 1 / problem.lipschitz[g]
            new = coef[block] + step * columns.T @ residual
            new = prox_l21(new, step * problem.penalty, n_orient)
            residual += columns @ (coef[block] - new)
            coef[block] = new
        if n_iter % dgap_freq == 0 and problem.dual_gap(coef, residual) <= tol:
            break
    return coef, n_iter


# %%
# In an estimator
# ---------------
# ``solver`` takes the function. That a fit has converged is not the solver's word: the gap over all
# positions is computed by the package.

X, y = make_block_sparse_regression(200, 1000, n_orient=3, n_active=8, noise=2, random_state=0)
ours = MixedNormEstimator(20, n_orient=3).fit(X, y)
theirs = MixedNormEstimator(20, n_orient=3, solver=solve_in_random_order).fit(X, y)
for name, model in {"newton": ours, "random order": theirs}.items():
    print(f"{name:12}: gap {model.dual_gap_:.1e}, {model.n_active_} active, {model.n_iter_} steps")
print("same positions:", np.array_equal(ours.active_set_, theirs.active_set_))

# %%
# All that takes a ``solver`` takes it: paths, cross-validation, reweighting.

model = MixedNormCV(n_orient=3, n_mxne_iter=5, eps=0.03, solver=solve_in_random_order).fit(X, y)
print(f"MixedNormCV with it: {model.n_active_} active blocks of 8 true ones")

# %%
# A comparison
# ------------
# How does the gap fall with the iterations? A solver can be called by itself, on a `BlockProblem`
# of all columns: here for 1, 2, 4, ... iterations, from zero each time. Neighbouring columns are
# much alike, as those of a gain are.

X, y = make_block_sparse_regression(
    100, 100, n_orient=3, n_active=8, correlation=0.95, noise=1, random_state=0
)
penalty = MixedNormEstimator(10, n_orient=3).fit(X, y).penalty_
problem = BlockProblem(np.asfortranarray(X), y, penalty, n_orient=3)


def follow_gap(solve, steps):
    """Return the gap after so many iterations, relative to the power of the data."""
    start = np.zeros((problem.X.shape[1], problem.y.shape[1]))
    gaps = []
    for n_steps in steps:
        coef, _ = solve(problem, start.copy(), tol=0, maxit=int(n_steps), dgap_freq=np.inf)
        gaps.append(problem.dual_gap(coef))
    return gaps


steps = 2 ** np.arange(9)
contenders = {
    "newton": (SOLVERS["newton"], dict(color="black", linestyle="-", marker="o")),
    "bcd": (SOLVERS["bcd"], dict(color="#0072B2", linestyle="--", marker="s")),
    "prox": (SOLVERS["prox"], dict(color="#E69F00", linestyle="-.", marker="^")),
    "random order": (solve_in_random_order, dict(color="#D55E00", linestyle=":", marker="D")),
}
fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for name, (solve, style) in contenders.items():
    gaps = np.maximum(follow_gap(solve, steps), 1e-16)
    ax.plot(steps, gaps, label=name, **style)
ax.axhline(1e-4, color="0.7", linewidth=0.8, zorder=0)
ax.annotate("default tol", (1, 1.5e-4), color="0.4", fontsize="small")
ax.set(xscale="log", yscale="log", xlabel="iterations", ylabel="duality gap / ||y||²")
ax.set_xticks(steps, steps)
ax.set_xticks([], minor=True)
ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
plt.show()
