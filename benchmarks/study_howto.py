"""Small simulations: the numbers on the pages about windows, about methods and about results.

``python benchmarks/study_howto.py`` prints a table for each part, and ``--parts windows moving``
for these parts only:

- ``windows``: how often one weak source is found in windows of several lengths;
- ``components``: three sources, one after the other, in one window or in one window each;
- ``moving``: a source that moves by 4 cm;
- ``patches``: currents that are uniform within some distance of a point;
- ``two_sources``: two sources, at the same time or not, by several methods;
- ``recorded``: the response to a tone, in several windows and with fewer times. This part needs the
  environment variable ``SKMXNE_SAMPLE_DIR``, the folder with the data of MNE's subject "sample".

A source is found if the model has a position within 20 mm of it.
"""

import argparse
import os
import warnings

import mne
import numpy as np
import pandas as pd
from recorded import read_recording
from scipy.spatial.distance import cdist
from simulated_recordings import keep_positions
from sklearn.utils import Bunch
from study_selection import find_peaks

from skmxne import InverseProblem, MixedNormIC
from skmxne.datasets import make_recording

NEAR = 20  # mm
NOISES = {
    "white, 10 nAm": dict(amplitude=10e-9, autocorrelation=0),
    "low-passed, 15 nAm": dict(amplitude=15e-9, autocorrelation=0.8),
}
LENGTHS = (0, 24, 48, 104, 200, 400, 600)  # ms; windows around 100 ms from sample to sample
COMPONENTS = ((8, 50e-9, "50 to 350 ms"), (20, 15e-9, "50 to 350 ms"), (20, 15e-9, "70 ms each"))
RECORDED = ((1, 0.07, 0.12), (1, 0.05, 0.15), (1, 0.0, 0.3), (1, 0.0, 0.5), (6, 0.05, 0.15))


def main():
    """Run the parts, one after the other."""
    studies = [study_windows, study_components, study_moving, study_patches, study_two_sources]
    if "SKMXNE_SAMPLE_DIR" in os.environ:
        studies.append(study_recorded)
    parts = {study.__name__.removeprefix("study_"): study for study in studies}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    mne.set_log_level("ERROR")
    warnings.simplefilter("ignore")
    for part in parser.parse_args().parts:
        print(f"\n{part}\n{parts[part]().to_string(index=False)}", flush=True)


def localize(recording, tmin, tmax, loose=0.2):
    """Return the inverse problem of a window, and its model by the default criterion."""
    data = recording.evoked, recording.forward, recording.noise_cov
    problem = InverseProblem.from_evoked(*data, loose=loose, tmin=tmin, tmax=tmax)
    return problem, MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)


def find_sources(recording, tmin, tmax):
    """Return the true positions of a recording and those found in a window, in mm."""
    problem, model = localize(recording, tmin, tmax)
    return 1e3 * problem.find_locations(recording.stc), 1e3 * problem.find_locations(model)


def measure(places, others):
    """Return the distance of each place to the nearest one of the others."""
    return cdist(places, others).min(axis=1, initial=np.inf)


def summarize(rows, by):
    """Summarize rows with the same values of some columns: count, or smallest to largest value."""

    def summarize_column(values):
        return values.sum() if values.dtype == bool else f"{values.min():.0f} to {values.max():.0f}"

    return pd.DataFrame(rows).groupby(by, sort=False).agg(summarize_column).reset_index()


def study_windows():
    """Count the recordings, of 40 with one weak source, in which it is found."""
    rows = []
    for noise, options in NOISES.items():
        for seed in range(40):
            recording = make_recording(1, **options, random_state=seed)
            rows.append({"noise": noise})
            for length in LENGTHS:
                true, found = find_sources(recording, 0.1 - length / 2e3, 0.1 + length / 2e3)
                rows[-1][f"{length} ms"] = measure(true, found)[0] < NEAR
    return summarize(rows, "noise")


def study_components():
    """Count the sources found, of three in each recording, in one window or in 70 ms each."""
    rows = []
    for n_recordings, amplitude, window in COMPONENTS:
        distances, n_wrong = [], 0
        for seed in range(n_recordings):
            options = dict(amplitude=amplitude, autocorrelation=0.8, random_state=seed)
            recording = make_recording(3, **options)
            windows = [(0.05, 0.35, [0, 1, 2])]  # with the sources to be found
            if window == "70 ms each":
                peaks = recording.stc.times[np.abs(recording.stc.data).argmax(axis=1)]
                windows = [(peak - 0.035, peak + 0.035, [k]) for k, peak in enumerate(peaks)]
            for tmin, tmax, sources in windows:
                true, found = find_sources(recording, tmin, tmax)
                distances.extend(measure(true[sources], found))
                n_wrong += np.sum(measure(found, true) >= NEAR)
        near = [distance for distance in distances if distance < NEAR]
        row = {"recordings": n_recordings, "nAm": 1e9 * amplitude, "window": window}
        row |= {"sources": len(distances), "found": len(near), "within (mm)": max(near)}
        rows.append(row | {"not there": n_wrong})
    return pd.DataFrame(rows).round()


