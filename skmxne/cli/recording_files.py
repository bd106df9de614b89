"""Reading recordings, with errors that name the file and tell what to do."""

from html import unescape
from math import ceil, log10
from pathlib import Path

import mne
import numpy as np

from .._logging import quiet_mne

# What the files of the options are, and the end of the names of the functions of MNE for them.
_KINDS = {
    "--evoked": ("averages (-ave.fif)", "evokeds"),
    "--forward": ("a forward solution (-fwd.fif)", "forward_solution"),
    "--noise-cov": ("a noise covariance (-cov.fif)", "cov"),
}


def read_recording(evoked, forward, noise_cov, condition=None):
    """Read what an inverse problem is made of."""
    paths = dict(zip(_KINDS, map(Path, (evoked, forward, noise_cov)), strict=True))
    _check_files(paths)
    with mne.use_log_level("CRITICAL"):  # it warns of names of files, and logs its errors
        averages, forward, noise_cov = [_read(option, path) for option, path in paths.items()]
    numbered = {k: average for k, average in enumerate(averages) if average.kind == "average"}
    if not numbered:
        raise ValueError(f"{evoked} has no average. --evoked needs one, not its standard error.")
    for average in numbered.values():
        average.comment = unescape(average.comment or "")  # MNE writes what is not Latin so
    return _find_average(numbered, condition, evoked), forward, noise_cov


def prepare_evoked(evoked, *, baseline="auto", picks=None):
    """Subtract the baseline of an average, and restrict it to some channels."""
    evoked = evoked.copy()
    if baseline == "auto":
        if evoked.times[0] > 0 and not evoked.baseline:
            raise ValueError(
                f"The average begins at {_write_time(evoked, 0)} s: there is no time up to 0 whose "
                "mean could be subtracted. Give --baseline START END, or --no-baseline."
            )
        baseline = None if evoked.baseline else (None, 0.0)
    with quiet_mne():
        if baseline:
            evoked.apply_baseline(_find_period("--baseline", *baseline, evoked))
        if picks:
            _pick(evoked, picks)
    return evoked


def crop_evoked(evoked, tmin="auto", tmax=None):
    """Restrict an average to some times."""
    if tmin == "auto":
        tmin = max(evoked.times[0], 0.0)
    return evoked.copy().crop(*_find_period("--tmin and --tmax", tmin, tmax, evoked))


def _find_period(option, start, stop, evoked):
    """Return the first and the last time of an average that are in a period, to half a sample."""
    times, step = evoked.times, 1 / evoked.info["sfreq"]
    asked = [
        _write_time(evoked, end) if value is None else f"{round(value, 6):zg}"
        for value, end in [(start, 0), (stop, -1)]
    ]
    start, stop = times[0] if start is None else start, times[-1] if stop is None else stop
    if not times[0] - step < start <= stop < times[-1] + step:
        raise ValueError(
            f"{option}: {' to '.join(asked)} s is no period of the average, which is from "
            f"{_write_time(evoked, 0)} to {_write_time(evoked, -1)} s."
        )
    return tuple(times[np.abs(times - end).argmin()] for end in (start, stop))


def _write_time(evoked, index):
    """Write one of the times of an average, in s, as precisely as samples are apart."""
    n_decimals = max(3, ceil(log10(evoked.info["sfreq"])))
    return f"{round(evoked.times[index], n_decimals):z.9g}"


def _check_files(paths):
    """Raise an error for files that are not there, of which it names all, or empty."""
    for option, path in paths.items():
        if path.exists() and not path.is_file():
            is_what = "a folder" if path.is_dir() else "no regular file"
            raise FileNotFoundError(f"{path} is {is_what}. {_say_need(option)}.")
    missing = {option: path for option, path in paths.items() if not path.is_file()}
    if missing:
        raise FileNotFoundError(
            f"No file {', '.join(map(str, missing.values()))}. Check {' and '.join(missing)}."
        )
    for option, path in paths.items():
        if path.stat().st_size == 0:
            raise ValueError(f"{path} is empty. {_say_need(option)}.")


def _say_need(option):
    """Say what the file of an option has to be."""
    kind, name = _KINDS[option]
    return f"{option} needs {kind}, such as mne.write_{name} writes"


def _read(option, path):
    """Read a file."""
    kind, name = _KINDS[option]
    try:
        return getattr(mne, f"read_{name}")(path)
    except Exception as error:  # of many classes, for what is damaged or of another kind
        # Sentences of MNE and of the system, not what is wrong with a number deep in it.
        is_sentence = type(error) in (ValueError, RuntimeError) and str(error)[:1].isupper()
        reason = getattr(error, "strerror", None) or (str(error) if is_sentence else "")
        raise ValueError(
            f"{path} cannot be read as {kind}{': ' * bool(reason)}{reason.rstrip('.')}. It may be "
            f"damaged or something else. {_say_need(option)}."
        ) from error


def _find_average(averages, condition, path):
    """Return the average of a condition, by its name or else by its number in the file."""
    names = {k: average.comment for k, average in averages.items()}
    listed = ", ".join(f"{k} {name!r}" for k, name in names.items())
    choose = f"Choose one with --condition, by name or number: {listed}."
    if condition is None:
        if len(names) > 1:
            raise ValueError(f"{path} has {len(names)} averages. {choose}")
        return next(iter(averages.values()))
    found = [k for k, name in names.items() if name == condition]
    found = found or [k for k, name in names.items() if name.lower() == condition.lower()]
    if not found and condition.isdecimal() and int(condition) in averages:
        found = [int(condition)]
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
