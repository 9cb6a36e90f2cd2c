"""Names in code lead to the reference: in blocks by sphinx-codeautolink, in running text here."""

import re
from importlib import import_module

from docutils import nodes
from sphinx.domains.python import ObjectEntry
from sphinx.util.nodes import make_refnode

#: What is meant by the variables of the pages' examples.
VARIABLES = {
    "rc": "rnncore",
    "rnncore": "rnncore",
    "net": "rnncore.RNN",
    "pop": "rnncore.Population",
    "out": "rnncore.Output",
    "history": "rnncore.History",
    "flow": "rnncore.GradientFlow",
}

#: The classes that have the methods which the reference lists of `rnncore.RNN`.
NETWORKS = ("RNN", "LSTM", "GRU", "MGU")

#: A name, or a call of it and nothing after that.
WORD = re.compile(r"(\w+)((?:\.\w+)*)(\(.*\))?")


def add_other_names(app, env):
    """Enter documented objects under the names of the modules that define them, too, and methods
    of networks under every class: these are the names that code is resolved to."""
    objects = env.domains["py"].objects
    for name, entry in list(objects.items()):
        if entry.objtype in ("class", "function"):
            others = defined_as(name)
        else:
            owner, _, method = name.rpartition(".")
            others = [f"{other}.{method}" for other in defined_as(owner)]
            if owner == "rnncore.RNN":
                others += [f"rnncore.{kind}.{method}" for kind in NETWORKS]
                others += [f"rnncore._networks.{k.lower()}.{k}.{method}" for k in NETWORKS]
        alias = ObjectEntry(entry.docname, entry.node_id, entry.objtype, aliased=True)
        for other in others:
            objects.setdefault(other, alias)


def defined_as(name):
    """The name of a class or function in its own module, if it can be imported here."""
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(module), attribute)
        return [f"{found.__module__}.{found.__qualname__}"]
    except (ImportError, AttributeError, ValueError):
        return []


def meaning(text):
    """What a piece of code may be called in the reference, likeliest first."""
    found = WORD.fullmatch(text)
    if not found or found[1] not in VARIABLES:
        return []
    owner = VARIABLES[found[1]]
    if found[2]:
        return [owner + found[2]] + [owner] * (owner in ("rnncore.Output", "rnncore.GradientFlow"))
    return [f"{owner}.__call__"] if found[3] and owner != "rnncore" else []


def leave_out(app, env):
    """The gallery links its blocks itself; of the reference it would take longer than all else."""
    blocks = env.sphinx_codeautolink_transforms
    for docname in [name for name in blocks if name.startswith(("gallery/", "reference/"))]:
        del blocks[docname]


def link_words(app, doctree, docname):
    objects = app.env.domains["py"].objects
    for word in list(doctree.findall(nodes.literal)):
        within = word.parent
        while within and not isinstance(within, (nodes.reference, nodes.title)):
            within = within.parent
        if within or "xref" in word["classes"]:
            continue
        for name in meaning(word.astext()):
            if name in objects:
                there = objects[name]
                word.replace_self(
                    make_refnode(
                        app.builder, docname, there.docname, there.node_id, word.deepcopy(), name
                    )
                )
                break


def setup(app):
    app.connect("env-updated", add_other_names, priority=400)  # before codeautolink's
    app.connect("env-updated", leave_out, priority=400)
    app.connect("doctree-resolved", link_words)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
