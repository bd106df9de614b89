"""Reading recordings, with errors that name the file and tell what to do."""

import gzip
import struct
import zlib
from html import unescape
from math import ceil, log10
from pathlib import Path

import mne
import numpy as np
from mne.io.constants import FIFF

from .mne_inputs import hush_mne

# What the files of the options have in them: in words, the block of FIF that holds it, and the end
# of the names of the functions of MNE for it.
_KINDS = {
    "--evoked": ("averages (-ave.fif)", FIFF.FIFFB_EVOKED, "evokeds"),
    "--forward": (
        *("a forward solution (-fwd.fif)", FIFF.FIFFB_MNE_FORWARD_SOLUTION),
        "forward_solution",
    ),
    "--noise-cov": ("a noise covariance (-cov.fif)", FIFF.FIFFB_MNE_COV, "cov"),
}
# What else there may be in a file. Of several, the first is what the file is called.
_BLOCKS = {
    FIFF.FIFFB_MNE_EPOCHS: "epochs",
    FIFF.FIFFB_EVOKED: "averages",
    FIFF.FIFFB_MNE_INVERSE_SOLUTION: "an inverse operator",
    FIFF.FIFFB_MNE_FORWARD_SOLUTION: "a forward solution",
    FIFF.FIFFB_MNE_COV: "a covariance",
    FIFF.FIFFB_MNE_SOURCE_SPACE: "source spaces",
    FIFF.FIFFB_BEM: "a head model",
    FIFF.FIFFB_RAW_DATA: "raw data",
    FIFF.FIFFB_CONTINUOUS_DATA: "raw data",
}
# The first bytes of a FIF file, and of one that is compressed.
_FIF_START = struct.pack(">iIi", FIFF.FIFF_FILE_ID, FIFF.FIFFT_ID_STRUCT, 20)
_GZIP_START = b"\x1f\x8b"


def read_recording(evoked, forward, noise_cov, condition=None):
    """Read what an inverse problem is made of.

    Parameters
    ----------
    evoked, forward, noise_cov : path-like
        The files, in the format of MNE.
    condition : str, default=None
        Which average of the file of `evoked`, by its comment, or else by its number in the file,
        counted from 0. None: the only one.

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
    OSError
        If there is no such file, or it cannot be opened.
    ValueError
        If a file cannot be read, or has no such average.
    """
    paths = dict(zip(_KINDS, map(Path, (evoked, forward, noise_cov)), strict=True))
    _check_files(paths)
    for option, path in paths.items():
        _check_content(option, path)
    with mne.use_log_level("ERROR"):  # it warns of names of files
        averages, forward, noise_cov = [_read(option, path) for option, path in paths.items()]
    numbered = {k: one for k, one in enumerate(averages) if one.kind == "average"}
    if not numbered:
        raise ValueError(f"{evoked} has no average. --evoked needs one, not its standard error.")
    for average in numbered.values():
        average.comment = unescape(average.comment or "")  # MNE writes what is not Latin so
    return _find_average(numbered, condition, evoked), forward, noise_cov


