"""Alpha by an information criterion."""

import math
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from .._logging import verbosity, warn
from ..linear_model.base import (
    BaseMixedNorm,
    ConvergenceWarning,
    store_model,
    warn_if_empty,
    warn_if_not_converged,
)
from ..linear_model.fit_problem import MixedNormProblem
from ..linear_model.intercept import warn_if_constant
from ..linear_model.validation import (
    check_alphas,
    check_bool,
    check_real,
    check_target_covariance,
    warn_if_at_edge,
)
from ..solvers.dispatch import Solver
from ..solvers.threads import single_threaded_blas
from .criteria import CRITERIA, judge_fits, judge_positions
from .diagnostics import CHECK_NOISE, diagnose
from .risk_inflation import RiskInflation, compute_largest_power
from .support_search import search_supports

# Maximum number of halvings of the smallest alpha, to find one that keeps all blocks.
_MOST_HALVINGS = 20


class MixedNormIC(BaseMixedNorm):
    """Mixed-norm estimate with alpha chosen by an information criterion.

    Fits one path to all data, and judges each model by its residual sum of squares (RSS) and its
    size. With ``s2`` the variance of the noise and ``n = n_samples * n_targets`` (with an
    intercept, ``(n_samples - 1) * n_targets``), the criterion is

    - for "ric", ``RSS_0 + n_active * (s2 d + model_error * P)``, the risk inflation criterion [1]_
      for blocks. ``RSS_0`` is the RSS of the least-squares fit of the active blocks. Each block has
      to explain more than ``s2 d``, the power that the best of all blocks explains in noise, with
      ``d = (sqrt(n_orient * n_targets) + sqrt(2 log n_blocks))^2`` [2]_. It also has to explain
      more than errors in the columns of the strongest block can; ``P`` is the power that this block
      explains alone. Unless `noise_variance` is None, the criterion is infinite for models with
      more active features than half the number of samples,
    - for "bic", ``RSS + log(n) s2 dof``, with the exact degrees of freedom (dof) of the penalised
      fit [3]_,
    - for "sure", ``RSS + 2 s2 dof - n s2``, an unbiased estimate of the risk
      ``||X W - E[y]||_F^2`` [4]_,
    - for "gcv", ``n RSS / (n - dof)^2``, which needs no ``s2`` [5]_,
    - for "discrepancy", the largest alpha with ``RSS <= (n - dof) s2``.

    "ric" is for finding the active blocks. The others are for predicting ``y``, where an extra
    block costs little. A search that starts from the choice of "ric" can find blocks that are on no
    path, see Notes.

    Parameters
    ----------
    criterion : {"ric", "bic", "sure", "gcv", "discrepancy"}, default="ric"
        Criterion to choose alpha. "sure", "bic" and "discrepancy" need the exact `noise_variance`.
    noise_variance : float or None, default=1.0
        Variance of the noise of ``y``. 1 is only right for whitened data, such as those of an
        `InverseProblem`. For other data, pass the variance, or None if you do not know it. None
        estimates it as ``RSS / (n - dof)`` at the smallest alpha, which is too small if that model
        fits noise. "ric" with None judges each model by ``s2 = RSS_0 / (n - n_active d)``, which
        tends to be too large.
    target_covariance : array-like of shape (n_targets, n_targets), default=None
        Covariance of the noise across targets, in units of `noise_variance`, for example across
        the times of a low-passed recording, see Notes. None: "ric" uses the covariance of the
        residual of each model, scaled to the trace ``n_targets``; the others assume that all
        targets are independent.
    model_error : float, default=0.03
        For "ric": the share of the power of the strongest block that may remain unexplained due to
        errors in the columns of ``X``, in [0, 1). 0.03 is for errors of 17 % of the amplitude,
        which are typical of forward models; 0 is for an exact ``X``.
    refine : bool, default=True
        For "ric" and ``n_mxne_iter > 1``, otherwise ignored: whether to search from the blocks of
        the path (see Notes), and to fit the final model by reweighting from the blocks found. False
        keeps the model of the path, that of ``MixedNormEstimator(alpha=path_alpha_)``.
    alphas : int or array-like of shape (n_alphas,), default=20
        Percentages to choose from. An int is the size of a geometric grid from 99 down to
        ``100 * eps``.
    eps : float, default=0.05
        The smallest alpha of the grid is ``100 * eps`` percent.
    n_orient : int, default=1
        As for `MixedNormEstimator`.
    n_mxne_iter : int, default=10
        Number of MxNE iterations. Above 1, iterative reweighting is applied.
    reweighting_scale, weights, weights_min, solver, maxit, tol : object
        As for `MixedNormEstimator`.
    active_set_size, dgap_freq, debias, time_pca, fit_intercept, verbose : object
        As for `MixedNormEstimator`.

    Attributes
    ----------
    alpha_ : float
        The alpha of the model, in percent. After a search, it is the largest alpha at which
        reweighting keeps all blocks found: one of the grid, or the smallest halved repeatedly.
        `MixedNormEstimator` with this alpha does not start from these blocks, so its model differs.
    path_alpha_ : float
        The alpha that the criterion chooses on the path; it equals `alpha_` unless a search changes
        the blocks.
    alphas_ : ndarray of shape (n_alphas,)
        The alphas to choose from, in percent, in descending order.
    criterion_ : ndarray of shape (n_alphas,)
        The criterion of each model of the path. For "discrepancy", ``RSS - (n - dof) s2``.
    refined_criterion_ : float
        The criterion of the final model. With `refine` it lacks the term of `model_error`, so do
        not compare it with `criterion_`.
    degrees_of_freedom_ : ndarray of shape (n_alphas,)
        Degrees of freedom of the solutions before debiasing; for "ric", of the least-squares fits.
    residual_sum_of_squares_ : ndarray of shape (n_alphas,)
        Residual sums of squares of the solutions before debiasing; for "ric", of the least-squares
        fits.
    n_active_path_ : ndarray of int, shape (n_alphas,)
        Number of active blocks of the solutions.
    noise_variance_ : float
        The variance of the noise, as given or estimated.
    n_independent_targets_ : float
        The number of targets with independent noise, as given or estimated.
    remarks_ : list of str
        Remarks that ask for no action: what the search changed, or properties that recorded data
        often have, such as a residual that is stronger than the noise level predicts.
    coef_, debias_scale_, intercept_, penalty_, alpha_max_, active_set_, n_active_ : object
        As for `MixedNormEstimator`, of the chosen model.
    explained_variance_, dual_gap_, objective_, n_iter_, converged_ : object
        As for `MixedNormEstimator`.
    n_features_in_, feature_names_in_ : object
        As for `MixedNormEstimator`.

    See Also
    --------
    MixedNormCV : Alpha by cross-validation.
    sklearn.linear_model.LassoLarsIC : The same idea for the Lasso.

    Notes
    -----
    Degrees of freedom are the exact divergence of the fit after reweighting, whether or not this
    has reached a fixed point; `penalty_`, the scale of the reweighting and the basis of a limited
    `time_pca` count as constants. The expected value of "sure" is the risk. The closer reweighting
    is to a fixed point, the more steeply the fit rises where a block enters, up to a jump. For most
    data sets the divergence is then smaller than its expected value, and for a few data sets it is
    much larger [6]_. Close to a jump, a value in `degrees_of_freedom_` may differ strongly from its
    neighbours.

    The search runs from the blocks of the path, and from none. Each block in turn moves to where it
    explains most, given the others, as in alternating projections [7]_; then one is dropped or
    added. A block ``k`` has to lower ``RSS_0 + s2 d sum_k 1 / w_k^2``, with ``w_k`` its weight
    relative to the largest of `weights`, by more than it can explain of errors in the columns of
    stronger blocks. An error in the columns of ``m`` leaves a residual with the time course of
    ``m``, mostly along columns similar to those of ``m``. So the required decrease is the power
    that ``k`` explains along the time course of ``m``, but at most
    ``10 model_error P_m |cos(X_k, X_m)|``, summed over the stronger blocks ``m``. ``P_m`` is the
    power that ``m`` explains alone. A block that explains no more than noise is not moved or added,
    but may be dropped: otherwise the search would find the strongest noise. The level of this noise
    is ``s2``, or that of the residual if that is higher. The final model is reweighted from the
    least-squares fit of the blocks found.

    Noise of low-passed recordings is correlated in time: for example, only 8 of 61 times are
    independent, and a block explains more noise by chance. With ``C`` the covariance across
    targets, there are ``m = tr(C)^2 / tr(C^2)`` independent targets, each of variance
    ``s2 tr(C) / m``. "ric" uses these in ``s2 d``, with ``C`` from the residual of each
    least-squares fit. If a residual is weaker than chance allows for noise of `noise_variance`, as
    in simulations without noise, it does not show the noise: the missing power counts as white
    noise. For the other criteria, pass ``C`` as `target_covariance`. They are then computed with
    ``n = n_samples * m`` data of variance ``s2 tr(C) / m``, and with dof times ``m / tr(C)``, where
    dof is the covariance of fit and noise in units of ``s2``. An `InverseProblem` made from trials
    estimates ``C`` as its `target_covariance`.

    References
    ----------
    .. [1] Foster & George (1994). The risk inflation criterion for multiple regression. The Annals
       of Statistics 22(4), 1947-1975.
    .. [2] Birgé & Massart (2001). Gaussian model selection. Journal of the European Mathematical
       Society 3(3), 203-268.
    .. [3] Zou, Hastie & Tibshirani (2007). On the "degrees of freedom" of the lasso. The Annals of
       Statistics 35(5), 2173-2192.
    .. [4] Stein (1981). Estimation of the mean of a multivariate normal distribution. The Annals
       of Statistics 9(6), 1135-1151.
    .. [5] Golub, Heath & Wahba (1979). Generalized cross-validation as a method for choosing a good
       ridge parameter. Technometrics 21(2), 215-223.
    .. [6] Tibshirani (2015). Degrees of freedom and model search. Statistica Sinica 25(3),
       1265-1296.
    .. [7] Adler, Wax & Pantazis (2024). Brain source localization by alternating projection.
       Imaging Neuroscience 2, 1-24.

    Examples
    --------
    >>> from skmxne import MixedNormIC
    >>> from skmxne.datasets import make_block_sparse_regression
    >>> X, y = make_block_sparse_regression(n_orient=3, noise=1.0, random_state=0)
    >>> model = MixedNormIC(n_orient=3).fit(X, y)
    >>> model.n_active_
    5
    >>> bool(model.n_independent_targets_ > 9)  # of 10
    True
    """

    def __init__(
        self,
        *,
        criterion: str = "ric",
        noise_variance: float | None = 1.0,
        target_covariance: ArrayLike | None = None,
        model_error: float = 0.03,
        refine: bool = True,
        alphas: int | ArrayLike = 20,
        eps: float = 0.05,
        n_orient: int = 1,
        n_mxne_iter: int = 10,
        reweighting_scale: float | None = None,
        weights: ArrayLike | None = None,
        weights_min: float = 0.0,
        solver: str | Solver = "auto",
        maxit: int = 3000,
        tol: float = 1e-4,
        active_set_size: int | None = 10,
        dgap_freq: float = 10,
        debias: bool = True,
        time_pca: bool | int = True,
        fit_intercept: bool = False,
        verbose: bool | str | int | None = None,
    ) -> None:
        super().__init__(
            n_orient=n_orient,
            n_mxne_iter=n_mxne_iter,
            reweighting_scale=reweighting_scale,
            weights=weights,
            weights_min=weights_min,
            solver=solver,
            maxit=maxit,
            tol=tol,
            active_set_size=active_set_size,
            dgap_freq=dgap_freq,
            debias=debias,
            time_pca=time_pca,
            fit_intercept=fit_intercept,
            verbose=verbose,
        )
        self.criterion = criterion
        self.noise_variance = noise_variance
        self.target_covariance = target_covariance
        self.model_error = model_error
        self.refine = refine
        self.alphas = alphas
        self.eps = eps

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the path, choose alpha, and keep its model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_blocks * n_orient)
            Samples, as for `MixedNormEstimator`.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets.

        Returns
        -------
        self : MixedNormIC
            The fitted model.

        Raises
        ------
        TypeError, ValueError
            If a hyperparameter or the data are not valid, or the noise cannot be estimated.

        Warns
        -----
        ConvergenceWarning
            If a duality gap does not reach ``tol``, or degrees of freedom are not exact.
        UserWarning
            If the chosen alpha is at an edge of the grid, or does not reach the discrepancy; if no
            block is active, or the empty model would be better; if the estimated noise is too
            small; if the residual contradicts `noise_variance`: it has less than half or more than
            twice the power (four times, if it is correlated across targets, see `remarks_`), or at
            its level "ric" would choose fewer blocks; or if the model has no intercept, but a
            constant explains more than half of the power of `y` (with at least 10 samples).
        """
        X, y, options = self._check(X, y)
        _check_criterion(self.criterion)
        alphas = check_alphas(self.alphas, self.eps)
        noise = self._check_noise(y.size // len(y))
        model_error = check_real("model_error", self.model_error, 0, 1)
        check_bool("refine", self.refine)
        report = self._report(X, y, n_tasks=len(alphas))
        with verbosity(self.verbose), single_threaded_blas(), report as follow:
            problem = MixedNormProblem(X, y, options)
            solutions = list(follow(problem.solve_path(alphas), "alpha"))
            targets = problem.targets
            if self.criterion == "ric":
                noise["model_error"] = model_error
                judgement = _judge_path(problem.design, targets, solutions, noise)
            else:
                noise["criterion"] = self.criterion
                judgement = judge_fits(problem, targets, solutions, alphas, **noise)
            solution, alpha = solutions[judgement.best], float(alphas[judgement.best])
            of_path, positions = judgement, solution.positions
            if self.refine and self.criterion == "ric" and options.n_mxne_iter > 1:
                judgement, solution, alpha = _refine(
                    problem, targets, solutions, alphas, of_path, noise
                )
            changes = _report_changes(positions, solution.positions)
            store_model(self, problem, alpha, solution, y.ndim)
        self.alphas_, self.alpha_ = alphas, alpha
        self.path_alpha_ = float(alphas[of_path.best])
        self.criterion_ = of_path.criterion
        self.residual_sum_of_squares_ = of_path.rss
        self.degrees_of_freedom_ = of_path.dof
        self.n_active_path_ = of_path.n_active
        self.refined_criterion_ = float(judgement.criterion[judgement.best])
        self.noise_variance_ = judgement.noise_variance
        self.n_independent_targets_ = float(judgement.n_independent[judgement.best])
        found = diagnose(judgement, self.criterion, noise["noise_variance"], len(targets))
        self.remarks_ = found.remarks + changes if self.alpha_max_ > 0.0 else []
        statuses = [solution.status for solution in solutions]
        statuses += [solution.status] if changes else []
        warn_if_not_converged(statuses, options, "alphas")
        messages = found.warnings if self.alpha_max_ > 0.0 else []
        self._warn(messages, judgement.n_inexact, is_of_path=not changes)
        warn_if_constant(X, y, options)
        return self

    def _check_noise(self, n_targets):
        """Check the parameters of the noise."""
        variance = self.noise_variance
        return {
            "noise_variance": check_real(
                "noise_variance", variance, 0, math.inf, optional=True, interval="()"
            ),
            "target_covariance": check_target_covariance(self.target_covariance, n_targets),
        }

    def _warn(self, messages, n_inexact, *, is_of_path):
        """Issue the warnings that ask for action."""
        for message in messages:
            warn(message)
        if n_inexact:
            warn(
                f"Degrees of freedom are not exact at {n_inexact} of {len(self.alphas_)} alphas: "
                "rounding prevents better solutions there. Leave out the smallest alphas, and "
                "duplicate columns of X.",
                ConvergenceWarning,
            )
        if self.n_active_ and not messages and is_of_path:
            warn_if_at_edge(self.alpha_, self.alphas_)
        warn_if_empty(
            self,
            "see the other warning."
            if messages
            else f"nothing stands out from the noise. If something should, {CHECK_NOISE}",
        )

    def _summarize(self):
        """Summarize the fit as a dictionary of names and values."""
        remarks = getattr(self, "remarks_", [])
        return super()._summarize() | ({"Remarks": " ".join(remarks)} if remarks else {})


def _check_criterion(criterion):
    """Raise unless a criterion is known."""
    criteria = ["ric", *CRITERIA]
    if not isinstance(criterion, str) or criterion not in criteria:
        raise ValueError(f"criterion={criterion!r} is unknown: use one of {criteria}.")


def _judge_path(design, y, solutions, noise):
    """Judge the blocks of a path, with the same floor for all."""
    supports = [solution.positions for solution in solutions]
    largest = compute_largest_power(design, y, np.unique(np.concatenate(supports)))
    floor = noise["model_error"] * largest
    return judge_positions(RiskInflation(design, y, floor=floor, **noise), supports)


def _refine(problem, y, solutions, alphas, judgement, noise):
    """Search from the chosen blocks, and fit the model of the blocks found."""
    criterion = RiskInflation(problem.design, y, **noise)
    solution, alpha = solutions[judgement.best], alphas[judgement.best]
    positions = search_supports(criterion, solution.positions)
    grid = alphas[alphas > 0.0]
    if len(grid) and not np.array_equal(positions, solution.positions):
        for smaller in np.append(grid, grid[-1] / 2.0 ** np.arange(1, _MOST_HALVINGS + 1)):
            found = problem.solve_from(smaller, positions)
            if len(found.positions) == len(positions):
                solution, alpha = found, smaller
                break
    supports = [of_path.positions for of_path in solutions]
    refined = judge_positions(criterion, [*supports, solution.positions], best=len(supports))
    refined = refined._replace(is_limited=judgement.is_limited, is_last=judgement.is_last)
    return refined, solution, float(alpha)


def _report_changes(before, after):
    """Return a list with a remark on what the search changed, empty if nothing."""
    if np.array_equal(before, after):
        return []
    n_before, n_after = len(before), len(after)
    if not n_before:
        return [f"The search found {n_after}, but the path has none."]
    n_kept = len(np.intersect1d(before, after))
    numbers = {
        "moved": min(n_before, n_after) - n_kept,
        "added": max(n_after - n_before, 0),
        "dropped": max(n_before - n_after, 0),
    }
    changes = [f"{name} {number}" for name, number in numbers.items() if number]
    kept = n_kept or "none"
    return [
        f"The search kept {kept} of the {n_before} found on the path, and {' and '.join(changes)}."
    ]
