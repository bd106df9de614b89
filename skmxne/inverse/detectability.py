"""The smallest amplitude of a source that can be found."""

import numpy as np

from ..inspection.confidence import compute_detectable_power
from ..model_selection.noise import estimate_covariance
from ..model_selection.risk_inflation import fit_columns
from ..solvers.objective import compute_columns


def compute_least_amplitudes(problem, field_powers, positions, sources, power):
    """Compute the smallest peak amplitude, in A m, that is found at each position.

    `power` is the probability to find it, `field_powers` are those of the whitened field of 1 A m.
    The time course is that of the strongest source; without `sources`, the strongest of the data.
    """
    course = _find_course(problem, sources)
    if not course.any():
        raise ValueError("The data are zero: there is no time course to look for.")
    covariance = _estimate_noise(problem, positions)
    needed = compute_detectable_power(
        *(np.count_nonzero(field_powers > 0), problem.n_orient, covariance, course, power)
    )
    course_power = np.sum((course / np.abs(course / problem.target_scale).max()) ** 2)
    with np.errstate(divide="ignore"):
        return np.sqrt(needed / field_powers / course_power)


def _find_course(problem, sources):
    """Return the time course of the strongest source, on the scale of `y`."""
    if sources is None or len(sources) == 0:
        return np.linalg.svd(problem.y, full_matrices=False)[2][0] * np.any(problem.y)
    strongest = np.abs(sources).max(axis=(1, 2)).argmax()
    return np.linalg.svd(sources[strongest], full_matrices=False)[2][0] * problem.target_scale


def _estimate_noise(problem, positions):
    """Return the covariance of the noise over time: from trials or the residual, else white."""
    if problem.target_covariance is not None:
        return problem.target_covariance
    if len(positions) == 0:
        return np.eye(len(problem.times))
    columns = problem.X[:, compute_columns(positions, problem.n_orient)]
    residual, rank = fit_columns(columns, problem.y, np.finfo(float).eps)
    return estimate_covariance(residual, max(len(problem.y) - rank, 1))
