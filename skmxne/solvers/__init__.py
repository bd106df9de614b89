"""Solvers of the convex problem, one a file, behind one signature.

``solve(problem, coef, *, tol, maxit, dgap_freq) -> coef, n_iter``
"""

from .bcd import solve_bcd
from .cd import solve_cd
from .newton import solve_newton
from .problem import BlockProblem
from .prox import solve_prox

SOLVERS = {
    "auto": solve_newton,
    "newton": solve_newton,
    "bcd": solve_bcd,
    "cd": solve_cd,
    "prox": solve_prox,
}

__all__ = ["SOLVERS", "BlockProblem"]
