"""The convex problem, in arrays only: from the objective to solutions with a certificate.

A solver is a function ``solve(problem, coef, *, tol, maxit, dgap_freq) -> coef, n_iter``, where
`problem` is a `BlockProblem` on the active set, and `coef` are the initial coefficients.
Everywhere, `tol` and duality gaps are relative to ``||y||_F^2``.
"""

from .block_problem import BlockProblem
from .dispatch import SOLVERS, Solver, solve_block_problem
from .objective import prox_l21

__all__ = ["SOLVERS", "BlockProblem", "Solver", "prox_l21", "solve_block_problem"]
