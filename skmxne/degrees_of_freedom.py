"""How many parameters a fit has really used: exact degrees of freedom."""

import numpy as np
from scipy.linalg import pinvh

CRITERIA = ("sure", "bic", "gcv", "discrepancy")

# Fields whose Gram matrix has a smaller relative eigenvalue count as linearly dependent.
_DEPENDENT = 1e-12


def compute_degrees_of_freedom(
    X, coef, penalty, *, n_orient=1, reweighting_scale=None, target_covariance=None
):
    """Compute the degrees of freedom of a mixed-norm fit from its solution.

    They are the divergence of the fit ``y -> X W(y)``: what Stein's unbiased risk estimate (SURE)
    and information criteria need. By the implicit function theorem ``W`` changes with ``y``
    through the Hessian of the objective on the active positions, whose Kronecker structure leaves
    systems in the features and in the positions of the active set alone. For the group lasso
    see [1]_.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_active * n_orient)
        Columns of the active positions.
    coef : ndarray of shape (n_active * n_orient, n_targets)
        Coefficients of the active positions before debiasing, none of them zero as a block.
    penalty : float
        Regularization strength, absolute.
    n_orient : int, default=1
        Columns of a block.
    reweighting_scale : float, default=None
        The amplitude ``u`` of the penalty ``penalty * sum_g sqrt(u ||W_g||_F)``, for a fixed point
        of the reweighting. None: the convex ``penalty * sum_g ||W_g||_F``.
    target_covariance : ndarray of shape (n_targets, n_targets), default=None
        Covariance ``C`` of the noise across targets, which weights the derivatives:
        ``sum_its C_ts d(X W)_it / dy_is``, the covariance of fit and noise. None: the identity.

    Returns
    -------
    dof : float
        Degrees of freedom.

    Notes
    -----
    With ``r_g = ||W_g||_F``, the penalty ``phi(r_g)`` has the Hessian
    ``c_g (I - k w_g w_g^T / r_g^2)``, where ``c_g = phi'(r_g) / r_g`` and ``k`` is 1 for the norm,
    3/2 for its square root. With ``A_g = X_g / sqrt(c_g)``, ``K = A A^T``, ``S = I + K``, and
    ``s_C(Z)`` the sums over the blocks of ``Z * (V C V^T)`` with ``V_g = W_g / r_g``, ::

        dof = tr(C) tr(K S^-1) + tr[(s_I(A^T S^-1 A) - (1 - 1/k) I)^+ s_C(A^T S^-2 A)]

    The first matrix in brackets is, but for its diagonal, the Gram matrix of the fields
    ``S^-1/2 X_g W_g``. In the convex case it is singular where these are linearly dependent, with
    columns that occur twice for example: ``W`` may then move without a change of the fit, which
    the pseudo-inverse leaves out.

    References
    ----------
    .. [1] Vaiter, Deledalle, Peyré, Fadili & Dossal (2012). The degrees of freedom of the group
       lasso. ICML Workshop on Sparsity, Dictionaries and Projections in Machine Learning.
    """
    n_active, n_targets = len(coef) // n_orient, coef.shape[1]
    variance = n_targets if target_covariance is None else np.trace(target_covariance)
    if n_active == 0:
        return 0.0
    if penalty == 0.0:
        return float(variance * np.linalg.matrix_rank(X))
    norms = np.sqrt((coef**2).reshape(n_active, -1).sum(axis=1))
    if reweighting_scale is None:
        curvature, concavity = penalty / norms, 0.0
    else:
        curvature, concavity = penalty * np.sqrt(reweighting_scale) / (2.0 * norms**1.5), 1.0 / 3.0

    roots = np.repeat(np.sqrt(curvature), n_orient)
    coef = coef / np.repeat(norms, n_orient)[:, None]
    moved = coef if target_covariance is None else coef @ target_covariance
    # Only X^T X matters: there are no more rows than columns.
    _, singular_values, right = np.linalg.svd(
        np.linalg.qr(X / roots, mode="r"), full_matrices=False
    )
    hat = singular_values**2 / (1.0 + singular_values**2)

    def sum_blocks(values, moments):
        matrix = (right.T * values) @ right * moments
        return matrix.reshape(n_active, n_orient, n_active, n_orient).sum(axis=(1, 3))

    gram = sum_blocks(hat, coef @ coef.T)
    response = sum_blocks(hat / (1.0 + singular_values**2), moved @ coef.T)
    # Positions with weak and with strong fields alike.
    scale = 1.0 / np.sqrt(gram.diagonal() + concavity)
    system = (gram - concavity * np.eye(n_active)) * scale * scale[:, None]
    inverse = pinvh(system, atol=0.0, rtol=_DEPENDENT) * scale * scale[:, None]
    return float(variance * hat.sum() + np.vdot(inverse, response))


def compute_criterion(criterion, rss, dof, noise_variance, n, n_independent):
    """Compute what a criterion makes of the solutions of a path.

    Parameters
    ----------
    criterion : {"sure", "bic", "gcv", "discrepancy"}
        As for `MixedNormIC`.
    rss, dof : ndarray of shape (n_alphas,)
        Residual sums of squares and degrees of freedom.
    noise_variance : float
        Variance of the noise.
    n : float
        Number of data: the noise is expected to sum up to ``n * noise_variance``.
    n_independent : float
        Number of data that are independent, which is `n` for white noise.

    Returns
    -------
    values : ndarray of shape (n_alphas,)
        The smallest is the best; of the discrepancy, the first that is not positive.
    """
    if criterion == "sure":
        return rss + 2.0 * noise_variance * dof - n * noise_variance
    if criterion == "bic":
        return rss + np.log(n_independent) * noise_variance * dof
    if criterion == "discrepancy":
        return rss - (n - dof) * noise_variance
    # Nothing is left of the data to judge the model by.
    left = np.where(dof < n, n - dof, np.nan)
    return np.nan_to_num(n * rss / left**2, nan=np.inf)
