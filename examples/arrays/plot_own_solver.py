"""
How do I use my own solver?
===========================

A solver works on a few blocks of features at a time. The package has the rest: the active set, the
certificate, paths, reweighting and the estimators. So a new algorithm is a function of twenty
lines, and you can compare it with other solvers at the same duality gap::

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
# The solver gets a `BlockProblem` and coefficients to start from. The problem has the columns ``X``
# of a few blocks, ``y``, the ``penalty`` and ``n_orient``. The solver returns coefficients and the
# number of iterations. It stops when the duality gap, relative to the power of ``y``, is at most
# ``tol``. This solver updates the blocks in random order. `prox_l21` is the proximal operator of
# the norm.


def solve_in_random_order(problem, coef, *, tol, maxit, dgap_freq):
    """Minimise over one block at a time, in a new random order in each iteration."""
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
# Pass the function as ``solver``. You need not trust it: the package computes the duality gap over
# all blocks itself.

X, y = make_block_sparse_regression(200, 1000, n_orient=3, n_active=8, noise=2, random_state=0)
ours = MixedNormEstimator(20, n_orient=3).fit(X, y)
theirs = MixedNormEstimator(20, n_orient=3, solver=solve_in_random_order).fit(X, y)
for name, model in {"newton": ours, "random order": theirs}.items():
    print(f"{name:12}: gap {model.dual_gap_:.1e}, {model.n_active_} blocks, n_iter {model.n_iter_}")
print("same blocks:", np.array_equal(ours.active_set_, theirs.active_set_))

# %%
# Paths, cross-validation and reweighting accept this solver, too.

model = MixedNormCV(n_orient=3, n_mxne_iter=5, eps=0.03, solver=solve_in_random_order).fit(X, y)
print(f"MixedNormCV with this solver: {model.n_active_} blocks (8 are true)")

# %%
# How fast does each solver converge?
# -----------------------------------
# You can also call a solver directly, on a `BlockProblem` with all columns. Here it runs for 1, 2,
# 4, ... iterations, each time from zero. Neighbouring columns are correlated, as in a gain matrix.

X, y = make_block_sparse_regression(
    100, 100, n_orient=3, n_active=8, correlation=0.95, noise=1, random_state=0
)
penalty = MixedNormEstimator(10, n_orient=3).fit(X, y).penalty_
problem = BlockProblem(np.asfortranarray(X), y, penalty, n_orient=3)


def follow_gap(solve, steps):
    """Return the gap, relative to the power of ``y``, after each number of iterations."""
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