def add_response(recording, moments):
    """Add the field of moments (positions, 3, times; in A m) to all trials."""
    gain, epochs = recording.forward["sol"]["data"], recording.epochs
    field = np.tensordot(gain.reshape(len(gain), -1, 3), moments, axes=2)
    trials = epochs.get_data(copy=True) + field - field.mean(axis=0)
    epochs = mne.EpochsArray(trials, epochs.info, tmin=epochs.tmin, baseline=epochs.baseline)
    return Bunch(**recording | {"epochs": epochs, "evoked": epochs.average()})


def compute_radial(places):
    """Return the direction of each place from the centre of the head."""
    directions = places - [0, 0, 0.04]
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def compute_peak(times, latency):
    """Return a response of about 60 ms that has its peak, of height 1, at a latency."""
    return np.exp(-(((times - latency) / 0.025) ** 2) / 2) * (times > 0)


def find_true_positions(recording):
    """Return the numbers of the true positions in the forward solution."""
    problem = InverseProblem.from_evoked(recording.evoked, recording.forward, recording.noise_cov)
    true = problem.find_locations(recording.stc)
    return cdist(true, recording.forward["source_rr"]).argmin(axis=1)


def study_moving():
    """Localize a source that moves by 4 cm from 50 to 150 ms; return a row for each one found."""
    rows = []
    for seed in range(3):
        recording = make_recording(1, amplitude=0, random_state=seed)
        places, times = recording.forward["source_rr"], recording.evoked.times
        is_usable = np.linalg.norm(places - places.mean(axis=0), axis=1) > 0.055
        is_usable &= places[:, 2] > 0.05
        is_usable[recording.forward["src"][0]["nuse"] :] = False  # the left hemisphere only
        usable = np.flatnonzero(is_usable)
        start = places[np.random.default_rng(seed).choice(usable)]
        distances = np.linalg.norm(places[usable] - start, axis=1)
        end = places[usable[np.abs(distances - 0.04).argmin()]]
        when = np.flatnonzero((times >= 0.05) & (times <= 0.15))
        path = start + np.linspace(0, 1, when.size)[:, np.newaxis] * (end - start)
        nearest = usable[cdist(path, places[usable]).argmin(axis=1)]
        moments = np.zeros((*places.shape, times.size))
        moments[nearest, :, when] = 50e-9 * compute_radial(places[nearest])
        problem, model = localize(add_response(recording, moments), 0.05, 0.15, loose=1)
        table = problem.to_data_frame(model).sort_values("latency_ms")
        ends = cdist(table[["x_mm", "y_mm", "z_mm"]], 1e3 * np.stack([start, end]))
        table = table[["latency_ms"]].assign(mm_from_start=ends[:, 0], mm_from_end=ends[:, 1])
        rows.append(table.assign(recording=seed))
    return pd.concat(rows).round()


def study_patches():
    """Localize radial currents, of 100 nAm in all, that are uniform near a point."""
    rows = []
    for radius in (0, 20, 30):
        for seed in range(6):
            recording = make_recording(1, amplitude=0, random_state=seed)
            places, times = recording.forward["source_rr"], recording.evoked.times
            (center,) = find_true_positions(recording)
            is_left = np.arange(len(places)) < recording.forward["src"][0]["nuse"]
            is_active = np.linalg.norm(places - places[center], axis=1) <= 1e-3 * radius + 1e-9
            is_active &= is_left == is_left[center]
            currents = 100e-9 / is_active.sum() * is_active[:, np.newaxis] * compute_radial(places)
            moments = np.multiply.outer(currents, compute_peak(times, 0.12))
            problem, model = localize(add_response(recording, moments), 0.05, 0.2, loose=1)
            table = problem.to_data_frame(model, confidence=problem.compute_confidence(model))
            distance = measure(1e3 * places[[center]], 1e3 * problem.find_locations(model))[0]
            row = {"radius (mm)": radius, "sources": len(table), "from the centre (mm)": distance}
            rows.append(row | {"region (mm)": table["radius_mm"].max()})
    return summarize(rows, "radius (mm)")


