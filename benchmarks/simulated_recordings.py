"""Simulate recordings with known sources, as arrays and as objects of MNE.

A recording has 50 trials of 0.1 s. The gain is that of a recorded subject (``SKMXNE_SAMPLE_DIR``
names its folder), with all positions; without the folder it is that of the built-in head. Unless
`KINDS` says otherwise, sources are points of 30 nAm on positions of the inversion, currents flow
along the normals of the cortex, and the forward solution and the noise covariance are exact.
"""

import os
from functools import cache

import mne
import numpy as np
from recorded import read_recording

from skmxne import InverseProblem
from skmxne.datasets import make_recording

N_TRIALS = 50
SFREQ = 600.6
TIMES = np.arange(61) / SFREQ
KINDS = {
    "a": "1 to 4 sources, white noise",
    "b": "noise low-passed at 40 Hz",
    "c1": "sources halfway between two positions",
    "c2": "every third position, sources at others",
    "d": "all with the same time course",
    "e": "two sources 15 to 25 mm apart",
    "f": "patches of 1 cm, 60 nAm",
    "g": "tilted by 20 degrees, loose 0.2",
    "h": "10 nAm instead of 30",
    "i": "200 weak brain sources in the noise",
    "j": "another head model, head 3 mm and 2 degrees off",
    "n": "head 3 mm off",
    "k": "EEG",
    "l": "EEG, skull 3 times as conductive as assumed",
    "m": "EEG, electrodes 3 mm off",
    "o": "EEG, built-in head",
    "p": "noise covariance estimated from 0.1 s of 50 trials",
    "0": "white noise alone",
    "0b": "low-passed noise alone",
    "0c": "white noise alone, covariance estimated from 0.1 s of 50 trials",
}
# What is inverted. Other kinds invert the recorded subject's MEG and boundary element model if the
# folder is there, and the built-in head if not.
DEFAULT_HEAD = "meg" if os.environ.get("SKMXNE_SAMPLE_DIR") else "built-in"
HEADS = {
    "j": "meg",
    "n": "meg, sphere",
    "k": "eeg",
    "l": "eeg, sphere",
    "m": "eeg, sphere",
    "o": "built-in",
}
SPHERE = dict(r0=(0.0, 0.0, 0.04), head_radius=None)
SIGMAS = (0.33, 1.0, 0.004, 0.33)  # brain, fluid, skull, scalp, in S/m


class Recording:
    """Whitened data and gain, and the true sources.

    `X` has the weights for depth and for loose orientation, like `InverseProblem`.
    """

    def __init__(self, gain, n_orient, y, locations, sources, amplitude=0.0, head="meg"):
        self.X = np.asfortranarray(gain * _weight(gain, n_orient))
        self.n_orient, self.y = n_orient, y
        self.locations, self.sources, self.amplitude = locations, sources, amplitude
        self.head, self.is_coarse, self.whiten = head, False, None

    def find_active(self, model):
        """Return the active positions of a model."""
        return np.flatnonzero(model.active_set_.reshape(-1, self.n_orient).any(axis=1))

    def to_mne(self):
        """Return the average, the forward solution and the noise covariance of single trials."""
        problem, info, forward, noise_cov = load_problem(self.head)
        noise_cov = mne.pick_channels_cov(noise_cov, problem.ch_names, ordered=True)
        y, to_sensors = self.y, np.linalg.pinv(problem.whitener)
        if self.whiten is not None:
            unwhiten = np.linalg.inv(self.whiten)
            y, added = unwhiten @ y, unwhiten @ unwhiten.T - np.eye(len(y))
            noise_cov["data"] = noise_cov.data + to_sensors @ added @ to_sensors.T
        evoked = mne.EvokedArray(to_sensors @ y / np.sqrt(N_TRIALS), info, nave=N_TRIALS)
        if self.is_coarse:
            forward = keep_positions(forward, np.arange(forward["nsource"]) % 3 == 0)
        return evoked, forward, noise_cov


