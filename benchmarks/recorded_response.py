"""Make the figures and numbers of the page "A recorded response": sources of tones in MEG.

``python benchmarks/recorded_response.py --output docs`` takes a few minutes. The environment
variable ``SKMXNE_SAMPLE_DIR`` names the folder with the data of MNE's subject "sample".
"""

import argparse
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import mne
import numpy as np
import pandas as pd
from matplotlib import colormaps
from mne.inverse_sparse import mixed_norm
from recorded import read_recording

from skmxne import FieldDisplay, InverseProblem, MixedNormIC, SourceDisplay

CONDITIONS = ("Right Auditory", "Left Auditory")
WINDOWS = ((0.05, 0.15), (0.0, 0.5))


def main():
    """Localize both responses in both windows, and draw the first response in the first window."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("bench-output"))
    arguments = parser.parse_args()
    (arguments.output / "static").mkdir(parents=True, exist_ok=True)
    mne.set_log_level("ERROR")
    rows = []
    for condition in CONDITIONS:
        evoked, forward, noise_cov = read_recording(condition)
        evoked.pick("meg")
        for window in WINDOWS:
            rows += localize(evoked, forward, noise_cov, window, arguments.output / "static")
        evoked.crop(*WINDOWS[0])
        for alpha in (60.0, "sure"):
            count = count_of_mne(evoked, forward, noise_cov, alpha)
            print(f"{condition}: MNE, alpha {alpha}: {count}")
    table = pd.DataFrame(rows)
    table.to_csv(arguments.output / "recorded_windows.csv", index=False)
    print(table.to_string(index=False))


def count_of_mne(evoked, forward, noise_cov, alpha):
    """Return how many sources `mne.inverse_sparse.mixed_norm` finds, and in how many seconds."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stc = mixed_norm(evoked, forward, noise_cov, alpha=alpha, loose=0.2, depth=0.8)
    return f"{len(stc.data)} sources in {time.perf_counter() - start:.0f} s"


def localize(evoked, forward, noise_cov, window, folder):
    """Return a row for each source. Draw the sources of the first condition and window."""
    tmin, tmax = window
    problem = InverseProblem.from_evoked(
        evoked, forward, noise_cov, loose=0.2, tmin=tmin, tmax=tmax
    )
    model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
    confidence = problem.compute_confidence(model)
    print(f"{evoked.comment}, {window}: {problem.explained_variance(model):.0f} % explained")
    if (evoked.comment, window) == (CONDITIONS[0], WINDOWS[0]):
        SourceDisplay.from_estimator(model, problem, confidence=confidence).figure_.savefig(
            folder / "recorded_sources.png", dpi=110
        )
        FieldDisplay.from_estimator(model, problem).figure_.savefig(
            folder / "recorded_fields.png", dpi=110
        )
        draw_dspm(evoked.copy().crop(*window), forward, noise_cov, problem, model, folder)
    table = problem.to_data_frame(model, confidence=confidence)
    return [
        {
            "tone": f"{evoked.comment.split()[0].lower()} ear, {evoked.nave} trials",
            "window (ms)": f"{1e3 * tmin:.0f} to {1e3 * tmax:.0f}",
            "hemisphere": {"lh": "left", "rh": "right"}[source.hemisphere],
            "x, y, z (mm)": f"{source.x_mm:.0f}, {source.y_mm:.0f}, {source.z_mm:.0f}",
            "peak (nAm)": f"{source.amplitude_nAm:.0f}",
            "at (ms)": f"{source.latency_ms:.0f}",
            "gof (%)": f"{source.gof_percent:.0f}",
            "p": f"{source.p_value:.3f}" if source.p_value >= 0.001 else "< 0.001",
            "within (mm)": f"{source.radius_mm:.0f}",
        }
        for source in table.itertuples()
    ]


def draw_dspm(evoked, forward, noise_cov, problem, model, folder):
    """Draw dSPM from the top and both sides, with the sources as rings."""
    operator = mne.minimum_norm.make_inverse_operator(
        evoked.info, forward, noise_cov, loose=0.2, depth=0.8
    )
    stc = mne.minimum_norm.apply_inverse(evoked, operator, 1 / 9, "dSPM")
    heights = stc.data.max(axis=1)
    places = 1e3 * problem.locations
    found = 1e3 * problem.find_locations(model)
    for sign, side in ((-1, "left"), (1, "right")):
        here = sign * places[:, 0] > 0
        peak = places[here][heights[here].argmax()]
        distance = np.linalg.norm(found - peak, axis=1).min()
        print(f"dSPM: maximum on the {side} is {distance:.0f} mm from the nearest source")
    fig, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
    views = {
        "from the left": (1, 2, places[:, 0] < 0, found[:, 0] < 0),
        "from the top": (0, 1, places[:, 2] > 40, found[:, 2] > 0),
        "from the right": (1, 2, places[:, 0] > 0, found[:, 0] > 0),
    }
    for ax, (title, (across, up, is_seen, is_shown)) in zip(axes, views.items(), strict=True):
        order = np.flatnonzero(is_seen)[np.argsort(heights[is_seen])]
        points = ax.scatter(
            *(places[order][:, [across, up]].T),
            c=heights[order],
            s=8,
            cmap=colormaps["viridis"],
            vmin=0,
            vmax=heights.max(),
            rasterized=True,
        )
        style = dict(s=90, facecolors="none", edgecolors="#D55E00", linewidths=2)
        ax.scatter(*(found[is_shown][:, [across, up]].T), label="skmxne", **style)
        ax.set(title=title, aspect="equal", xlabel=f"{'xyz'[across]} (mm)")
        ax.set_ylabel(f"{'xyz'[up]} (mm)")
    axes[0].invert_xaxis()
    axes[1].legend(loc="lower right", fontsize="small")
    fig.colorbar(points, ax=axes, label="dSPM, largest over time")
    fig.savefig(folder / "recorded_dspm.png", dpi=110)


if __name__ == "__main__":
    main()
