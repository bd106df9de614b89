"""Writing results: a folder whole or not at all."""

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import mne

from .mne_inputs import hush_mne

# What a folder of results may have in it.
_PATTERNS = (
    *("report.html", "sources.png", "residual.png", "alpha.png", "residual-ave.fif"),
    *("sources-lh.stc", "sources-rh.stc", "sources-vl.stc", "sources-[0-9]*-vl.stc"),
    *("dipoles", "dipoles/[0-9][0-9]*.dip"),
)


def check_folder(folder, overwrite=False):
    """Raise an error unless results may be written to a folder.

    Parameters
    ----------
    folder : path-like
        The folder. It may be there if it is empty.
    overwrite : bool, default=False
        Whether it may have results in it. Other files never are overwritten.

    Raises
    ------
    FileExistsError
        If it may not be written to.
    """
    folder = Path(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise FileExistsError(f"{folder} is not a folder. Choose another --output.")
    others = set(folder.rglob("*")).difference(*map(folder.glob, _PATTERNS))
    if others:
        raise FileExistsError(
            f"{folder} has files in it that are no results, such as {min(others).name}, and will "
            "not be overwritten. Choose another --output."
        )
    if not overwrite and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} has results in it. Choose another --output, or replace them with "
            "--overwrite."
        )


@contextmanager
def write_whole(folder, overwrite=False):
    """Make a context in which a folder is written that appears once it is complete.

    Parameters
    ----------
    folder : path-like
        The folder. After an error it is as it was.
    overwrite : bool, default=False
        As for `check_folder`.

    Yields
    ------
    new : Path
        Where to write to.
    """
    check_folder(folder, overwrite)
    folder = Path(folder).resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
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


def save_sources(folder, stc, dipoles, residual):
    """Write sources and residual in the formats of MNE.

    Parameters
    ----------
    folder : Path
        The folder, which is empty.
    stc : instance of mne.SourceEstimate, VolSourceEstimate or MixedSourceEstimate
        The source estimate, for `sources-lh.stc` and `sources-rh.stc`, and `sources-vl.stc` if
        there is a volume, with numbers if there are several.
    dipoles : list of mne.Dipole
        The dipoles, for one file each in the folder `dipoles`.
    residual : instance of mne.Evoked
        What they leave of the data, for `residual-ave.fif`.
    """
    with hush_mne():
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
