"""Simulated problems and a simulated recording, which need no download."""

from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.spatial import ConvexHull
from sklearn.utils import Bunch, check_random_state, check_scalar

__all__ = ["make_block_sparse_regression", "make_recording"]


def make_block_sparse_regression(
    n_samples: int = 60,
    n_positions: int = 100,
    *,
    n_orient: int = 1,
    n_targets: int = 10,
    n_active: int = 5,
    correlation: float = 0.0,
    noise: float = 0.1,
    coef: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[NDArray[np.float64], ...]:
    """Generate a regression problem whose coefficients are zero outside a few blocks.

    ``y = X @ coef.T + noise * e``, with independent standard normal ``e``. A block is the
    `n_orient` consecutive features (a position of M/EEG sources); `n_active` blocks, drawn without
    replacement, have independent standard normal coefficients.

    Parameters
    ----------
    n_samples : int, default=60
        The number of samples (sensors).
    n_positions : int, default=100
        The number of blocks (positions).
    n_orient : int, default=1
        The number of features per block (orientations of a current).
    n_targets : int, default=10
        The number of targets (time points). With 1, `y` is one-dimensional.
    n_active : int, default=5
        The number of blocks whose coefficients are not zero.
    correlation : float, default=0.0
        In (-1, 1). Features have variance 1, and features `j` and `k` have the correlation
        ``correlation ** abs(j - k)``.
    noise : float, default=0.1
        The standard deviation of the Gaussian noise added to `y`, in the unit of `y`.
    coef : bool, default=False
        Whether to return the true coefficients too.
    random_state : int, RandomState instance or None, default=None
        Determines the random numbers. Pass an int for the same problem at every call.

    Returns
    -------
    X : ndarray of shape (n_samples, n_positions * n_orient)
        The features.
    y : ndarray of shape (n_samples, n_targets) or (n_samples,)
        The targets.
    coef : ndarray of shape (n_targets, n_positions * n_orient) or (n_positions * n_orient,)
        The true coefficients, shaped as the attribute `coef_` of
        :class:`~sklearn.linear_model.MultiTaskLasso`. Only returned if `coef` is True.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or out of its range.

    Examples
    --------
    >>> from skmxne.datasets import make_block_sparse_regression
    >>> X, y, coef = make_block_sparse_regression(n_orient=3, coef=True, random_state=0)
    >>> X.shape, y.shape, coef.shape
    ((60, 300), (60, 10), (10, 300))
    >>> int(coef.any(axis=0).sum())
    15
    """
    sizes = dict(n_samples=n_samples, n_positions=n_positions, n_orient=n_orient)
    for name, value in (sizes | dict(n_targets=n_targets)).items():
        _check_number(value, name, Integral, 1)
    _check_number(n_active, "n_active", Integral, 0, n_positions)
    _check_number(correlation, "correlation", Real, -1, 1, "neither")
    _check_number(noise, "noise", Real, 0)
    rng = check_random_state(random_state)

    X = _autoregressive_noise(rng, (n_samples, n_positions * n_orient), correlation)
    blocks = np.zeros((n_targets, n_positions, n_orient))
    active = rng.choice(n_positions, n_active, replace=False)
    blocks[:, active] = rng.standard_normal((n_targets, n_active, n_orient))
    true_coef = blocks.reshape(n_targets, -1)
    y = X @ true_coef.T + noise * rng.standard_normal((n_samples, n_targets))
    if n_targets == 1:
        y, true_coef = y[:, 0], true_coef[0]
    return (X, y, true_coef) if coef else (X, y)


def make_recording(
    n_sources: int = 3,
    *,
    n_trials: int = 60,
    amplitude: float = 50e-9,
    autocorrelation: float = 0.0,
    random_state: int | np.random.RandomState | None = 0,
) -> Bunch:
    """Simulate an EEG recording whose cortical sources are known.

    In every trial, a few positions of a folded cortex respond in the same way. Background activity
    of the whole cortex and sensor noise are added. 64 electrodes record at 250 Hz from -0.2 to
    0.4 s around the stimulus. The cortex is computed from formulas; the electrodes and the
    spherical head model are MNE's. The average reference is a projector, so the data have rank 63.

    Parameters
    ----------
    n_sources : int, default=3
        The number of sources, from 1 to 6. They are in the left and the right hemisphere in turn,
        at least 4 cm from one another and 2 to 3 cm below the scalp. Their currents flow along
        the normal of the cortex.
    n_trials : int, default=60
        The number of trials, at least 10: the noise covariance needs enough baseline.
    amplitude : float, default=50e-9
        The peak of every source in A m; tens of nAm are realistic [1]_. The noise is always 5 uV
        (standard deviation, per trial) from independent positions of the cortex, and 1 uV from
        sensors.
    autocorrelation : float, default=0.0
        The correlation of the noise at neighbouring times, in [0, 1). At 0 the noise is white in
        time; above, it is first-order autoregressive, as low-passed recordings roughly are.
    random_state : int, RandomState instance or None, default=0
        Determines the sources and the noise. Cortex, electrodes and head are always the same.

    Returns
    -------
    recording : :class:`~sklearn.utils.Bunch`
        Dictionary-like object, with the following attributes.

        epochs : instance of EpochsArray
            The trials, baseline corrected.
        evoked : instance of Evoked
            Their average.
        forward : instance of Forward
            The forward solution, of free orientation.
        noise_cov : instance of Covariance
            The noise covariance of a trial, estimated from the baselines.
        stc : instance of SourceEstimate
            The true amplitudes along the normals in A m, at the vertices of the sources only.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or out of its range.

    References
    ----------
    .. [1] M. Hämäläinen, R. Hari, R. J. Ilmoniemi, J. Knuutila, O. V. Lounasmaa.
       Magnetoencephalography. Reviews of Modern Physics 65, 413-497, 1993.

    Examples
    --------
    >>> from skmxne.datasets import make_recording
    >>> recording = make_recording(n_sources=2)
    >>> recording.evoked.data.shape, recording.stc.data.shape, recording.evoked.nave
    ((64, 151), (2, 151), 60)
    """
    import mne

    _check_number(n_sources, "n_sources", Integral, 1, 6)
    _check_number(n_trials, "n_trials", Integral, 10)
    _check_number(amplitude, "amplitude", Real, 0)
    _check_number(autocorrelation, "autocorrelation", Real, 0, 1, "left")
    rng = check_random_state(random_state)

    with mne.use_log_level("ERROR"):
        montage = mne.channels.make_standard_montage("biosemi64")
        info = mne.create_info(montage.ch_names, 250.0, "eeg").set_montage(montage)
        sphere = mne.make_sphere_model("auto", "auto", info)
        forward = _make_forward(info, sphere)
        fixed = mne.convert_forward_solution(forward, surf_ori=True, force_fixed=True)
        gain = fixed["sol"]["data"]
        times = np.arange(-50, 101) / info["sfreq"]
        sources = _choose_sources(rng, forward, sphere["r0"], n_sources)
        responses = amplitude * _make_responses(rng, times, n_sources)
        trials = _make_trial_noise(rng, gain, n_trials, times.size, autocorrelation)
        trials += gain[:, sources] @ responses
        epochs = mne.EpochsArray(trials, info, tmin=times[0], event_id={"simulated": 1})
        epochs.set_eeg_reference(projection=True).apply_proj().apply_baseline((None, 0))

        left, right = (space["vertno"] for space in forward["src"])
        is_left = sources < left.size
        vertices = [left[sources[is_left]], right[sources[~is_left] - left.size]]
        stc = mne.SourceEstimate(responses, vertices, times[0], 1 / info["sfreq"], "simulated")
        outputs = dict(evoked=epochs.average(), noise_cov=mne.compute_covariance(epochs, tmax=0))
    return _Recording(epochs=epochs, forward=forward, stc=stc, **outputs)


class _Recording(Bunch):
    """A Bunch that prints its names, not all of its contents."""

    def __repr__(self):
        return f"<Simulated recording: {', '.join(sorted(self))}>"


def _check_number(value, name, kind, low, high=np.inf, closed="both"):
    """Raise unless `value` is a finite number of that kind in the interval."""
    check_scalar(value, name, kind, min_val=low, max_val=high, include_boundaries=closed)
    if isinstance(value, bool) or not np.isfinite(value):
        raise ValueError(f"{name} == {value}, must be finite and not a bool.")


def _autoregressive_noise(rng, shape, correlation):
    """Draw a stationary first-order autoregressive process of variance 1 along the last axis."""
    innovations = rng.standard_normal(shape)
    innovations[..., 1:] *= np.sqrt(1 - correlation**2)
    return lfilter([1.0], [1.0, -correlation], innovations, axis=-1)


def _make_forward(info, sphere):
    """Compute the forward solution of a folded cortex in a spherical head."""
    import mne

    hemispheres = [_make_hemisphere(side, sphere["r0"]) for side in ("left", "right")]
    # `mne.setup_source_space` reads surfaces from files only, and needs nibabel for it.
    src = mne.SourceSpaces(hemispheres, dict(working_dir="", command_line=""))
    return mne.make_forward_solution(info, trans=None, src=src, bem=sphere, meg=False)


def _make_hemisphere(side, center):
    """Make one hemisphere of a source space, as `mne.setup_source_space` would return it."""
    from mne.io.constants import FIFF
    from mne.surface import complete_surface_info

    rr, tris = _fold_surface({"left": -1, "right": 1}[side])
    # Within 3 cm of the centre there is white matter: no cortex on that part of the medial wall.
    inuse = np.linalg.norm(rr, axis=1) > 0.03
    surface = complete_surface_info(dict(rr=rr + center, tris=tris), do_neighbor_tri=False)
    use_tris = tris[inuse[tris].all(axis=1)]
    not_computed = ("pinfo", "patch_inds", "dist", "dist_limit", "nearest", "nearest_dist")
    return dict.fromkeys(not_computed) | dict(
        {key: surface[key] for key in ("rr", "nn", "np", "tris", "ntri")},
        type="surf",
        id=FIFF[f"FIFFV_MNE_SURF_{side.upper()}_HEMI"],
        coord_frame=FIFF.FIFFV_COORD_MRI,
        subject_his_id="simulated",
        inuse=inuse.astype(int),
        vertno=np.flatnonzero(inuse),
        nuse=int(inuse.sum()),
        use_tris=use_tris,
        nuse_tri=len(use_tris),
    )


def _fold_surface(sign, n_vertices=3000):
    """Make the vertices (in m from the centre of the head) and triangles of a hemisphere.

    A hull, convex to the side and flat towards the middle, is pulled inwards along narrow sulci, so
    that hemispheres and skull stay apart. The sulci are the zeros of a sum of plane waves.
    """
    unit = _golden_spiral(n_vertices)
    hull = unit * [0.053, 0.072, 0.057]
    hull[hull[:, 0] * sign < 0, 0] *= 0.15
    inner_point = np.array([0.011 * sign, 0, 0.014])

    waves = _golden_spiral(40) * 2 * np.pi / 0.045
    field = np.cos((hull + inner_point) @ waves.T + np.arange(40) ** 2).sum(axis=1) / np.sqrt(20)
    depth = 0.22 * np.exp(-((field / 0.45) ** 2))

    tris = ConvexHull(unit).simplices
    inwards = np.linalg.det(unit[tris]) < 0
    tris[inwards] = tris[inwards, ::-1]
    return hull * (1 - depth)[:, np.newaxis] + inner_point, tris


def _golden_spiral(n_points):
    """Spread points evenly over the unit sphere."""
    z = 1 - (2 * np.arange(n_points) + 1) / n_points
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(n_points)
    return np.column_stack([*(np.sqrt(1 - z**2) * [np.cos(angle), np.sin(angle)]), z])


def _choose_sources(rng, forward, center, n_sources):
    """Draw positions 2 to 3 cm below the scalp, 4 cm apart, left and right in turn."""
    position = forward["source_rr"]
    radius = np.linalg.norm(position - center, axis=1)
    # The field of the underside reaches the face and the neck, where there are no electrodes.
    allowed = (radius > 0.065) & (radius < 0.075) & (position[:, 2] > center[2])
    is_right = np.arange(len(position)) >= forward["src"][0]["nuse"]
    sources = []
    for k in range(n_sources):
        source = rng.choice(np.flatnonzero(allowed & (is_right == k % 2)))
        allowed &= np.linalg.norm(position - position[source], axis=1) > 0.04
        sources.append(source)
    return np.sort(sources)


def _make_responses(rng, times, n_sources):
    """Make waves with a peak of 1 or -1, one after the other, at 100 to 250 ms."""
    latency = np.linspace(0.1, 0.25, n_sources)[rng.permutation(n_sources), np.newaxis]
    width = rng.uniform(0.02, 0.03, (n_sources, 1))
    frequency = rng.uniform(5, 10, (n_sources, 1))
    delay = times - latency
    waves = np.exp(-((delay / width) ** 2) / 2) * np.cos(2 * np.pi * frequency * delay)
    waves *= (times > 0) * rng.choice([-1, 1], (n_sources, 1))
    return waves / np.abs(waves).max(axis=1, keepdims=True)


def _make_trial_noise(rng, gain, n_trials, n_times, autocorrelation):
    """Draw 5 uV of activity of the whole cortex and 1 uV of sensor noise, in V."""
    cortex = gain @ gain.T
    cortex *= 5e-6**2 / np.diag(cortex).mean()
    mixing = np.linalg.cholesky(cortex + 1e-6**2 * np.eye(len(gain)))
    return mixing @ _autoregressive_noise(rng, (n_trials, len(gain), n_times), autocorrelation)
