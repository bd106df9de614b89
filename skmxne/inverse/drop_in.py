"""The function `mixed_norm`, a replacement for that of MNE."""

import logging
from numbers import Integral, Real
from typing import Any

import mne
import numpy as np
from numpy.typing import ArrayLike

from .._logging import collect_warnings, find_level, quiet_mne, verbosity, warn
from ..linear_model.fit_problem import MixedNormProblem
from ..linear_model.mixed_norm import MixedNormEstimator
from ..linear_model.options import FitOptions
from ..linear_model.validation import (
    check_alphas,
    check_bool,
    check_real,
    check_weights,
    prefix_errors,
)
from ..model_selection.information_criterion import MixedNormIC
from ..solvers.dispatch import Solver
from ..solvers.threads import single_threaded_blas
from .gain import IneffectiveRankError
from .inputs import check_forward
from .outputs import SOURCE_ESTIMATES, check_pick_ori, make_weights
from .problem import InverseProblem

logger = logging.getLogger(__name__)


def mixed_norm(
    evoked: mne.Evoked | list[mne.Evoked],
    forward: mne.Forward,
    noise_cov: mne.Covariance,
    alpha: float | str,
    loose: str | float | dict[str, float] = "auto",
    depth: float | dict[str, Any] | None = 0.8,
    maxit: int = 3000,
    tol: float = 1e-4,
    active_set_size: int | None = 10,
    debias: bool = True,
    time_pca: bool | int = True,
    weights: ArrayLike | mne.SourceEstimate | None = None,
    weights_min: float = 0.0,
    solver: str | Solver = "auto",
    n_mxne_iter: int = 1,
    return_residual: bool = False,
    return_as_dipoles: bool = False,
    dgap_freq: float = 10,
    rank: str | dict[str, int] | None = None,
    pick_ori: str | None = None,
    sure_alpha_grid: str | ArrayLike = "auto",
    verbose: bool | str | int | None = None,
    *,
    rng: object = None,
    random_state: object = None,
) -> Any:
    """Find the few positions that explain averaged M/EEG data: MxNE or irMxNE.

    This function replaces :func:`mne.inverse_sparse.mixed_norm`. It has the same arguments and
    kinds of results, and gives the same numbers, except for the differences in the Notes. It
    combines :class:`~skmxne.InverseProblem` and :class:`~skmxne.MixedNormEstimator`: use these for
    several alphas, cross-validation or certificates. With a number as `alpha`, reweighting uses
    MNE's scale of the penalty. If a criterion chooses `alpha`, the model is that of
    :class:`~skmxne.MixedNormIC`.

    Parameters
    ----------
    evoked : instance of mne.Evoked, or list of mne.Evoked
        The data. A list makes one joint model: a position is active in all data or in none. Their
        times may differ.
    forward : instance of mne.Forward
        The forward solution, of any kind of source space.
    noise_cov : instance of mne.Covariance
        The noise covariance of single trials.
    alpha : float in [0, 100), "sure", "bic" or "ric"
        The penalty in percent of the smallest at which no position is active. The names are
        criteria of :class:`~skmxne.MixedNormIC`, which choose it. In low-passed data, noise is
        correlated in time, and "sure", MNE's default, takes it for sources. Prefer "ric", with
        `n_mxne_iter` 10.
    loose : "auto", float in [0, 1] or dict, default="auto"
        The variance of tangential orientations, as for :meth:`skmxne.InverseProblem.from_evoked`.
    depth : None, float or dict, default=0.8
        Depth weighting, as for :meth:`skmxne.InverseProblem.from_evoked`.
    maxit : int, default=3000
        Maximum number of iterations of the solver.
    tol : float, default=1e-4
        The duality gap, relative to the power of the whitened data, at which the solver stops.
    active_set_size : int, default=10
        Number of positions that are first added to the active set at a time; with
        ``solver="auto"`` at least ``32768 / (n_sensors * n_orientations)``. None: no active set.
    debias : bool, default=True
        Rescale amplitudes to remove the shrinkage by the penalty.
    time_pca : bool or int, default=True
        True first reduces the data to their rank, which changes only the cost. An int limits the
        rank. False keeps all data.
    weights : None, array-like of shape (n_positions,) or source estimate, default=None
        Weights of the positions: the larger, the more likely active. For a source estimate, they
        are its largest magnitudes over time, and 0 where it has no vertex.
    weights_min : float, default=0.0
        Only positions with a weight above this, and above 0, are used.
    solver : {"auto", "newton", "bcd", "cd", "prox"} or callable, default="auto"
        The algorithm, as for :class:`~skmxne.MixedNormEstimator`. "cd" needs fixed orientation:
        otherwise "auto" is used, with a warning.
    n_mxne_iter : int, default=1
        Maximum number of convex problems to solve. From the second on (irMxNE), positions are
        weighted by their amplitudes in the solution before.
    return_residual : bool, default=False
        Whether to return the residual, too.
    return_as_dipoles : bool, default=False
        Whether to return dipoles rather than a source estimate.
    dgap_freq : int or inf, default=10
        Iterations of "bcd" and "prox" between two evaluations of the duality gap.
    rank : None, "info", "full" or dict, default=None
        The rank of the noise covariance, as for :func:`mne.compute_rank`; None estimates it. A
        warning names the keys of a dict that have no effect.
    pick_ori : {None, "normal", "vector"}, default=None
        The orientations, as for :meth:`skmxne.InverseProblem.to_source_estimate`.
    sure_alpha_grid : "auto" or array-like of shape (n_alphas,), default="auto"
        The percentages that a criterion chooses from, "auto" for those of
        :class:`~skmxne.MixedNormIC`. The value 100, where no position is active, is ignored.
    verbose : bool, str or int, default=None
        Level of the messages logged, as for :class:`~skmxne.MixedNormEstimator`. As in MNE, a
        level above "WARNING" hides warnings. None: the level of MNE (:func:`mne.set_log_level`)
        decides whether warnings are shown.
    rng, random_state : object, default=None
        Ignored: nothing is random here.

    Returns
    -------
    stc : source estimate, or list of mne.Dipole
        The sources in A m: a source estimate, whose class depends on the source space and
        `pick_ori`, or dipoles. A list of several data gives a list.
    residual : instance of mne.Evoked
        The residual, if `return_residual` is True; for several data a list.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, out of its range, or does not fit the others.

    Warns
    -----
    ConvergenceWarning
        If the duality gap does not reach `tol`. It is a RuntimeWarning, too, as in MNE.
    UserWarning
        If no position is active. It is a RuntimeWarning, too, as in MNE.

    See Also
    --------
    skmxne.InverseProblem : Prepare data once, for many fits.

    Notes
    -----
    For a given `alpha` the numbers are those of MNE, to the accuracy of `tol`. Unlike in MNE,

    - positions and orientations of dipoles, and vectors of source estimates, are in head
      coordinates even if the forward solution is in MRI coordinates,
    - debiasing finds the minimum (that of MNE stops too early),
    - reweighting continues until nothing changes, up to `n_mxne_iter`,
    - ``alpha=0`` gives the least-squares fit of minimum norm,
    - with fixed orientation, ``combine_xyz=False`` means the normal, not an axis of the head,
    - a channel that is bad in one of several data is left out of all,
    - "sure" uses the number of trials, judges the model that is returned, and is not random,
    - goodness of fit refers to all data, even if `time_pca` limits their rank.

    Examples
    --------
    >>> from skmxne import mixed_norm
    >>> from skmxne.datasets import make_recording
    >>> recording = make_recording(n_sources=2)
    >>> evoked = recording.evoked.crop(0.05, 0.35)
    >>> mixed_norm(evoked, recording.forward, recording.noise_cov, alpha=30, n_mxne_iter=5)
    <SourceEstimate | 2 vertices, subject : simulated, ...>
    """
    params = dict(maxit=maxit, tol=tol, active_set_size=active_set_size, dgap_freq=dgap_freq)
    params |= dict(n_mxne_iter=n_mxne_iter, solver=solver, debias=debias, time_pca=time_pca)
    params |= dict(weights=weights, weights_min=weights_min)
    outputs = dict(return_residual=return_residual, return_as_dipoles=return_as_dipoles)
    for name, value in outputs.items():
        check_bool(name, value)
    if isinstance(evoked, list) and len(evoked) == 1:
        (evoked,) = evoked  # for one average, MNE returns no list
    level = find_level(verbose)
    try:
        with verbosity(verbose), quiet_mne(level), collect_warnings() as collected:
            # Validate arguments before the slow preparation of the data.
            check_forward(forward)
            check_pick_ori(pick_ori, 3, "surface")
            choice, params = _read_choice(alpha, sure_alpha_grid), _read_options(params, forward)
            problem = _make_problem(evoked, forward, noise_cov, loose, depth, rank)
            check_pick_ori(pick_ori, problem.n_orient, forward["src"].kind)
            coef = _fit(problem, choice, params)
            return _make_outputs(problem, coef, pick_ori, return_residual, return_as_dipoles)
    finally:
        for message, category in dict.fromkeys(collected):
            if level <= logging.WARNING:  # above, MNE hides them
                warn(message, category)


