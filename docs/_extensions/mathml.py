"""Mathematics as MathML, made when the site is built: it needs no script and no network."""

from docutils import nodes
from latex2mathml.converter import convert


def formula(self, node, display):
    text = node.astext().strip()
    if display == "block" and r"\begin{aligned}" not in text and r"\\" in text:
        text = rf"\begin{{aligned}}{text}\end{{aligned}}"
    return convert(text, display=display)


def inline(self, node):
    self.body.append(formula(self, node, "inline"))
    raise nodes.SkipNode


def block(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(formula(self, node, "block"))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
