"""Read the recorded data: averages of MNE's subject "sample", who heard tones.

The environment variable ``SKMXNE_SAMPLE_DIR`` names their folder. It has two averages of few
trials, the noise covariance of single trials, and forward solutions with 7783 and 483 positions.
``python benchmarks/recorded.py my-folder`` makes a similar folder of MNE's data set (a download of
1.7 GB), which has more trials and other positions.
"""

import argparse
import os
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import mne

SIMILAR = {
    "sample-auditory-ave.fif": "sample_audvis-ave.fif",
    "sample-cov.fif": "sample_audvis-cov.fif",
    "sample-cortex-7783-fwd.fif": "sample_audvis-meg-eeg-oct-6-fwd.fif",
}


class Recording(NamedTuple):
    """What `InverseProblem.from_evoked` takes first."""

    evoked: mne.Evoked
    forward: mne.Forward
    noise_cov: mne.Covariance


def read_recording(condition="Left Auditory", n_positions=7783):
    """Read an average with its baseline at zero, a forward solution and the noise covariance."""
    if not os.environ.get("SKMXNE_SAMPLE_DIR"):
        sys.exit("Set SKMXNE_SAMPLE_DIR to the folder of the recorded data (docs/benchmarks.rst).")
    folder = Path(os.environ["SKMXNE_SAMPLE_DIR"])
    with mne.use_log_level("ERROR"):
        return Recording(
            mne.read_evokeds(folder / "sample-auditory-ave.fif", condition, baseline=(None, 0)),
            mne.read_forward_solution(folder / f"sample-cortex-{n_positions}-fwd.fif"),
            mne.read_cov(folder / "sample-cov.fif"),
        )


@cache
def read_response(condition="Left Auditory", n_positions=7783):
    """Read the MEG response, 50 to 150 ms. Do not change what is returned: it is kept."""
    recording = read_recording(condition, n_positions)
    recording.evoked.pick("meg").crop(0.05, 0.15)
    return recording


def main():
    """Make a folder of the files of MNE's data set "sample"."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    files = Path(mne.datasets.sample.data_path()) / "MEG" / "sample"
    for name, similar in SIMILAR.items():
        shutil.copy(files / similar, folder / name)


if __name__ == "__main__":
    main()