def _weight(gain, n_orient, depth=0.8, loose=0.2):
    """Return the weights for depth and, with three orientations, for loose orientation."""
    powers = np.sum(gain**2, axis=0).reshape(-1, n_orient).sum(axis=1)
    weights = np.repeat(powers ** (-depth / 2), n_orient)
    if n_orient == 3:
        weights *= np.tile(np.sqrt([loose, loose, 1.0]), len(powers))
    return weights


@cache
def load_problem(head="meg"):
    """Return a loose inverse problem without depth weights, and what it was made from."""
    if head == "built-in":
        recording = make_recording()
        evoked, forward, noise_cov = recording.evoked, recording.forward, recording.noise_cov
    else:
        evoked, forward, noise_cov = read_recording()
        evoked.pick(head.partition(",")[0])
        if head.startswith("eeg"):
            evoked.set_eeg_reference(projection=True)
        if head.endswith("sphere"):
            forward = compute_forward(evoked.info, forward)
            norms = np.linalg.norm(forward["sol"]["data"], axis=0).reshape(-1, 3).max(axis=1)
            forward = keep_positions(forward, norms > 1e-3 * np.median(norms))
    problem = InverseProblem.from_evoked(evoked, forward, noise_cov, loose=0.2, depth=None)
    return problem, evoked.pick(problem.ch_names).info, forward, noise_cov


@cache
def load_head(head="meg"):
    """Return the whitened gain with three orientations, the positions, and their normals."""
    problem, *_ = load_problem(head)
    normals = problem.forward["source_nn"].reshape(-1, 3, 3)[:, 2]
    return problem.X / problem.source_scale, problem.locations, normals


def keep_positions(forward, is_kept):
    """Return the forward solution of some positions."""
    split = np.split(is_kept, np.cumsum([space["nuse"] for space in forward["src"]])[:-1])
    pairs = zip(forward["src"], split, strict=True)
    vertices = [space["vertno"][kept] for space, kept in pairs]
    part = mne.SourceEstimate(np.zeros((is_kept.sum(), 1)), vertices, 0, 1)
    return mne.forward.restrict_forward_to_stc(forward, part)


def compute_forward(info, forward, sigmas=SIGMAS):
    """Compute the forward solution of a sphere model at the positions of ``forward``."""
    has_eeg = "eeg" in info.get_channel_types()
    sphere = SPHERE
    if has_eeg:
        sphere = dict(r0="auto", head_radius="auto", info=info, sigmas=sigmas)
    return mne.make_forward_solution(
        info,
        trans=forward["mri_head_t"],
        src=forward["src"],
        bem=mne.make_sphere_model(**sphere),
        meg=not has_eeg,
        eeg=has_eeg,
        mindist=0.0,
    )


def compute_gain(problem, info, forward, sigmas=SIGMAS):
    """Compute the gain of a sphere model; the third orientation is the normal."""
    sphere = mne.convert_forward_solution(compute_forward(info, forward, sigmas), surf_ori=True)
    return mne.pick_channels_forward(sphere, problem.ch_names, ordered=True)["sol"]["data"]


def move_head(info, direction=(1.0, 1.0, 1.0), degrees=(2.0, 0.0, 0.0)):
    """Move the head by 3 mm and turn it about three axes, relative to the MEG sensors."""
    info = info.copy()
    moved = mne.transforms.rotation(*np.deg2rad(degrees))
    moved[:3, 3] = 0.003 * np.array(direction) / np.linalg.norm(direction)
    info["dev_head_t"]["trans"] = moved @ info["dev_head_t"]["trans"]
    return info


def move_electrodes(info, rng):
    """Move each electrode by 3 mm in a random direction."""
    info = info.copy()
    for channel in info["chs"]:
        channel["loc"][:3] += 0.003 * _draw_direction(rng)
    return info


def _draw_direction(rng):
    step = rng.standard_normal(3)
    return step / np.linalg.norm(step)


