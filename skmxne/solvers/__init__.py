"""The convex problem, in arrays only: from the objective to solutions with a certificate.

A solver is a function ``solve(problem, coef, *, tol, maxit, dgap_freq) -> coef, n_iter`` of a
`BlockProblem`, the positions at work, and the coefficients to start from.
"""

from .block_problem import BlockProblem
from .dispatch import SOLVERS, Solver, solve_block_problem

__all__ = ["SOLVERS", "BlockProblem", "Solver", "solve_block_problem"]
