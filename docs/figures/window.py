"""Power of a weak source and the threshold that it must exceed, by length of the window."""

import matplotlib.pyplot as plt
import mne
import numpy as np
from scipy.linalg import toeplitz

from skmxne import InverseProblem
from skmxne.datasets import make_recording

fig, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharex=True, sharey=True, layout="constrained")
with mne.use_log_level("WARNING"):
    for ax, amplitude, autocorrelation in zip(axes, [10e-9, 15e-9], [0, 0.8], strict=True):
        recording = make_recording(1, amplitude=amplitude, autocorrelation=autocorrelation)
        evoked, forward = recording.evoked, recording.forward
        problem = InverseProblem.from_evoked(evoked, forward, recording.noise_cov)
        fixed = mne.convert_forward_solution(forward, surf_ori=True, force_fixed=True)
        field = mne.apply_forward(fixed, recording.stc, evoked.info).data
        power = np.sum((problem.whitener @ field) ** 2, axis=0) * evoked.nave
        peak, lengths, of_source, of_noise = power.argmax(), [], [], []
        for half in [0, 1, 2, 3, 4, 6, 9, 12, 18, 25, 37, 50, 75]:
            window = power[max(peak - half, 0) : peak + half + 1]
            n_times = len(window)
            covariance = toeplitz(autocorrelation ** np.arange(n_times))
            n_independent = n_times**2 / np.sum(covariance**2)
            best = np.sqrt(3 * n_independent) + np.sqrt(2 * np.log(len(problem.locations)))
            lengths.append(4 * n_times)  # 250 Hz
            of_source.append(window.sum())
            of_noise.append(n_times / n_independent * best**2)
        ax.plot(lengths, of_source, color="#0072B2", label="source")
        ax.plot(lengths, of_noise, "--", color="#D55E00", label="threshold")
        name = "low-passed noise" if autocorrelation else "noise white in time"
        ax.set(xscale="log", yscale="log", title=f"{name}, {1e9 * amplitude:.0f} nAm")
        for axis, ticks in [(ax.xaxis, [4, 10, 20, 50, 100, 200, 500]), (ax.yaxis, [20, 100, 500])]:
            axis.set_ticks(ticks, ticks)
            axis.set_ticks([], minor=True)
        ax.set(xlabel="length of the window (ms)")
        ax.grid(color="0.9")
axes[0].set_ylabel("power (noise: 1 per time)")
axes[0].legend(frameon=False)