def _make_problem(evoked, forward, noise_cov, loose, depth, rank):
    """Make the inverse problem; as in MNE, ranks without effect are ignored."""
    options = dict(loose=loose, depth=depth)
    try:
        return InverseProblem.from_evoked(evoked, forward, noise_cov, rank=rank, **options)
    except IneffectiveRankError as error:
        ignored = " and ".join(map(repr, error.ignored))
        warn(f"{error} As in MNE, the rank for {ignored} is ignored.", RuntimeWarning)
        rank = {key: value for key, value in rank.items() if key not in error.ignored}
    return InverseProblem.from_evoked(evoked, forward, noise_cov, rank=rank, **options)


def _read_choice(alpha, grid):
    """Return the percentage, or the criterion and its grid, as parameters of an estimator."""
    if not isinstance(alpha, str):
        if not isinstance(alpha, Real) or isinstance(alpha, bool):
            raise TypeError(
                f"alpha must be a percentage, 'sure', 'bic' or 'ric', got {alpha!r}. To find "
                "sources, use 'ric'."
            )
        return {"alpha": check_real("alpha", alpha, 0, 100)}
    if alpha not in ("sure", "bic", "ric"):
        raise ValueError(f"alpha must be a percentage, 'sure', 'bic' or 'ric', got {alpha!r}.")
    is_auto = isinstance(grid, str) and grid == "auto"
    return {"criterion": alpha} | ({} if is_auto else {"alphas": _read_grid(grid)})


