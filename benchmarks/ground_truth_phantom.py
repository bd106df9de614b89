"""Measure localization errors for the 32 dipoles of the Elekta phantom.

``python benchmarks/ground_truth_phantom.py FOLDER`` prints CSV: a row for each dipole, and one for
the means. FOLDER has the raw file of MNE's data set "bst_phantom_elekta". It was recorded with
Neuromag's phantom, a sphere in which dipoles at known places send bursts of 20 Hz, one at a time.

``MixedNormIC`` localizes the average of each dipole on a volume grid in a sphere, with free
orientation, from 5 ms before to 5 ms after the peak in the first 0.1 s. ``mne.fit_dipole`` fits the
same peak. Columns:

- n_sources: number of sources of the model; 1 is right.
- distance_mm: from the strongest source to the true dipole.
- grid_mm: from the nearest grid position to the true dipole, the smallest possible distance_mm.
- amplitude_error_nAm: peak of the strongest source minus peak of the true dipole. The name of the
  file says 200 nAm from peak to peak, so the true peak is 100 nAm; ``--amplitude`` changes this.
- is_in_region: whether the region of the strongest source contains the grid position nearest to the
  true dipole. region_mm is the distance from the source to the farthest position of its region.
- dipole_fit_mm: from the fitted dipole to the true one.

Without a source, distances and amplitudes are NaN, and the means ignore them. The script was tested
only on artificial files.
"""

import argparse
import sys
from pathlib import Path

import mne
import numpy as np
import pandas as pd
from measuring import print_rows

from skmxne import InverseProblem, MixedNormIC

FILE = "kojak_all_200nAm_pp_no_chpi_no_ms_raw.fif"
MISSING = (
    f"There is no {FILE} in {{folder}}: download MNE's data set bst_phantom_elekta by `python -c "
    '"import mne; print(mne.datasets.brainstorm.bst_phantom_elekta.data_path())"`, which asks for '
    "the licence and prints a folder, and call `python benchmarks/ground_truth_phantom.py` with "
    "this folder."
)
BADS = ["MEG1933", "MEG2421"]
TMIN, BASELINE_END, TMAX = -0.1, -0.05, 0.1  # s; the filter of the device rings from -0.05 s on
HALF_WINDOW = 0.005
RADIUS, CENTRE = 0.08, 0.01  # m; near the centre of a sphere no source has a field


def main():
    """Localize every dipole, and print the errors."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the folder of the raw file")
    parser.add_argument("--spacing", type=float, default=5.0, help="of the grid, in mm (5)")
    parser.add_argument("--amplitude", type=float, default=100.0, help="true peak, in nAm (100)")
    arguments = parser.parse_args()
    if not (arguments.folder / FILE).exists():
        sys.exit(MISSING.format(folder=arguments.folder))
    mne.set_log_level("ERROR")
    epochs = read_epochs(arguments.folder / FILE)
    print_rows(add_means(localize_dipoles(epochs, arguments.spacing, arguments.amplitude)))


def read_epochs(path):
    """Read the trials of all dipoles. The event code is the number of the dipole."""
    raw = mne.io.read_raw_fif(path)
    raw.info["bads"] = BADS
    events = mne.find_events(raw, "STI201")
    numbers = [number for number in range(1, 33) if number in events[:, 2]]
    return mne.Epochs(raw, events, numbers, TMIN, TMAX, baseline=(None, BASELINE_END))


def localize_dipoles(epochs, spacing, amplitude):
    """Yield a row for each dipole."""
    noise_cov = mne.compute_covariance(epochs, tmax=BASELINE_END)
    sphere = mne.make_sphere_model(r0=(0.0, 0.0, 0.0), head_radius=RADIUS)
    src = mne.setup_volume_source_space(
        pos=spacing, sphere=sphere, exclude=1e3 * CENTRE, add_interpolator=False
    )
    forward = mne.make_forward_solution(epochs.info, trans=None, src=src, bem=sphere, eeg=False)
    places, _ = mne.dipole.get_phantom_dipoles()
    for name in epochs.event_id:
        evoked = epochs[name][1:-1].average()  # trials in which the dipole is switched are left out
        place = places[int(name) - 1]
        peak = find_peak(evoked)
        window = dict(tmin=peak - HALF_WINDOW, tmax=peak + HALF_WINDOW)
        problem = InverseProblem.from_evoked(evoked, forward, noise_cov, **window)
        found = localize(problem, place)
        dipole, _ = mne.fit_dipole(evoked.crop(peak, peak), noise_cov, sphere)
        yield {
            "dipole": name,
            "n_sources": found["n_sources"],
            "distance_mm": found["distance_mm"],
            "grid_mm": found["grid_mm"],
            "amplitude_error_nAm": round(found["amplitude_nAm"] - amplitude, 1),
            "is_in_region": found["is_in_region"],
            "region_mm": found["region_mm"],
            "dipole_fit_mm": compute_distances(dipole.pos, place).item(),
        }


def find_peak(evoked):
    """Find the time of the largest standard deviation of the gradiometers."""
    evoked = evoked.copy().pick("grad", exclude="bads").crop(HALF_WINDOW, TMAX - HALF_WINDOW)
    return evoked.times[np.argmax(evoked.data.std(axis=0))]


def localize(problem, place):
    """Localize by `MixedNormIC`, and compare the strongest source and its region with a place."""
    model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
    distances = compute_distances(problem.locations, place)
    found = dict(n_sources=model.n_active_, grid_mm=distances.min(), is_in_region=False)
    if not model.n_active_:
        return found | dict.fromkeys(("distance_mm", "amplitude_nAm", "region_mm"), np.nan)
    confidence = problem.compute_confidence(model, n_draws=0)
    sources = problem.to_data_frame(model, confidence=confidence)
    strongest = sources.index[0]
    region = confidence.regions[confidence.positions == strongest][0]
    return found | dict(
        distance_mm=distances[strongest],
        is_in_region=region[np.argmin(distances)],
        amplitude_nAm=sources["amplitude_nAm"].iloc[0],
        region_mm=round(sources["radius_mm"].iloc[0], 1),
    )


def compute_distances(locations, place):
    """Return the distances of locations from a place, in mm."""
    return np.round(1e3 * np.linalg.norm(locations - place, axis=1), 1)


def add_means(rows):
    """Yield the rows, and then a row with the means of their numbers."""
    done = []
    for row in rows:
        done.append(row)
        yield row
    means = pd.DataFrame(done).mean(numeric_only=True).round(2)
    first, *others = done[0]
    yield {first: "mean", **dict.fromkeys(others, ""), **means}


if __name__ == "__main__":
    main()