def study_two_sources():
    """Count the recordings, of 8, in which a method finds both sources, and how far from them."""
    rows = []
    for courses, latency in {"the same": 0.12, "80 ms apart": 0.2}.items():
        for seed in range(8):
            recording = make_recording(2, amplitude=0, random_state=seed)
            forward, times = recording.forward, recording.evoked.times
            fixed = mne.convert_forward_solution(forward, surf_ori=True, force_fixed=True)
            sources = find_true_positions(recording)
            peaks = np.stack([compute_peak(times, 0.12), compute_peak(times, latency)])
            moments = np.zeros((forward["nsource"], 3, times.size))
            moments[sources] = 50e-9 * np.einsum("sd,st->sdt", fixed["source_nn"][sources], peaks)
            results = apply_methods(add_response(recording, moments))
            for method, (found, remark) in results.items():
                distances = measure(1e3 * forward["source_rr"][sources], found)
                row = {"time courses": courses, "method": method}
                row |= {"both found": bool(distances.max() < NEAR), "number or gof (%)": remark}
                rows.append(row | {"nearer (mm)": distances.min(), "farther (mm)": distances.max()})
    return summarize(rows, ["time courses", "method"])


def apply_methods(recording, tmin=0.05, tmax=0.3):
    """Return, by method, the places found and their number; of one dipole the goodness of fit.

    The methods get every second position of each hemisphere.
    """
    numbers = [np.arange(space["nuse"]) for space in recording.forward["src"]]
    forward = keep_positions(recording.forward, np.concatenate(numbers) % 2 == 0)
    epochs, evoked, noise_cov = recording.epochs, recording.evoked, recording.noise_cov
    problem, model = localize(Bunch(**recording | {"forward": forward}), tmin, tmax)
    found = {"MxNE": problem.find_locations(model)}
    response = evoked.copy().crop(tmin, tmax)
    for number in (2, 4):
        dipoles = mne.beamformer.rap_music(response, forward, noise_cov, n_dipoles=number)
        found[f"RAP-MUSIC, {number}"] = np.stack([dipole.pos[0] for dipole in dipoles])
    inverse = mne.minimum_norm.make_inverse_operator(evoked.info, forward, noise_cov, loose=0.2)
    options = dict(pick_ori="max-power", weight_norm="unit-noise-gain-invariant")
    options |= dict(noise_cov=mne.compute_covariance(epochs, tmax=0), rank=dict(eeg=63))
    data_cov = mne.compute_covariance(epochs, tmin=tmin, tmax=tmax)
    filters = mne.beamformer.make_lcmv(evoked.info, forward, data_cov, **options)
    maps = {"LCMV": mne.beamformer.apply_lcmv(evoked, filters)}
    for method in ("eLORETA", "dSPM"):
        maps[method] = mne.minimum_norm.apply_inverse(evoked, inverse, 1 / 9, method)
    for method, stc in maps.items():
        found[method], _ = find_peaks(stc.crop(tmin, tmax), problem.locations, 2, apart=0.03)
    results = {method: (1e3 * places, len(places)) for method, places in found.items()}
    sphere = mne.make_sphere_model("auto", "auto", evoked.info)
    dipole, _ = mne.fit_dipole(evoked.copy().crop(0.12, 0.12), noise_cov, sphere)
    return results | {"one dipole": (1e3 * dipole.pos, dipole.gof[0])}


def study_recorded():
    """Localize the response to a tone in the left ear; return a row for each source."""
    recording = read_recording()
    tables = []
    for step, tmin, tmax in RECORDED:
        decimated = recording.evoked.copy().pick("meg").decimate(step)
        problem, model = localize(recording._replace(evoked=decimated), tmin, tmax)
        table = problem.to_data_frame(model, confidence=problem.compute_confidence(model))
        table = (
            table[["x_mm", "y_mm", "z_mm", "radius_mm"]]
            .round()
            .assign(
                p_value=table["p_value"].round(5),
                explained=round(problem.explained_variance(model)),
                noise=round(100 * problem.y.size / np.sum(problem.y**2)),
                window=f"{1e3 * tmin:.0f} to {1e3 * tmax:.0f} ms",
                times=problem.times.size,
                independent=round(model.n_independent_targets_),
            )
        )
        tables.append(table)
    return pd.concat(tables).set_index(["window", "times", "independent"]).reset_index()


if __name__ == "__main__":
    main()