@cache
def load_sphere(*, is_moved=True):
    """Return the MEG gain of a sphere model, not whitened; the third orientation is the normal."""
    problem, info, forward, _ = load_problem()
    return compute_gain(problem, move_head(info) if is_moved else info, forward)


def draw_fields(rng, kind, sources):
    """Return the whitened fields of sources by another forward solution than the inversion's."""
    problem, info, forward, _ = load_problem(HEADS[kind])
    if kind == "j":
        return problem.whitener @ load_sphere()[:, 3 * np.array(sources) + 2]
    sigmas = SIGMAS
    if kind == "n":
        info = move_head(info, _draw_direction(rng), degrees=np.zeros(3))
    elif kind == "m":
        info = move_electrodes(info, rng)
    else:
        sigmas = (0.33, 1.0, 0.012, 0.33)
    part = keep_positions(forward, np.isin(np.arange(forward["nsource"]), sources))
    gain = problem.whitener @ compute_gain(problem, info, part, sigmas)[:, 2::3]
    return gain[:, np.argsort(np.argsort(sources))]  # positions are in ascending order


def simulate(kind, seed, is_loose=False, amplitude=30e-9):
    """Simulate a recording of a kind. Orientations are loose for kind g, or if ``is_loose``."""
    rng = np.random.default_rng([*kind.encode(), seed])
    head = HEADS.get(kind, DEFAULT_HEAD)
    gain, locations, normals = load_head(head)
    along_normals = gain[:, 2::3]
    sources = draw_sources(rng, kind, locations, along_normals)
    fields, truth = along_normals[:, sources], locations[sources]
    if kind == "c1":
        mates = [_find_mate(rng, source, locations, normals) for source in sources]
        fields = (fields + along_normals[:, mates]) / 2
        truth = (truth + locations[mates]) / 2
    elif kind == "f":
        patches = [_find_patch(source, locations, normals) for source in sources]
        fields = np.transpose([along_normals[:, patch].mean(axis=1) for patch in patches])
    elif kind == "g":
        fields = np.transpose([gain[:, 3 * k : 3 * k + 3] @ _tilt(rng) for k in sources])
    elif kind in ("j", "l", "m", "n"):
        fields = draw_fields(rng, kind, sources)
    amplitude = {"f": 2 * amplitude, "h": amplitude / 3}.get(kind, amplitude)
    courses = draw_time_courses(rng, len(sources), is_same=kind == "d")
    signal = np.sqrt(N_TRIALS) * amplitude * fields @ courses
    noise = draw_noise(rng, len(gain), is_low_passed=kind in ("b", "0b"))
    is_loose |= kind == "g"
    used, n_orient = (gain, 3) if is_loose else (along_normals, 1)
    whiten = None
    if kind == "c2":
        used = used.reshape(len(used), -1, n_orient)[:, ::3].reshape(len(used), -1)
        locations = locations[::3]
    elif kind == "i":
        fields_of_brain, whiten = draw_brain_noise(rng, along_normals)
        noise = noise + fields_of_brain @ rng.standard_normal((200, noise.shape[1]))
    elif kind in ("p", "0c"):
        samples = rng.standard_normal((len(gain), N_TRIALS * len(TIMES)))
        whiten = np.linalg.inv(np.linalg.cholesky(samples @ samples.T / samples.shape[1]))
    if whiten is not None:
        signal, noise, used = whiten @ signal, whiten @ noise, whiten @ used
    if kind.startswith("0"):
        signal, truth = 0.0, truth[:0]
    recording = Recording(used, n_orient, signal + noise, locations, truth, amplitude, head)
    recording.is_coarse, recording.whiten = kind == "c2", whiten
    return recording