def _read_options(params, forward):
    """Return the other parameters of an estimator, from values that MNE's function accepts."""
    params = dict(params)
    if isinstance(params["debias"], Integral) and params["debias"] in (0, 1):
        params["debias"] = bool(params["debias"])
    if isinstance(params["time_pca"], Integral) and params["time_pca"] == 0:
        params["time_pca"] = False
    if isinstance(params["dgap_freq"], float) and params["dgap_freq"].is_integer():
        params["dgap_freq"] = int(params["dgap_freq"])
    if isinstance(params["weights_min"], Real):
        params["weights_min"] = max(params["weights_min"], 0)
    FitOptions.check(1, **params | {"weights": None})
    params["weights"] = _read_weights(params["weights"], params["weights_min"], forward)
    return params


def _read_grid(grid):
    """Return the percentages to choose from, without 100, where MNE's own grid starts."""
    try:
        alphas = np.asarray(grid)
        return check_alphas(alphas[alphas != 100] if alphas.ndim == 1 else alphas, None)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"sure_alpha_grid must be 'auto' or an array of percentages in [0, 100), got {grid!r}."
        ) from error


def _read_weights(weights, weights_min, forward):
    """Return the weights of the positions; negative ones become 0, as MNE ignores them."""
    if weights is None:
        return None
    if isinstance(weights, SOURCE_ESTIMATES):
        weights = make_weights(weights, forward["src"], "weights")
    with prefix_errors("weights"):
        weights, n_positions = np.asarray(weights), forward["nsource"]
    if weights.shape == (n_positions, 1):
        weights = weights[:, 0]
    if weights.shape != (n_positions,):
        raise ValueError(
            f"weights has shape {weights.shape}, but forward has {n_positions} positions: give one "
            f"weight per position, shape ({n_positions},)."
        )
    if weights.dtype.kind in "if":
        weights = np.maximum(weights, 0)
    check_weights(weights, weights_min, n_positions)
    return weights


def _fit(problem, choice, params):
    """Fit the model, and return its coefficients on `X` and `y` of the problem."""
    params = params | {"n_orient": problem.n_orient}
    if params["solver"] == "cd" and problem.n_orient > 1:
        warn("solver='cd' needs fixed orientation: 'auto' is used instead.", RuntimeWarning)
        params["solver"] = "auto"
    if "criterion" in choice:
        # Criteria need the noise level: it is 1 in the average times sqrt(nave).
        model = MixedNormIC(**choice, **params).fit(problem.X, problem.y)
        logger.info("Alpha chosen by %s: %.3g", model.criterion, model.alpha_)
        for remark in model.remarks_:
            logger.info(remark)
        return model.coef_
    roots = problem.target_scale
    y = problem.y / roots  # MNE ignores the number of trials
    scale = _find_reweighting_scale(problem.X, y, params)
    model = MixedNormEstimator(**choice, reweighting_scale=scale, **params)
    return model.fit(problem.X, y).coef_ * roots[:, np.newaxis]


def _find_reweighting_scale(X, y, params):
    """Return the amplitude of MNE's reweighted penalty: its ``alpha_max`` is 100."""
    if params["n_mxne_iter"] == 1:
        return 1.0  # it has no effect without reweighting
    with single_threaded_blas():
        alpha_max = MixedNormProblem(X, y, FitOptions.check(X.shape[1], **params)).alpha_max
    return 100 / alpha_max if alpha_max > 0 else 1.0


def _make_outputs(problem, coef, pick_ori, with_residual, as_dipoles):
    """Return what MNE's function returns."""
    if logger.isEnabledFor(logging.INFO):
        logger.info("Explained variance in percent: %s", problem.explained_variance(coef))
    sources = problem.to_dipoles(coef) if as_dipoles else problem.to_source_estimate(coef, pick_ori)
    return (sources, problem.to_residual(coef)) if with_residual else sources
