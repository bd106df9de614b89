"""The function `mixed_norm`, to be used in place of that of MNE."""

import logging
import warnings

import numpy as np

from .estimator import MixedNormEstimator
from .grid import check_alphas
from .inverse_problem import InverseProblem
from .model_selection import MixedNormIC
from .parameters import check_parameters, verbosity
from .path import make_problem
from .source_outputs import SOURCE_ESTIMATES, check_pick_ori, make_weights
from .threads import single_threaded_blas

logger = logging.getLogger(__name__)


def mixed_norm(
    evoked,
    forward,
    noise_cov,
    alpha="sure",
    loose="auto",
    depth=0.8,
    maxit=3000,
    tol=1e-4,
    active_set_size=10,
    debias=True,
    time_pca=True,
    weights=None,
    weights_min=0.0,
    solver="auto",
    n_mxne_iter=1,
    return_residual=False,
    return_as_dipoles=False,
    dgap_freq=10,
    rank=None,
    pick_ori=None,
    verbose=None,
    *,
    sure_alpha_grid="auto",
    rng=None,
    random_state=None,
):
    """Find the few positions that explain averaged M/EEG data: MxNE or irMxNE.

    In place of :func:`mne.inverse_sparse.mixed_norm`, with the same arguments, results and
    numbers: for a given `alpha` the number of trials is left out, as MNE does, and amplitudes are
    reweighted on its scale. For several alphas, cross-validation or certificates use
    :class:`~skmxne.InverseProblem` and :class:`~skmxne.MixedNormEstimator`, which this function
    is made of.

    Parameters
    ----------
    evoked : instance of mne.Evoked, or list of such
        The data. Several make one joint model, in which a position is active in all or none;
        their times may differ.
    forward : instance of mne.Forward
        The forward solution, of any kind of source space.
    noise_cov : instance of mne.Covariance
        The noise covariance of single trials.
    alpha : float in [0, 100), "sure" or "bic", default="sure"
        Regularization in percent: 0 means none, 100 would leave no active position. "sure" and
        "bic" choose it by :class:`~skmxne.MixedNormIC`, which takes the number of trials into
        account.
    loose : "auto", float in [0, 1] or dict, default="auto"
        The variance of tangential orientations, as for :meth:`skmxne.InverseProblem.from_evoked`.
    depth : None, float or dict, default=0.8
        Depth weighting, as for :meth:`skmxne.InverseProblem.from_evoked`.
    maxit : int, default=3000
        Most iterations of the solver.
    tol : float, default=1e-4
        The duality gap, relative to the power of the whitened data, at which the solver stops.
    active_set_size : int, default=10
        Positions added to the active set at a time, at first. None: no active set.
    debias : bool, default=True
        Rescale amplitudes to take away the shrinkage of the penalty.
    time_pca : bool or int, default=True
        True reduces the data to their rank first, which changes nothing but the cost; an int
        limits it to that rank; False leaves them.
    weights : None, array-like of shape (n_positions,) or source estimate, default=None
        Weights of the positions: larger is more likely active. Of a source estimate the largest
        magnitudes over time are taken, 0 where it has no vertex.
    weights_min : float, default=0.0
        Positions whose weight is not above it are left out; same unit as `weights`.
    solver : {"auto", "newton", "bcd", "cd", "prox"}, default="auto"
        The algorithm, as for :class:`~skmxne.MixedNormEstimator`. "cd" is for fixed orientation:
        for others "auto" is taken, with a warning.
    n_mxne_iter : int, default=1
        Number of MxNE iterations. Above 1, iterative reweighting is applied (irMxNE).
    return_residual : bool, default=False
        Whether to return the residual, too.
    return_as_dipoles : bool, default=False
        Whether to return dipoles rather than a source estimate.
    dgap_freq : int or inf, default=10
        Iterations between two evaluations of the duality gap. Ignored by "newton" and "cd".
    rank : None, "info", "full" or dict, default=None
        The rank of the noise covariance, as for :func:`mne.compute_rank`; None estimates it.
    pick_ori : {None, "normal", "vector"}, default=None
        The orientations, as for :meth:`skmxne.InverseProblem.to_source_estimate`.
    verbose : bool, str or int, default=None
        Level of the messages logged by the logger "skmxne", as for
        :class:`~skmxne.MixedNormEstimator`.
    sure_alpha_grid : "auto" or array-like of shape (n_alphas,), default="auto"
        The percentages that "sure" or "bic" choose from; "auto" for the grid of
        :class:`~skmxne.MixedNormIC`.
    rng, random_state : object, default=None
        Ignored: MNE's function draws random numbers to choose alpha, here nothing is random.

    Returns
    -------
    stc : source estimate, or list of mne.Dipole
        The sources in A m: of the class that suits the source space and `pick_ori`, or dipoles. A
        list of several data gives a list.
    residual : instance of mne.Evoked
        What the sources leave of the data. Only returned if `return_residual` is True; a list of
        several data gives a list.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong kind, out of its range, or does not fit the others.

    Warns
    -----
    ConvergenceWarning
        If the duality gap does not reach `tol`.
    UserWarning
        If no position is active.

    See Also
    --------
    skmxne.InverseProblem : Prepare data once, for many fits.

    Examples
    --------
    >>> from skmxne import mixed_norm
    >>> from skmxne.datasets import make_recording
    >>> recording = make_recording(n_sources=2)
    >>> evoked = recording.evoked.crop(0.05, 0.35)
    >>> mixed_norm(evoked, recording.forward, recording.noise_cov, alpha=30, n_mxne_iter=5)
    <SourceEstimate | 2 vertices, subject : simulated, ...>
    """
    if isinstance(alpha, str) and alpha not in ("sure", "bic"):
        raise ValueError(f"alpha must be a percentage, 'sure' or 'bic', got {alpha!r}.")
    if isinstance(evoked, list) and len(evoked) == 1:
        (evoked,) = evoked  # MNE returns no list of one
    with verbosity(verbose):
        problem = InverseProblem.from_evoked(
            evoked, forward, noise_cov, loose=loose, depth=depth, rank=rank
        )
        check_pick_ori(pick_ori, problem.n_orient, forward["src"].kind)
        coef = _fit(
            problem,
            alpha,
            sure_alpha_grid,
            n_orient=problem.n_orient,
            n_mxne_iter=n_mxne_iter,
            weights=_read_weights(weights, forward["src"]),
            weights_min=weights_min,
            solver=_choose_solver(solver, problem.n_orient),
            maxit=maxit,
            tol=tol,
            active_set_size=active_set_size,
            dgap_freq=dgap_freq,
            debias=debias,
            time_pca=time_pca,
        )
        return _make_outputs(problem, coef, pick_ori, return_residual, return_as_dipoles)


