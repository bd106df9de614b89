"""Links to the sites of MNE and scikit-learn, made of the names alone: nothing is downloaded."""

from docutils import nodes

# Both have a page for every public class and function.
SITES = {
    "mne": "https://mne.tools/stable/generated/{}.html",
    "sklearn": "https://scikit-learn.org/stable/modules/generated/{}.html",
}
# Sections that docstrings of scikit-learn refer to.
SECTIONS = {
    "r2_score": "https://scikit-learn.org/stable/modules/model_evaluation.html#r2-score",
}


def setup(app):
    """Register the handler."""
    app.connect("missing-reference", link_to_site)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def link_to_site(app, env, node, content):
    """Return a link for a name of another package, or None."""
    target = node.get("reftarget", "")
    if target in SECTIONS:
        return nodes.reference("", "", content, internal=False, refuri=SECTIONS[target])
    site = SITES.get(target.partition(".")[0])
    if node.get("refdomain") != "py" or site is None or "." not in target:
        return None
    owner = target.rpartition(".")[0]
    # Methods are on the page of their class.
    is_member = owner.rpartition(".")[2][:1].isupper()
    url = f"{site.format(owner)}#{target}" if is_member else site.format(target)
    return nodes.reference("", "", content, internal=False, refuri=url, reftitle=target)