def prepare_evoked(evoked, *, baseline="auto", picks=None):
    """Subtract the baseline of an average, and restrict it to some channels.

    Parameters
    ----------
    evoked : instance of mne.Evoked
        The average. It is not modified.
    baseline : "auto", None or pair of float, default="auto"
        Start and end in s of the period whose mean is subtracted, None for the first or the last
        time; None for none. "auto" is all up to time 0, and none if the average says that a
        baseline has been subtracted.
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
    evoked = evoked.copy()
    if baseline == "auto":
        if evoked.times[0] > 0 and not evoked.baseline:
            raise ValueError(
                f"The average begins at {_write_time(evoked, 0)} s: there is no time up to 0 whose "
                "mean could be subtracted. Give --baseline START END, or --no-baseline."
            )
        baseline = None if evoked.baseline else (None, 0.0)
    with hush_mne():
        if baseline:
            evoked.apply_baseline(_find_period("--baseline", *baseline, evoked))
        if picks:
            _pick(evoked, picks)
    return evoked


def crop_evoked(evoked, tmin="auto", tmax=None):
    """Restrict an average to some times.

    Parameters
    ----------
    evoked : instance of mne.Evoked
        The average. It is not modified.
    tmin : "auto", None or float, default="auto"
        Start in s. None is the first time, "auto" time 0, or the first if that is later.
    tmax : float, default=None
        End in s. None is the last time.

    Returns
    -------
    evoked : instance of mne.Evoked
        The average at these times.

    Raises
    ------
    ValueError
        If there is no such period.
    """
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
    return tuple(times[np.abs(times - each).argmin()] for each in (start, stop))


def _write_time(evoked, index):
    """Write one of the times of an average, in s, as precisely as samples are apart."""
    n_decimals = max(3, ceil(log10(evoked.info["sfreq"])))
    return f"{round(evoked.times[index], n_decimals):z.9g}"


def _check_files(paths):
    """Raise an error that names all files that are not there."""
    for option, path in paths.items():
        if path.exists() and not path.is_file():
            is_what = "a folder" if path.is_dir() else "no regular file"
            raise FileNotFoundError(f"{path} is {is_what}. {_say_need(option)}.")
    missing = {option: path for option, path in paths.items() if not path.is_file()}
    if missing:
        raise FileNotFoundError(
            f"No file {', '.join(map(str, missing.values()))}. Check {' and '.join(missing)}."
        )


def _say_need(option):
    """Say what the file of an option has to be."""
    kind, _, name = _KINDS[option]
    return f"{option} needs {kind}, such as mne.write_{name} writes"


def _check_content(option, path):
    """Raise an error if a file is not whole, or obviously something else."""
    need, block = _say_need(option), _KINDS[option][1]
    if not path.suffix:
        raise ValueError(f"{path} has no ending, which MNE needs. Rename it, to {path}.fif.")
    content = _read_bytes(path, need)
    if content.startswith(_GZIP_START):
        raise ValueError(f"{path} is compressed. Rename it, to {path}.gz, or decompress it.")
    if not content:
        raise ValueError(f"{path} is empty. {need}.")
    if path.suffix == ".h5" and option == "--forward":  # another format of MNE
        return
    if not _FIF_START.startswith(content[: len(_FIF_START)]):
        raise ValueError(f"{path} is no FIF file. {need}.")
    blocks = _find_blocks(content)
    if blocks is None:
        raise ValueError(f"{path} is not complete or damaged. Copy or write it again. {need}.")
    if block not in blocks:
        kind = next((name for each, name in _BLOCKS.items() if each in blocks), "something else")
        raise ValueError(f"{path} has {kind} in it. {need}.")


def _read_bytes(path, need):
    """Read all bytes of a file, which may be compressed."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OSError(f"{path} cannot be opened: {error.strerror}. {need}.") from error
    if path.suffix != ".gz" or not content:
        return content
    if not content.startswith(_GZIP_START[: len(content)]):
        raise ValueError(f"{path} is not compressed, as .gz says. Rename it, or write it again.")
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise ValueError(
            f"{path} is not complete or damaged. Copy or write it again. {need}."
        ) from error


def _find_blocks(content):
    """Return the kinds of the blocks of a FIF file, or None if its end is missing."""
    position, depth, blocks, seen = 0, 0, set(), set()
    while position + 16 <= len(content):
        seen.add(position)
        kind, _, size, following = struct.unpack_from(">iIii", content, position)
        position += 16
        if size < 0 or position + size > len(content):
            return None
        if kind in (FIFF.FIFF_BLOCK_START, FIFF.FIFF_BLOCK_END):
            depth += 1 if kind == FIFF.FIFF_BLOCK_START else -1
            blocks.add(int.from_bytes(content[position : position + size], "big"))
        if following == FIFF.FIFFV_NEXT_NONE:
            return blocks
        position = following or position + size
        if position in seen or position < 0:
            return None
    return blocks if blocks and not depth else None  # some have no last tag, but are whole


def _read(option, path):
    """Read a file."""
    kind, _, name = _KINDS[option]
    try:
        return getattr(mne, f"read_{name}")(path)
    except Exception as error:  # of many classes, for what is damaged
        # Sentences of MNE, not what is wrong with a number deep in it.
        is_sentence = type(error) in (ValueError, RuntimeError) and str(error)[:1].isupper()
        reason = f": {error}".rstrip(".") if is_sentence else ""
        raise ValueError(
            f"{path} cannot be read as {kind}{reason}. It may be damaged: copy or write it again. "
            f"{_say_need(option)}."
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
