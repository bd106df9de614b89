"""
Which source differs between two conditions?
============================================

Two averages make one joint model: the sources are at the same positions in both conditions, but
each condition has its own amplitudes. So conditions can be compared source by source::

    python examples/recordings/plot_conditions.py
"""

import matplotlib.pyplot as plt
import mne
import numpy as np

from skmxne import InverseProblem, MixedNormIC
from skmxne.datasets import make_recording

mne.set_log_level("WARNING")

# %%
# Two conditions
# --------------
# The recording is simulated: two sources of 20 nAm, 60 trials. In the second half of the trials,
# the condition "deviant", the source in the right hemisphere is twice as strong: its field is added
# to each trial once more.

recording = make_recording(n_sources=2, amplitude=20e-9)
change = recording.stc.copy()
change.data[: len(change.vertices[0])] = 0  # the left hemisphere does not change
fixed = mne.convert_forward_solution(recording.forward, surf_ori=True, force_fixed=True)
field = mne.apply_forward(fixed, change, recording.evoked.info).set_eeg_reference()
epochs = recording.epochs
epochs.get_data(copy=False)[30:] += field.data
epochs.events[30:, 2] = 2
epochs.event_id = {"standard": 1, "deviant": 2}

# %%
# One model for both, or one for each
# -----------------------------------
# Each condition alone has both sources, but their positions may differ between the two models. In
# the difference of the averages, only the source that differs is left. But the difference has more
# noise than each average, as much as an average of 15 trials instead of 30. In this recording the
# currents flow along the normals of the cortex: with fixed orientation, amplitudes have a sign.

standard, deviant = epochs["standard"].average(), epochs["deviant"].average()
difference = mne.combine_evoked([deviant, standard], weights=[1, -1])
data = {"standard": standard, "deviant": deviant, "difference": difference}
data["joint"] = [standard, deviant]
for name, averages in data.items():
    problem = InverseProblem.from_evoked(
        averages, recording.forward, recording.noise_cov, loose=0, tmin=0.05, tmax=0.35
    )
    model = MixedNormIC(n_orient=problem.n_orient).fit(problem.X, problem.y)
    gaps = problem.find_locations(recording.stc)[:, np.newaxis] - problem.find_locations(model)
    left, right = 1e3 * np.linalg.norm(gaps, axis=2).min(axis=1)
    print(f"{name}: {model.n_active_} found, {left:.0f} and {right:.0f} mm from the true sources")

# %%
# The joint model
# ---------------
# ``problem`` and ``model`` are now those of the joint model. There is one table for each condition.
# Both list the same sources in the same order.

for table, average in zip(problem.to_data_frame(model), data["joint"], strict=True):
    print(average.comment, table[["hemisphere", "amplitude_nAm", "latency_ms"]].round(), sep="\n")

stcs = problem.to_source_estimate(model)
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for k, ax in enumerate(axes):  # in a source estimate, the left hemisphere comes first
    ax.plot(1e3 * stcs[0].times, 1e9 * stcs[0].data[k], "k-", label="standard")
    ax.plot(1e3 * stcs[1].times, 1e9 * stcs[1].data[k], "C1--", label="deviant")
    ax.set(title=["left source", "right source"][k], xlabel="time (ms)")
axes[0].set_ylabel("amplitude (nAm)")
axes[0].legend()

# %%
# Is the difference more than noise?
# ----------------------------------
# The p-values of a confidence compare a source with noise, not one condition with the other. To
# compare conditions, shuffle the trials between them. The positions stay the same. The amplitudes
# are computed by least squares.

trials = epochs.crop(0.05, 0.35).get_data(picks=problem.ch_names)
gain = problem.whitener @ problem.forward["sol"]["data"][:, model.active_set_]
amplitudes = np.linalg.pinv(gain) @ problem.whitener @ trials


def compare(is_deviant):
    """Return by how much the peak of each source is larger in "deviant", in A m."""
    means = amplitudes[is_deviant].mean(axis=0), amplitudes[~is_deviant].mean(axis=0)
    return np.abs(means[0]).max(axis=1) - np.abs(means[1]).max(axis=1)


rng, is_deviant = np.random.default_rng(0), epochs.events[:, 2] == 2
observed = compare(is_deviant)
shuffled = np.array([compare(rng.permutation(is_deviant)) for _ in range(999)])
p_values = (1 + np.sum(np.abs(shuffled) >= np.abs(observed), axis=0)) / 1000
for side, change, p_value in zip(["left", "right"], observed, p_values, strict=True):
    print(f"{side} source: {1e9 * change:.0f} nAm more in deviant, p = {p_value}")
plt.show()
