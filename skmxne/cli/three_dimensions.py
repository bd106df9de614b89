"""Lines of Python that draw the sources of a run in three dimensions, with MNE."""

from .terminal import to_readable


def write_lines(run):
    """Return lines that read and draw the results of a run; empty if there is nothing to draw."""
    src, arguments, lines, stcs = run.src, run.arguments, [], []
    imports = ["import mne"]
    n_surfaces = sum(space["type"] == "surf" for space in src)
    for k, condition in enumerate(run.conditions, start=1):
        folder, end = arguments.output, ""
        if len(run.conditions) > 1:
            folder, end = folder / f"condition-{k}", f"_{k}"
        vertices = condition.stc.vertices
        if any(map(len, vertices[:n_surfaces])):
            stcs.append(f"stc{end}")
            lines.append(f"{stcs[-1]} = {_read(folder / 'sources', src)}")
            if arguments.forward is not None:
                plot = 'hemi="both", subjects_dir=subjects_dir'
                lines.append(f"{stcs[-1]}.plot({plot})")
        for space in range(n_surfaces, len(src)):
            if src[space]["type"] != "vol" or not len(vertices[space]):
                continue
            part = f"-{space - n_surfaces + 1}" if len(src) - n_surfaces > 1 else ""
            lines.append(f"volume{end} = {_read(folder / f'sources{part}-vl.stc', src)}")
            lines += _keep_vertices(f"volume{end}.vertices[0]", space)
            lines.append(f"volume{end}.plot(part, subjects_dir=subjects_dir)")
            imports = ["import mne", "import numpy as np"]
    if stcs:
        lines.append(f'mne.viz.plot_sparse_source_estimates(forward["src"], [{", ".join(stcs)}])')
    return "\n".join([*imports, *_read_forward(arguments), *lines]) if lines else ""


def _keep_vertices(vertices, space):
    """Return lines that restrict a source space to the vertices of the sources, as MNE needs it."""
    return [
        f'part, used = forward["src"][{space}:{space + 1}].copy(), {vertices}',
        'inuse = np.isin(np.arange(part[0]["np"]), used).astype(int)',
        "part[0].update(vertno=used, nuse=len(used), inuse=inuse)",
    ]


def _read_forward(arguments):
    """Return the lines that read the forward solution."""
    if arguments.forward is None:
        forward = "make_recording().forward"
        return [
            "from skmxne.datasets import make_recording",
            "",
            f"forward = {forward}",
        ]
    folder = "/path/to/subjects" if arguments.subjects_dir is None else arguments.subjects_dir
    return [
        "",
        f"forward = mne.read_forward_solution({_quote(arguments.forward)})",
        f"subjects_dir = {_quote(folder)}  # FreeSurfer's folder of subjects",
    ]


def _read(path, src):
    """Return the code that reads a source estimate; its file does not have the subject."""
    subject = src[0].get("subject_his_id")
    return f"mne.read_source_estimate({_quote(path)}, subject={subject!r})"


def _quote(path):
    return repr(to_readable(str(path)))
