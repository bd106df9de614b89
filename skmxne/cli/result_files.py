"""Writing a folder of results completely, or not at all."""

import csv
import os
import re
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import mne

from .._logging import quiet_mne
from ..inverse.tables import list_columns

# What a folder of results may contain; several conditions have a folder each.
_RESULTS = re.compile(
    r"report\.html|methods\.txt|sources\.csv|alpha\.png|condition-\d+|"
    r"(condition-\d+/)?((sources|fields-(mag|grad|eeg)|residual)\.png|residual-ave\.fif|"
    r"sources-(lh|rh|(\d+-)?vl)\.stc|dipoles(/\d{2,}\.dip)?)"
)


def check_folder(folder, overwrite=False):
    """Raise an error unless results may be written to a folder."""
    folder = Path(folder)
    try:
        folder.stat()  # it raises other errors if the folder cannot be reached
    except (FileNotFoundError, NotADirectoryError):
        return
    if not folder.is_dir():
        raise FileExistsError(f"{folder} is not a folder. Choose another --output.")
    if folder.samefile(".") or folder.is_mount():
        raise FileExistsError(
            f"{folder} is the current folder or a mount point, which cannot be replaced as a "
            "whole. Choose a folder in it as --output."
        )
    others = [name for name in _list_names(folder) if not _RESULTS.fullmatch(name)]
    if others:
        raise FileExistsError(
            f"{folder} has files that are not results, such as {min(others)}, and will not be "
            "overwritten. Choose another --output."
        )
    if not overwrite and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} has results in it. Choose another --output, or replace them with "
            "--overwrite."
        )


@contextmanager
def atomic_directory(folder, overwrite=False):
    """Make a context to write a folder, which appears when it is complete."""
    check_folder(folder, overwrite)
    folder = Path(folder).resolve()
    made = [parent for parent in folder.parents if not parent.exists()]
    try:
        with _make_temporary(folder.parent) as temporary:
            new, old = Path(temporary, "new"), Path(temporary, "old")
            new.mkdir()
            yield new
            check_folder(folder, overwrite)  # it may have been written in the meantime
            try:
                if folder.exists():
                    folder.replace(old)
                new.replace(folder)
            except BaseException:  # Ctrl-C, too
                if old.exists() and not folder.exists():
                    old.replace(folder)
                raise
    except BaseException:
        for parent in made:
            with suppress(OSError):  # others have put something there
                parent.rmdir()
        raise


def _make_temporary(parent):
    """Make a temporary folder in another."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(prefix=".skmxne-", dir=parent)
    except OSError as error:
        raise OSError(
            f"--output cannot be in {parent}: {error.strerror}. Choose another."
        ) from error


def _list_names(folder):
    """List all files and folders in a folder, as relative paths; raise if it cannot be read."""

    def fail(error):
        raise error

    for root, folders, files in os.walk(folder, onerror=fail):
        for name in folders + files:
            yield Path(root, name).relative_to(folder).as_posix()


def save_table(folder, run):
    """Write the sources of all conditions in one table."""
    rows = [
        {"condition": condition.evoked.comment} | row
        for condition in run.conditions
        for row in condition.sources
    ]
    columns = ["condition", *list_columns(True, run.arguments.subjects_dir is not None)]
    columns = list(rows[0]) if rows else columns
    if len(run.conditions) == 1:
        columns.remove("condition")
    with (folder / "sources.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            values = row.items()
            writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in values})


def save_sources(folder, stc, dipoles, residual):
    """Write the sources and the residual of an average in the formats of MNE."""
    with quiet_mne():
        for name, part in _split(stc):
            part.save(folder / name, ftype="stc")
        (folder / "dipoles").mkdir()
        for k, dipole in enumerate(dipoles, start=1):
            dipole.save(folder / "dipoles" / f"{k:02d}.dip")
        residual.save(folder / "residual-ave.fif")


def _split(stc):
    """Yield the parts of a source estimate that a file can hold, with their names."""
    if isinstance(stc, mne.SourceEstimate):
        yield "sources", stc
        return
    if isinstance(stc, mne.MixedSourceEstimate):
        yield from _split(stc.surface())
        stc = stc.volume()
    start, n_volumes = 0, len(stc.vertices)
    for k, vertices in enumerate(stc.vertices, start=1):
        data = stc.data[start : start + len(vertices)]
        start += len(vertices)
        part = mne.VolSourceEstimate(data, [vertices], stc.tmin, stc.tstep, stc.subject)
        yield f"sources{f'-{k}' if n_volumes > 1 else ''}-vl.stc", part
