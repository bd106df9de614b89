"""Recordings whose sources are known, and how near the sources found are to these."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import mne
import numpy as np
from scipy.spatial.distance import cdist

from skmxne import InverseProblem
from skmxne.datasets import make_recording

# How near, in m, a source has to be found.
NEAR = 0.01
# Between two sources, in m.
APART = 0.04
# Of the amplitude of a source, in A m.
AMPLITUDES = (20e-9, 60e-9)
# Folds of trials.
N_FOLDS = 5


@dataclass(frozen=True)
class Scenario:
    """What is simulated, and the orientation that it is localized with.

    Sources flow along the normals of the cortex; the positions that can be found are a part of all
    (every third of the recorded gain, every second of the built-in one), to save time.
    """

    name: str
    gain: str = "recorded"
    loose: float = 0.0
    n_sources: int = 3
    n_trials: int = 40
    patch: float = 0.0  # radius in m; 0: points
    low_passed: bool = False  # at 40 Hz
    wrong_covariance: bool = False
    off_grid: bool = False  # sources at any position, not only at those that can be found


SCENARIOS = (
    Scenario("3 points, 40 trials, white noise"),
    Scenario("1 point", n_sources=1),
    Scenario("5 points", n_sources=5),
    Scenario("5 trials", n_trials=5),
    Scenario("160 trials", n_trials=160),
    Scenario("patches of 2 cm", patch=0.01),
    Scenario("loose 0.2", loose=0.2),
    Scenario("points between the positions", off_grid=True),
    Scenario("low-passed", low_passed=True),
    Scenario("low-passed, 5 trials", low_passed=True, n_trials=5),
    Scenario("low-passed, 160 trials", low_passed=True, n_trials=160),
    Scenario("low-passed, patches", low_passed=True, patch=0.01),
    Scenario("low-passed, loose 0.2", low_passed=True, loose=0.2),
    Scenario("wrong covariance", wrong_covariance=True),
    Scenario("wrong covariance, low-passed", wrong_covariance=True, low_passed=True),
    Scenario("EEG", gain="built-in"),
    Scenario("EEG, loose 0.2", gain="built-in", loose=0.2),
    Scenario("EEG, low-passed", gain="built-in", low_passed=True),
    Scenario("EEG, low-passed, 10 trials", gain="built-in", low_passed=True, n_trials=10),
)


@dataclass
class Recording:
    """A simulated average, in the objects that it is localized with, and the truth."""

    evoked: mne.Evoked
    forward: mne.Forward
    noise_cov: mne.Covariance
    problem: InverseProblem  # with folds of trials
    locations: np.ndarray  # (n_sources, 3), in m
    amplitudes: np.ndarray = field(repr=False)  # (n_sources,), peaks in A m

    def judge(self, coef):
        """Judge coefficients of shape (n_targets, n_features), dense or sparse.

        Returns
        -------
        judgement : dict
            ``f1`` of precision (sources found that are near a true one) and recall (true sources
            with one that was found near them), ``distance`` in mm (median over true sources of the
            distance to the nearest found), ``amplitude`` (median relative error of the peak of the
            nearest found, of those that are near), and the number of ``positions``.
        """
        return self.judge_dipoles(self.problem.to_dipoles(coef))

    def judge_dipoles(self, dipoles):
        """Judge a list of `mne.Dipole`, as `judge` does."""
        if not dipoles:
            return dict(f1=0.0, distance=np.nan, amplitude=np.nan, positions=0)
        found = np.array([dipole.pos[0] for dipole in dipoles])
        peaks = np.array([np.abs(dipole.amplitude).max() for dipole in dipoles])
        distances = cdist(self.locations, found)
        nearest, reached = distances.argmin(axis=1), distances.min(axis=1)
        recall = np.mean(reached < NEAR)
        precision = np.mean(distances.min(axis=0) < NEAR)
        errors = np.abs(peaks[nearest] / self.amplitudes - 1.0)[reached < NEAR]
        return dict(
            f1=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
            distance=1e3 * np.median(reached),
            amplitude=np.median(errors) if len(errors) else np.nan,
            positions=len(dipoles),
        )


@cache
def load_gain(gain, folder):
    """Return an average as a template, all of a forward solution, the part to use, the noise."""
    if gain == "built-in":
        recording = make_recording()
        evoked, forward, noise_cov = recording.evoked, recording.forward, recording.noise_cov
        step = 2
    else:
        evoked, *_ = mne.read_evokeds(Path(folder) / "sample-auditory-ave.fif")
        evoked.pick("meg").crop(-0.2, 0.2)
        forward = mne.read_forward_solution(Path(folder) / "sample-cortex-7783-fwd.fif")
        noise_cov = mne.read_cov(Path(folder) / "sample-cov.fif")
        step = 3
    fixed = mne.convert_forward_solution(forward, surf_ori=True, force_fixed=True)
    vertices = [space["vertno"][::step] for space in forward["src"]]
    part = mne.SourceEstimate(np.zeros((sum(map(len, vertices)), 1)), vertices, 0, 1)
    return evoked, fixed, mne.forward.restrict_forward_to_stc(forward, part), noise_cov


def simulate(scenario, seed, folder):
    """Simulate a recording, and prepare its inverse problem.

    Parameters
    ----------
    scenario : Scenario
        What to simulate.
    seed : int
        Determines sources and noise.
    folder : str
        Where the recorded gain is.

    Returns
    -------
    recording : Recording
        The recording.
    """
    rng = np.random.default_rng(seed)
    template, fixed, forward, noise_cov = load_gain(scenario.gain, folder)
    evoked = template.copy()
    evoked.nave = scenario.n_trials
    names = [name for name in evoked.ch_names if name not in evoked.info["bads"]]
    evoked.pick([name for name in names if name in fixed["sol"]["row_names"]])
    rows = [fixed["sol"]["row_names"].index(name) for name in evoked.ch_names]
    gain, positions = fixed["sol"]["data"][rows], fixed["source_rr"]

    can_be_found = np.flatnonzero(cdist(positions, forward["source_rr"]).min(axis=1) < 1e-6)
    sources = _draw_sources(rng, scenario, gain, positions, can_be_found)
    window = (0.05, 0.15) if scenario.gain == "recorded" else (0.05, 0.35)
    time_courses = rng.uniform(*AMPLITUDES, (scenario.n_sources, 1))
    time_courses = time_courses * _draw_time_courses(rng, evoked.times, scenario.n_sources, window)
    patches = [_find_patch(fixed, source, scenario.patch) for source in sources]
    signal = np.array([gain[:, patch].mean(axis=1) for patch in patches]).T @ time_courses

    root = _root(mne.pick_channels_cov(noise_cov, evoked.ch_names, ordered=True).data)
    noise = np.array(
        [_draw_noise(rng, evoked, root, scenario.low_passed) for _ in range(N_FOLDS)]
    ) / np.sqrt(scenario.n_trials / N_FOLDS)
    if scenario.wrong_covariance:
        noise_cov = _estimate(rng, root, noise_cov, evoked.ch_names)

    def make_evoked(data):
        new = evoked.copy()
        new.data = data
        return new.apply_proj().apply_baseline((None, 0)).crop(*window)

    average = make_evoked(signal + noise.mean(axis=0))
    problem = InverseProblem.from_evoked(
        average, forward, noise_cov, loose=scenario.loose, depth=0.8
    )
    whiten = problem.whitener * np.sqrt(scenario.n_trials)
    problem.y_folds = np.array([whiten @ make_evoked(signal + one).data for one in noise])
    problem.fold_weights = np.full(N_FOLDS, 1 / N_FOLDS)
    inside = (template.times >= window[0]) & (template.times <= window[1])
    return Recording(
        evoked=average,
        forward=forward,
        noise_cov=noise_cov,
        problem=problem,
        locations=positions[sources],
        amplitudes=np.abs(time_courses[:, inside]).max(axis=1),
    )


def _draw_sources(rng, scenario, gain, positions, can_be_found):
    """Draw positions apart from one another, but for the quarter whose field is weakest."""
    norms = np.linalg.norm(gain / np.linalg.norm(gain, axis=1, keepdims=True), axis=0)
    allowed = norms > np.quantile(norms, 0.25)
    if not scenario.off_grid:
        allowed &= np.isin(np.arange(len(positions)), can_be_found)
    sources = []
    for _ in range(scenario.n_sources):
        sources.append(rng.choice(np.flatnonzero(allowed)))
        allowed &= np.linalg.norm(positions - positions[sources[-1]], axis=1) > APART
    return np.array(sources)


def _find_patch(fixed, source, radius):
    """Return the positions around a source on the same wall of the cortex."""
    near = np.linalg.norm(fixed["source_rr"] - fixed["source_rr"][source], axis=1) < radius
    near &= fixed["source_nn"] @ fixed["source_nn"][source] > 0.3
    near[source] = True
    return np.flatnonzero(near)


def _draw_time_courses(rng, times, n_sources, window):
    """Draw waves of 5 to 12 Hz with a peak of 1, one after the other in the window."""
    length = window[1] - window[0]
    latencies = window[0] + length * np.linspace(0.2, 0.8, max(n_sources, 2))
    latencies = rng.permutation(latencies)[:n_sources, np.newaxis]
    widths = length * rng.uniform(0.15, 0.3, (n_sources, 1))
    delays = times - latencies
    waves = np.cos(2 * np.pi * rng.uniform(5, 12, (n_sources, 1)) * delays)
    waves *= np.exp(-((delays / widths) ** 2) / 2) * (times > 0)
    return waves / np.abs(waves).max(axis=1, keepdims=True)


def _draw_noise(rng, evoked, root, low_passed):
    """Draw noise of the channels of one trial, white in time or low-passed."""
    margin = 200
    noise = rng.standard_normal((root.shape[1], evoked.times.size + 2 * margin))
    if low_passed:
        noise = mne.filter.filter_data(noise, evoked.info["sfreq"], None, 40.0)
        noise /= noise[:, margin:-margin].std()
    return root @ noise[:, margin:-margin]


def _root(covariance):
    """Return a matrix whose product with its transpose is the covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.clip(values, 0.0, None))


def _estimate(rng, root, noise_cov, ch_names):
    """Estimate a covariance from twice as many samples as there are channels."""
    n_samples = 2 * len(ch_names)
    noise = root @ rng.standard_normal((root.shape[1], n_samples))
    return mne.Covariance(
        noise @ noise.T / n_samples, ch_names, bads=[], projs=noise_cov["projs"], nfree=n_samples
    )
