"""One signature for all solvers of a block problem, including those of users."""

import reprlib
from operator import index
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .bcd import solve_bcd
from .block_problem import BlockProblem
from .cd import solve_cd
from .fista import solve_fista
from .newton import solve_newton


class Solver(Protocol):
    """The signature of a solver."""

    def __call__(
        self,
        problem: BlockProblem,
        coef: NDArray[np.float64],
        /,
        *,
        tol: float,
        maxit: int,
        dgap_freq: float,
    ) -> tuple[NDArray[np.float64], int]:
        """Solve a block problem from initial coefficients to a duality gap of at most `tol`."""


SOLVERS: dict[str, Solver] = {
    "auto": solve_newton,
    "newton": solve_newton,
    "bcd": solve_bcd,
    "cd": solve_cd,
    "prox": solve_fista,
}

__all__ = ["SOLVERS", "BlockProblem", "Solver", "solve_block_problem"]


def check_solver(solver, n_orient):
    """Raise a ValueError unless a solver exists and supports the size of blocks."""
    if callable(solver):
        return
    if not isinstance(solver, str) or solver not in SOLVERS:
        raise ValueError(
            f"solver={solver!r} is unknown: use one of {sorted(SOLVERS)}, or a function."
        )
    if solver == "cd" and n_orient > 1:
        raise ValueError(
            f"solver='cd' handles n_orient=1 only, got n_orient={n_orient}: use 'auto', 'newton', "
            "'bcd' or 'prox'."
        )


def solve_block_problem(
    problem: BlockProblem,
    coef: NDArray[np.float64],
    *,
    tol: float,
    solver: str | Solver = "auto",
    maxit: int = 3000,
    dgap_freq: float = 10,
) -> tuple[NDArray[np.float64], int]:
    """Solve a block problem with a solver of the package or of the user.

    Parameters
    ----------
    problem : BlockProblem
        The problem to solve.
    coef : ndarray of shape (n_positions * n_orient, n_targets)
        Initial coefficients.
    tol : float
        Duality gap to stop at, relative to ``||y||_F^2``.
    solver : str or callable, default="auto"
        Key of `SOLVERS`, or a function with the same signature.
    maxit : int, default=3000
        Maximum number of iterations.
    dgap_freq : int or inf, default=10
        Number of iterations between two evaluations of the duality gap.

    Returns
    -------
    coef : ndarray of shape (n_positions * n_orient, n_targets)
        The solution.
    n_iter : int
        Number of iterations.

    Raises
    ------
    ValueError
        If an argument is out of its range, or a user's solver does not return finite, real
        coefficients of the same shape as its input, and an integer.
    """
    check_solver(solver, problem.n_orient)
    if maxit < 1:
        raise ValueError(f"maxit must be a positive integer, got {maxit}.")
    coef = np.asarray(coef, dtype=np.float64)
    shape = problem.X.shape[1], problem.y.shape[1]
    if coef.shape != shape:
        raise ValueError(f"coef has shape {coef.shape}, but the problem needs {shape}.")
    options = dict(tol=tol, maxit=maxit, dgap_freq=dgap_freq)
    if not callable(solver):
        return SOLVERS[solver](problem, coef, **options)
    result = solver(problem.protect(), coef.copy(), **options)
    try:
        solution, n_iter = result
        solution, n_iter = np.asarray(solution), index(n_iter)
        got = f"{solution.dtype} of shape {solution.shape}, and {n_iter}"
        is_valid = solution.dtype.kind in "fiu" and n_iter >= 0 and solution.shape == coef.shape
    except (TypeError, ValueError):
        got, is_valid = f"{type(result).__name__}: {reprlib.repr(result)}", False
    if not (is_valid and np.isfinite(solution).all()):
        raise ValueError(
            f"solver={solver!r} must return finite coefficients of the same shape as its input, "
            f"{coef.shape}, and the number of iterations; it returned {got}."
        )
    return solution.astype(np.float64, copy=False), n_iter