def _read_weights(weights, src):
    """Return the weights of the positions, 0 where they are negative, as MNE leaves these out."""
    if isinstance(weights, SOURCE_ESTIMATES):
        return make_weights(weights, src, "weights")
    if weights is None:
        return None
    weights = np.asarray(weights)
    return np.maximum(weights, 0) if weights.dtype.kind in "if" else weights


def _choose_solver(solver, n_orient):
    """Return the solver, but take another where MNE does so, too."""
    if solver != "cd" or n_orient == 1:
        return solver
    warnings.warn(
        "solver='cd' is for fixed orientation only: 'auto' is used.", RuntimeWarning, stacklevel=3
    )
    return "auto"


def _fit(problem, alpha, grid, **params):
    """Fit the model, and return its coefficients on `X` and `y` of the problem."""
    roots = problem.target_scale
    if isinstance(alpha, str):
        # Criteria need to know the level of noise: it is 1 in the average times sqrt(nave).
        scale = _find_reweighting_scale(problem.X, problem.y, params) * np.mean(roots**2)
        if not (isinstance(grid, str) and grid == "auto"):
            params["alphas"] = _check_grid(grid)
        model = MixedNormIC(criterion=alpha, reweighting_scale=scale, **params)
        coef = model.fit(problem.X, problem.y).coef_
        logger.info("Alpha chosen by %s: %.3g", alpha, model.alpha_)
        return coef
    y = problem.y / roots  # MNE leaves the number of trials out
    scale = _find_reweighting_scale(problem.X, y, params)
    model = MixedNormEstimator(alpha, reweighting_scale=scale, **params)
    return model.fit(problem.X, y).coef_ * roots[:, np.newaxis]


def _check_grid(grid):
    """Check the percentages to choose from, and name the argument that they are here."""
    try:
        return check_alphas(np.atleast_1d(grid), None)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"sure_alpha_grid must be 'auto' or percentages in [0, 100), got {grid!r}."
        ) from error


def _find_reweighting_scale(X, y, params):
    """Return the amplitude of MNE's reweighted penalty, for data that are averages.

    MNE measures amplitudes on the scale where ``alpha_max`` is 100. Without reweighting the
    amplitude does not matter, and costs nothing.
    """
    check_parameters(params, X.shape[1])
    if params["n_mxne_iter"] == 1:
        return 1.0
    with single_threaded_blas():
        alpha_max = make_problem(X, y, params | {"reweighting_scale": None}).alpha_max
    return 100 / alpha_max if alpha_max > 0 else 1.0


def _make_outputs(problem, coef, pick_ori, return_residual, return_as_dipoles):
    """Return what MNE's function returns."""
    logger.info("Explained variance in percent: %s", problem.explained_variance(coef))
    if return_as_dipoles:
        sources = problem.to_dipoles(coef)
    else:
        sources = problem.to_source_estimate(coef, pick_ori)
    return (sources, problem.to_residual(coef)) if return_residual else sources
