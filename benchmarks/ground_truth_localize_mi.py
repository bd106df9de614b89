"""Measure localization errors for currents inside the heads of patients (data set Localize-MI).

``python benchmarks/ground_truth_localize_mi.py FOLDER`` prints CSV: a row for each run, and one for
the means. FOLDER has the data set Localize-MI (Mikulan et al. 2020, Scientific Data 7:127). In 7
patients, pulses of current flowed between two neighbouring contacts of an intracerebral electrode,
at known places, and EEG was recorded with 256 channels.

``MixedNormIC`` localizes the average of each run on the cortex of the patient, from 2 ms before to
2 ms after the pulse, as the authors do. The true place is the midpoint of the two contacts. The
orientation is free, because the current between contacts need not follow the normal of the
cortex; ``--loose`` changes this. Columns:

- n_sources: number of sources of the model; 1 is right.
- distance_mm: from the strongest source to the true place; NaN without a source.
- grid_mm: from the nearest position of the forward solution to the true place, the smallest
  possible distance_mm.
- is_in_region: whether the region of the strongest source contains the position nearest to the true
  place. region_mm is the distance from the source to the farthest position of its region.
- dspm_mm, eloreta_mm: from the peak of dSPM and of eLORETA in the same 4 ms to the true place.

The files are those that the authors' code writes (github.com/iTCf/mikulan_et_al_2020), below
``derivatives``. `sub` stands for a subject, `run` for ``sub_task-seegstim_run-01``:

- ``epochs/sub/eeg/``: ``run_epochs.npy`` (trials, channels, times; V), ``run_epochs.json`` (the
  contacts), ``run_epochs.tsv`` (the time of the pulse), ``run_channels.tsv`` (names, bad channels);
- ``epochs/sub/ieeg/sub_task-seegstim_space-surface_electrodes.tsv``: contacts, in m, in the
  coordinates of FreeSurfer's surfaces, which are MNE's MRI coordinates;
- ``sourcemodelling/sub/fwd/sub_fwd.fif``: the forward solution, which also has the positions of the
  channels and the transform from MRI to head coordinates.

The script was tested only on artificial files.
"""

import argparse
import json
import re
import sys
from functools import lru_cache
from pathlib import Path

import mne
import numpy as np
import pandas as pd
from ground_truth_phantom import add_means, compute_distances, localize
from measuring import print_rows

from skmxne import InverseProblem

RUNS = "derivatives/epochs/sub-*/eeg/*_epochs.npy"
MISSING = (
    f"There is no {RUNS} in {{folder}}: download the data set Localize-MI from "
    "https://gin.g-node.org/ezemikulan/Localize-MI, with the content of its large files, and call "
    "`python benchmarks/ground_truth_localize_mi.py` with its folder."
)
HALF_WINDOW, BASELINE_END = 0.002, -0.05  # s
LAMBDA2 = 1 / 9


def main():
    """Localize every run, and print the errors."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the folder of the data set")
    parser.add_argument("--loose", type=float, default=1.0, help="1 for free orientation (1)")
    arguments = parser.parse_args()
    runs = sorted(arguments.folder.glob(RUNS))
    if not runs:
        sys.exit(MISSING.format(folder=arguments.folder))
    mne.set_log_level("ERROR")
    print_rows(add_means(localize_run(run, arguments.loose) for run in runs))


def localize_run(path, loose):
    """Localize the pulse of a run, and return its row."""
    subject, _, run, _ = path.name.split("_")
    forward = read_forward(path.parents[3] / f"sourcemodelling/{subject}/fwd/{subject}_fwd.fif")
    stimulation = json.loads(path.with_suffix(".json").read_text())["Description"].split()[-2:]
    place = read_place(path.parents[1] / "ieeg", subject, stimulation[0], forward["mri_head_t"])
    epochs = read_epochs(path, forward)
    noise_cov = mne.compute_covariance(epochs, tmax=BASELINE_END)
    evoked = epochs.average().shift_time(HALF_WINDOW)  # what is before time 0 counts as noise
    window = dict(tmin=0.0, tmax=2 * HALF_WINDOW)
    problem = InverseProblem.from_evoked(evoked, forward, noise_cov, loose=loose, **window)
    found = localize(problem, place)
    operator = mne.minimum_norm.make_inverse_operator(evoked.info, forward, noise_cov, loose=loose)
    peaks = find_peaks(evoked.crop(**window), operator)
    distances = compute_distances(problem.locations[peaks], place)
    return {
        "subject": subject,
        "run": run,
        "contacts": stimulation[0],
        "current": stimulation[1],
        "n_trials": len(epochs),
        "n_channels": len(problem.ch_names),
        "n_sources": found["n_sources"],
        "distance_mm": found["distance_mm"],
        "grid_mm": found["grid_mm"],
        "is_in_region": found["is_in_region"],
        "region_mm": found["region_mm"],
        "dspm_mm": distances[0],
        "eloreta_mm": distances[1],
    }


def find_peaks(evoked, operator):
    """Return the positions of the peaks of dSPM and eLORETA."""
    stcs = [
        mne.minimum_norm.apply_inverse(evoked, operator, LAMBDA2, method)
        for method in ("dSPM", "eLORETA")
    ]
    return [stc.get_peak(vert_as_index=True)[0] for stc in stcs]


@lru_cache(maxsize=1)
def read_forward(path):
    """Read the forward solution of a subject, in head coordinates."""
    return mne.read_forward_solution(path)


def read_place(folder, subject, contacts, mri_head_t):
    """Return the midpoint of two contacts in head coordinates; "A'1-2" means A'1 and A'2."""
    electrode, first, second = re.fullmatch(r"(\D+)(\d+)-(\d+)", contacts).groups()
    table = pd.read_csv(folder / f"{subject}_task-seegstim_space-surface_electrodes.tsv", sep="\t")
    table = table.set_index("name")[["x", "y", "z"]]
    ends = table.loc[[electrode + first, electrode + second]].to_numpy()
    return mne.transforms.apply_trans(mri_head_t, ends.mean(axis=0))


def read_epochs(path, forward):
    """Read the trials of a run, and set an average reference. The pulse is at time 0."""
    base = str(path).removesuffix("_epochs.npy")
    channels = pd.read_csv(f"{base}_channels.tsv", sep="\t")
    zero_time = pd.read_csv(f"{base}_epochs.tsv", sep="\t")["zero_time"][0]
    info = mne.create_info(list(channels["name"]), channels["sampling_frequency"][0], "eeg")
    info["bads"] = list(channels["name"][channels["status"] == "bad"])
    places = {channel["ch_name"]: channel["loc"][:3] for channel in forward["info"]["chs"]}
    info.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"))
    epochs = mne.EpochsArray(np.load(path), info, tmin=-zero_time)
    return epochs.set_eeg_reference(projection=True)


if __name__ == "__main__":
    main()
