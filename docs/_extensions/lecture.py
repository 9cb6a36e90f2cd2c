"""The lecture as a page: the notebook as it was run, with a link to take it along."""

import json
from pathlib import Path

FOLDER = Path(__file__).parents[1]
NOTEBOOK = FOLDER.parent / "examples" / "notebooks" / "bptt.ipynb"
PAGE = FOLDER / "lecture" / "bptt.ipynb"

TAKE = """

This page shows the notebook with what it printed and drew when it was run.
{download}`Download it <../../examples/notebooks/bptt.ipynb>` to work on the exercises; [how to open
it](../explanation/index.md)."""


def copy(app, config):
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    notebook["cells"][0]["source"].append(TAKE)
    text = json.dumps(notebook, ensure_ascii=False)
    text = text.replace("](../../docs/", "](../").replace("](#Solutions)", "](#solutions)")
    PAGE.parent.mkdir(exist_ok=True)
    if not PAGE.exists() or PAGE.read_text("utf-8") != text:  # else Sphinx would read it again
        PAGE.write_text(text, "utf-8")


def setup(app):
    app.connect("config-inited", copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