def draw_sources(rng, kind, locations, gain):
    """Draw 1 to 4 positions at least 4 cm apart, without the tenth that has the weakest field."""
    norms = np.linalg.norm(gain, axis=0)
    allowed = norms > np.quantile(norms, 0.1)
    if kind == "c2":
        allowed &= np.arange(len(locations)) % 3 > 0
    sources = [rng.choice(np.flatnonzero(allowed))]
    distances = np.linalg.norm(locations - locations[sources[0]], axis=1)
    if kind == "e":
        return [
            *sources,
            rng.choice(np.flatnonzero(allowed & (distances > 0.015) & (distances < 0.025))),
        ]
    for _ in range(rng.integers(0, 4)):
        allowed &= distances > 0.04
        sources.append(rng.choice(np.flatnonzero(allowed)))
        distances = np.linalg.norm(locations - locations[sources[-1]], axis=1)
    return sources


def _find_mate(rng, source, locations, normals):
    """Return a neighbour 4 to 9 mm away on the same wall of a sulcus, or else the nearest."""
    distances = np.linalg.norm(locations - locations[source], axis=1)
    is_alike = normals @ normals[source] > 0.8
    mates = np.flatnonzero((distances > 0.004) & (distances < 0.009) & is_alike)
    return rng.choice(mates) if len(mates) else np.argsort(distances)[1]


def _find_patch(source, locations, normals):
    """Return the positions within 1 cm on the same wall of a sulcus."""
    distances = np.linalg.norm(locations - locations[source], axis=1)
    return np.flatnonzero((distances < 0.01) & (normals @ normals[source] > 0.0))


def _tilt(rng, angle=20.0):
    """Return a random orientation at ``angle`` degrees to the normal."""
    tilt, turn = np.deg2rad(angle), rng.uniform(0, 2 * np.pi)
    return np.array([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)])


def draw_time_courses(rng, n_sources, is_same):
    """Draw waves of 5 to 12 Hz with a peak of 1, centred at different times of the window."""
    latencies = TIMES[-1] * np.linspace(0.2, 0.8, max(n_sources, 2))
    delays = TIMES - rng.permutation(latencies)[:n_sources, np.newaxis]
    widths = TIMES[-1] * rng.uniform(0.15, 0.3, (n_sources, 1))
    waves = np.cos(2 * np.pi * rng.uniform(5, 12, (n_sources, 1)) * delays)
    waves *= np.exp(-((delays / widths) ** 2) / 2)
    waves /= np.abs(waves).max(axis=1, keepdims=True)
    return np.tile(waves[0], (n_sources, 1)) if is_same else waves


def draw_noise(rng, n_rows, *, is_low_passed=False, band=None):
    """Draw noise of variance 1."""
    margin = 200 if band is None else 1000
    noise = rng.standard_normal((n_rows, len(TIMES) + 2 * margin))
    if is_low_passed or band:
        noise = mne.filter.filter_data(noise, SFREQ, *(band or (None, 40.0)))
        noise /= noise[:, margin:-margin].std()
    return noise[:, margin:-margin]


def draw_drifts(rng, n_rows):
    """Draw slow drifts: random walks over the window, with mean square 1."""
    walks = np.cumsum(rng.standard_normal((n_rows, len(TIMES))), axis=1)
    return walks / np.sqrt(np.mean(walks**2))


@cache
def compute_noise_covariance(kind):
    """Compute the covariance of the noise over time, as trials show it."""
    if kind != "b":
        return np.eye(len(TIMES))
    noise = draw_noise(np.random.default_rng(0), 10_000, is_low_passed=True)
    return noise.T @ noise / len(noise)


def draw_brain_noise(rng, gain, n_sources=200):
    """Return fields of correlated sources, with half the power of sensor noise, and a whitener."""
    mixing = np.eye(n_sources) + 0.3 * rng.standard_normal((n_sources, n_sources))
    mixing /= np.linalg.norm(mixing, axis=1, keepdims=True)
    fields = gain[:, rng.choice(gain.shape[1], n_sources, replace=False)] @ mixing
    fields *= np.sqrt(0.5 * len(gain) / np.sum(fields**2))
    return fields, np.linalg.inv(np.linalg.cholesky(np.eye(len(gain)) + fields @ fields.T))
