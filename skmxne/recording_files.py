"""Reading recordings, with errors that name the file and tell what to do."""

from pathlib import Path

import mne
import numpy as np

from .mne_inputs import hush_mne


def read_recording(evoked, forward, noise_cov, condition=None):
    """Read what an inverse problem is made of.

    Parameters
    ----------
    evoked, forward, noise_cov : path-like
        The files, in the format of MNE.
    condition : str, default=None
        Which average of the file of `evoked`, by its comment. None: the only one.

    Returns
    -------
    evoked : instance of mne.Evoked
        The average.
    forward : instance of mne.Forward
        The forward solution.
    noise_cov : instance of mne.Covariance
        The noise covariance.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file cannot be read, or has no such average.
    """
    with mne.use_log_level("ERROR"):  # it warns of names of files
        averages = _read(evoked, mne.read_evokeds, "averages (-ave.fif)")
        forward = _read(forward, mne.read_forward_solution, "a forward solution (-fwd.fif)")
        noise_cov = _read(noise_cov, mne.read_cov, "a noise covariance (-cov.fif)")
    return _find_average(averages, condition, evoked), forward, noise_cov


def prepare_evoked(evoked, *, baseline="auto", tmin=None, tmax=None, picks=None):
    """Subtract the baseline of an average, and restrict it to some channels and times.

    Parameters
    ----------
    evoked : instance of mne.Evoked
        The average. It is not modified.
    baseline : "auto", None or pair of float, default="auto"
        Start and end in s of the period whose mean is subtracted; None for none. "auto" is all up
        to time 0, and none if the average says that a baseline has been subtracted.
    tmin, tmax : float, default=None
        Start and end in s. None: time 0 or the first time if that is later, and the last.
    picks : list of str, default=None
        Types of channels, or names. None: all.

    Returns
    -------
    evoked : instance of mne.Evoked
        The average to use.

    Raises
    ------
    ValueError
        If there is no such period or channel.
    """
    evoked, (first, last) = evoked.copy(), evoked.times[[0, -1]]
    if baseline == "auto":
        if first > 0 and not evoked.baseline:
            raise ValueError(
                f"The average begins at {first:g} s: there is no time up to 0 whose mean could be "
                "subtracted. Give --baseline START END, or --no-baseline."
            )
        baseline = None if evoked.baseline else (first, 0.0)
    tmin, tmax = max(first, 0.0) if tmin is None else tmin, last if tmax is None else tmax
    with hush_mne():
        if baseline:
            evoked.apply_baseline(_find_period("--baseline", *baseline, evoked))
        evoked.crop(*_find_period("--tmin and --tmax", tmin, tmax, evoked))
        if picks:
            _pick(evoked, picks)
    return evoked


def _find_period(option, start, stop, evoked):
    """Return the first and the last time of an average that are in a period, to half a sample."""
    times, step = evoked.times, 1 / evoked.info["sfreq"]
    if not times[0] - step < start <= stop < times[-1] + step:
        raise ValueError(
            f"{option}: {start:g} to {stop:g} s is no period of the average, which is from "
            f"{times[0]:g} to {times[-1]:g} s."
        )
    return tuple(times[np.abs(times - each).argmin()] for each in (start, stop))


def _read(path, read, kind):
    """Read a file."""
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"{path} is a folder." if Path(path).is_dir() else f"No file {path}."
        )
    try:
        return read(path)
    except Exception as error:  # of many classes, for what is no such file
        raise ValueError(f"{path} cannot be read as {kind}: {error}") from error


def _find_average(averages, condition, path):
    """Return the average of a condition."""
    names = [average.comment for average in averages]
    choose = f"Choose one with --condition: {', '.join(map(repr, names))}."
    if condition is None:
        if len(names) > 1:
            raise ValueError(f"{path} has {len(names)} averages. {choose}")
        return averages[0]
    if names.count(condition) != 1:
        raise ValueError(f"{path} has {names.count(condition)} averages {condition!r}. {choose}")
    return averages[names.index(condition)]


def _pick(evoked, picks):
    """Restrict an average to some channels, in place."""
    types = set(evoked.get_channel_types())
    known = types | set(evoked.ch_names) | ({"meg"} if types & {"mag", "grad"} else set())
    unknown = [pick for pick in picks if pick not in known]
    if unknown:
        raise ValueError(
            f"--picks {' '.join(unknown)}: no such channels, there are {', '.join(sorted(types))}."
        )
    evoked.pick(picks)
