"""Reading recordings, with errors that name the file and say what to do."""

from contextlib import suppress
from html import unescape
from math import ceil, log10
from pathlib import Path

import mne
import numpy as np
from mne.event import match_event_names

from .._logging import quiet_mne
from ..datasets import make_recording

# For each option, the kind of file, and the functions of MNE that read and write it.
_KINDS = {
    "--evoked": ("averages (-ave.fif)", "read_evokeds", "mne.write_evokeds"),
    "--epochs": ("epochs (-epo.fif)", "read_epochs", "mne.Epochs.save"),
    "--forward": (
        *("a forward solution (-fwd.fif)", "read_forward_solution"),
        "mne.write_forward_solution",
    ),
    "--noise-cov": ("a noise covariance (-cov.fif)", "read_cov", "mne.write_cov"),
}


def read_recording(arguments, n_folds):
    """Read the files of an inverse problem, or make the simulated recording if there are none.

    Returns a list (averages, or one object of epochs), a forward solution and a noise covariance.
    """
    names = {option: option.strip("-").replace("-", "_") for option in _KINDS}
    files = {option: getattr(arguments, name) for option, name in names.items()}
    paths = {option: Path(file) for option, file in files.items() if file is not None}
    if not paths:
        recording = make_recording()
        return [recording.evoked], recording.forward, recording.noise_cov
    _check_files(paths)
    with mne.use_log_level("CRITICAL"):  # MNE warns about names of files, and logs its errors
        data, forward, noise_cov = [_read(option, path) for option, path in paths.items()]
    select = _select_trials if arguments.epochs else _select_averages
    path = next(iter(paths.values()))
    return select(data, arguments.condition, path, n_folds), forward, noise_cov


def prepare(recordings, *, baseline="auto", picks=None):
    """Subtract the baseline of averages or epochs, and restrict them to some channels."""
    recordings = [_prepare(recording, baseline, picks) for recording in recordings]
    different = {name for one in recordings for name in one.ch_names}
    different -= set.intersection(*(set(one.ch_names) for one in recordings))
    if different:
        raise ValueError(
            f"The averages of --condition have different channels: some lack {min(different)!r}. "
            "Give --picks that all averages have, or one --condition at a time."
        )
    return recordings


def _prepare(recording, baseline, picks):
    recording = recording.copy()
    if baseline == "auto":
        if recording.times[0] > 0 and not recording.baseline:
            raise ValueError(
                f"The {_name(recording)} begins at {_write_time(recording, 0)} s: there is no "
                "baseline before 0 to subtract. Give --baseline START END, or --no-baseline."
            )
        baseline = None if recording.baseline else (None, 0.0)
    with quiet_mne():
        if baseline:
            recording.apply_baseline(_find_period("--baseline", *baseline, recording))
        if picks:
            _pick(recording, picks)
    return recording


def find_window(recordings, tmin="auto", tmax=None):
    """Return the first and the last time to use, which all recordings have."""
    first = max(recording.times[0] for recording in recordings)
    last = min(recording.times[-1] for recording in recordings)
    if tmin == "auto":
        tmin = max(first, 0.0)
    if len(recordings) > 1:
        tmin, tmax = first if tmin is None else tmin, last if tmax is None else tmax
    for recording in recordings:
        _find_period("--tmin and --tmax", tmin, tmax, recording)  # raises if there is none
    return first if tmin is None else max(tmin, first), last if tmax is None else min(tmax, last)


def _find_period(option, start, stop, recording):
    """Return the first and the last time of a period, rounded to the nearest samples."""
    times, step = recording.times, 1 / recording.info["sfreq"]
    asked = [
        _write_time(recording, end) if value is None else f"{round(value, 6):zg}"
        for value, end in [(start, 0), (stop, -1)]
    ]
    start, stop = times[0] if start is None else start, times[-1] if stop is None else stop
    if not times[0] - step < start <= stop < times[-1] + step:
        raise ValueError(
            f"{option}: {' to '.join(asked)} s is not a period of the {_name(recording)}, which is "
            f"from {_write_time(recording, 0)} to {_write_time(recording, -1)} s."
        )
    return tuple(times[np.abs(times - end).argmin()] for end in (start, stop))


def _name(recording):
    """Say what a recording is."""
    return "average" if isinstance(recording, mne.Evoked) else "epoch"


def _write_time(recording, index):
    """Write one of the times of a recording, in s, with the precision of its samples."""
    n_decimals = max(3, ceil(log10(recording.info["sfreq"])))
    return f"{round(recording.times[index], n_decimals):z.9g}"


