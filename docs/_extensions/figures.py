"""Figures and tables for light and dark pages, and for narrow ones."""

import re
from pathlib import Path

from docutils import nodes
from PIL import Image

#: A figure that has a second one for dark pages beside it, which a code host does not show.
LIGHT = re.compile(r"^!\[(.*)\]\((\S+)-light\.svg\)$", re.M)

#: Of figures that scroll on a phone, where their writing would be too small: width / height.
WIDE = 1.9

#: A cell of a table that has nothing but a number with spaces between its thousands.
NUMBER = re.compile(r"(?<=\| )\d{1,3}(?: \d{3})+(?= \|)")

#: Letters from which on a cell's text has so many words that its column must not become narrow.
WORDS = 20


def read(app, name, source):
    """Figures called -light.svg also as -dark.svg, each shown on its ground."""

    def pair(found):
        return "\n".join(
            f"```{{image}} {found[2]}-{light}.svg\n:alt: {found[1]}\n:class: only-{light}\n```"
            for light in ("light", "dark")
        )

    source[0] = NUMBER.sub(
        lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), LIGHT.sub(pair, source[0])
    )


def mark_wide(app, doctree):
    for image in doctree.findall(nodes.image):
        path = Path(app.srcdir, image["uri"])
        if path.suffix == ".png" and path.exists():
            with Image.open(path) as picture:
                if picture.width > WIDE * picture.height:
                    image["classes"].append("wide")


def mark_words(app, doctree):
    """Columns of tables with text, not only numbers and names."""
    for table in doctree.findall(nodes.tgroup):
        rows = [row.children for row in table.findall(nodes.row)]
        for column in zip(*rows, strict=False):
            if max(len(cell.astext()) for cell in column) > WORDS:
                for cell in column:
                    cell["classes"].append("words")


def setup(app):
    app.connect("source-read", read)
    app.connect("doctree-read", mark_wide)
    app.connect("doctree-read", mark_words)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
