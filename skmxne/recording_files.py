"""Reading recordings, with errors that name the file and tell what to do."""

from html import unescape
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
    _check_files(evoked, forward, noise_cov)
    with mne.use_log_level("ERROR"):  # it warns of names of files
        averages = _read(evoked, mne.read_evokeds, "averages (-ave.fif)")
        forward = _read(forward, mne.read_forward_solution, "a forward solution (-fwd.fif)")
        noise_cov = _read(noise_cov, mne.read_cov, "a noise covariance (-cov.fif)")
    averages = [average for average in averages if average.kind == "average"]
    if not averages:
        raise ValueError(f"{evoked} has no average.")
    for average in averages:
        average.comment = unescape(average.comment or "")  # MNE writes what is not Latin so
    return _find_average(averages, condition, evoked), forward, noise_cov


def prepare_evoked(evoked, *, baseline="auto", picks=None):
    """Subtract the baseline of an average, and restrict it to some channels.

    Parameters
    ----------
    evoked : instance of mne.Evoked
        The average. It is not modified.
    baseline : "auto", None or pair of float, default="auto"
        Start and end in s of the period whose mean is subtracted; None for none. "auto" is all up
        to time 0, and none if the average says that a baseline has been subtracted.
    picks : list of str, default=None
        Types of channels, in any case, or names. None: all.

    Returns
    -------
    evoked : instance of mne.Evoked
        The average to use, at all times.

    Raises
    ------
    ValueError
        If there is no such period or channel.
    """
    evoked, first = evoked.copy(), evoked.times[0]
    if baseline == "auto":
        if first > 0 and not evoked.baseline:
            raise ValueError(
                f"The average begins at {first:g} s: there is no time up to 0 whose mean could be "
                "subtracted. Give --baseline START END, or --no-baseline."
            )
        baseline = None if evoked.baseline else (first, 0.0)
    with hush_mne():
        if baseline:
            evoked.apply_baseline(_find_period("--baseline", *baseline, evoked))
        if picks:
            _pick(evoked, picks)
    return evoked


def crop_evoked(evoked, tmin=None, tmax=None):
    """Restrict an average to some times.

    Parameters
    ----------
    evoked : instance of mne.Evoked
        The average. It is not modified.
    tmin, tmax : float, default=None
        Start and end in s. None: time 0 or the first time if that is later, and the last.

    Returns
    -------
    evoked : instance of mne.Evoked
        The average at these times.

    Raises
    ------
    ValueError
        If there is no such period.
    """
    first, last = evoked.times[[0, -1]]
    tmin, tmax = max(first, 0.0) if tmin is None else tmin, last if tmax is None else tmax
    return evoked.copy().crop(*_find_period("--tmin and --tmax", tmin, tmax, evoked))


def _find_period(option, start, stop, evoked):
    """Return the first and the last time of an average that are in a period, to half a sample."""
    times, step = evoked.times, 1 / evoked.info["sfreq"]
    if not times[0] - step < start <= stop < times[-1] + step:
        raise ValueError(
            f"{option}: {start:g} to {stop:g} s is no period of the average, which is from "
            f"{times[0]:g} to {times[-1]:g} s."
        )
    return tuple(times[np.abs(times - each).argmin()] for each in (start, stop))


def _check_files(*paths):
    """Raise an error that names all files that are not there."""
    folders = [str(path) for path in paths if Path(path).is_dir()]
    if folders:
        raise FileNotFoundError(f"{folders[0]} is a folder.")
    missing = [str(path) for path in paths if not Path(path).is_file()]
    if missing:
        raise FileNotFoundError(f"No file {', '.join(missing)}.")


def _read(path, read, kind):
    """Read a file."""
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
    found = [k for k, name in enumerate(names) if name == condition]
    found = found or [k for k, name in enumerate(names) if name.lower() == condition.lower()]
    if not found:
        raise ValueError(f"{path} has no average {condition!r}. {choose}")
    if len(found) > 1:
        raise ValueError(f"{path} has {len(found)} averages {condition!r}. {choose}")
    return averages[found[0]]


def _pick(evoked, picks):
    """Restrict an average to some channels, in place."""
    types = set(evoked.get_channel_types())
    types |= {"meg"} if types & {"mag", "grad"} else set()
    picks = [pick.lower() if pick.lower() in types else pick for pick in picks]
    unknown = [pick for pick in picks if pick not in types.union(evoked.ch_names)]
    if unknown:
        raise ValueError(
            f"--picks {' '.join(unknown)}: no such channels, there are {', '.join(sorted(types))}."
        )
    evoked.pick(picks)