def _check_files(paths):
    """Raise an error if files are missing (it names all of them) or empty."""
    for option, path in paths.items():
        if path.exists() and not path.is_file():
            is_what = "a folder" if path.is_dir() else "not a regular file"
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
    """Say which file an option needs."""
    kind, _, writer = _KINDS[option]
    return f"{option} needs {kind}, such as {writer} writes"


def _read(option, path):
    """Read a file."""
    kind, reader, _ = _KINDS[option]
    error = reason = None
    try:
        content = getattr(mne, reader)(path)
    except Exception as mne_error:  # of many classes, for files that are damaged or of another kind
        error = mne_error
        # Keep sentences of MNE and of the system, but no errors from deep inside.
        is_sentence = type(error) in (ValueError, RuntimeError) and str(error)[:1].isupper()
        reason = getattr(error, "strerror", None) or (str(error) if is_sentence else None)
    else:
        if content != []:  # which MNE returns as the averages of a file of epochs
            return content
    raise ValueError(
        f"{path} cannot be read as {kind}{f': {reason}' if reason else ''}".rstrip(".")
        + f". {_guess_kind(option, path)} {_say_need(option)}."
    ) from error


def _guess_kind(option, path):
    """Say which kind of file this may be instead."""
    for other, (kind, reader, _) in _KINDS.items():
        with suppress(Exception):
            if other != option and getattr(mne, reader)(path) != []:
                return f"It has {kind}: give it with {other}."
    return "It may be damaged or of another kind."


def _select_averages(evokeds, conditions, path, _):
    """Return the averages of some conditions."""
    averages = {k: evoked for k, evoked in enumerate(evokeds) if evoked.kind == "average"}
    if not averages:
        raise ValueError(f"{path} has no average. --evoked needs one, not its standard error.")
    for average in averages.values():
        average.comment = unescape(average.comment or "")  # MNE escapes some characters
    if conditions is None:
        conditions = [None]
    found = [_find_average(averages, condition, path) for condition in conditions]
    twice = [name for k, name in zip(found, conditions, strict=True) if found.count(k) > 1]
    if twice:
        raise ValueError(
            f"--condition has an average twice, as {' and '.join(map(repr, twice))}: give it once."
        )
    return [averages[k] for k in found]


def _find_average(averages, condition, path):
    """Return the number of an average, by its name or else by its number in the file."""
    names = {k: average.comment for k, average in averages.items()}
    listed = ", ".join(f"{k} {name!r}" for k, name in names.items())
    choose = f"Choose one with --condition, by name or number: {listed}."
    if condition is None:
        if len(names) > 1:
            raise ValueError(
                f"{path} has {len(names)} averages. {choose} Several make one joint model."
            )
        return next(iter(names))
    found = [k for k, name in names.items() if name == condition]
    found = found or [k for k, name in names.items() if name.lower() == condition.lower()]
    if not found and condition.isdecimal() and int(condition) in averages:
        found = [int(condition)]
    if not found:
        raise ValueError(f"{path} has no average {condition!r}. {choose}")
    if len(found) > 1:
        raise ValueError(f"{path} has {len(found)} averages {condition!r}. {choose}")
    return found[0]


def _select_trials(epochs, names, path, n_folds):
    """Return the epochs of some event types; without names, all epochs."""
    known = epochs.event_id
    unknown = [
        name for name in names or [] if not match_event_names(known, name, on_missing="ignore")
    ]
    if unknown:
        raise ValueError(
            f"{path} has no event type {', '.join(map(repr, unknown))}. Choose with --condition: "
            f"{', '.join(map(repr, known))}."
        )
    epochs = epochs[names] if names else epochs
    if len(epochs) < n_folds:
        raise ValueError(
            f"{path} has {len(epochs)} good trials{' of these event types' * bool(names)}, but "
            f"{n_folds} folds of trials need at least {n_folds}. Average them (epochs.average() in "
            "MNE), and give the file of the average with --evoked."
        )
    return [epochs]


def _pick(recording, picks):
    """Restrict an average or epochs to some channels, in place."""
    types = set(recording.get_channel_types())
    types |= {"meg"} if types & {"mag", "grad"} else set()
    picks = [pick.lower() if pick.lower() in types else pick for pick in picks]
    unknown = [pick for pick in picks if pick not in types.union(recording.ch_names)]
    if unknown:
        raise ValueError(
            f"--picks {' '.join(unknown)}: no such channels. Choose from "
            f"{', '.join(sorted(types))}."
        )
    kinds = zip(recording.ch_names, recording.get_channel_types(), strict=True)
    meg = {"mag", "grad"} if "meg" in picks else set()
    recording.pick([name for name, kind in kinds if name in picks or kind in {*picks, *meg}])
