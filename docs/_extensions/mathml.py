"""Mathematics as MathML, made when the site is built: it needs no script and no network."""

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util.logging import getLogger

#: A function's name before what is no bracket, from which it has to keep a distance.
NAME = re.compile(r"(<mi>(?:log|ln|exp|tanh|max|logistic)</mi>)(?!<mo[^>]*>&#x0*28;)")


def formula(node, display):
    text = re.sub(r"\b(begin|end)\{aligned\}", r"\1{align*}", node.astext().strip())
    made = convert(text, display=display).replace(r">\|<", ">&#x02016;<")
    if "\\" in made or "&amp;" in made or ">&<" in made:  # it leaves what it does not know
        getLogger(__name__).warning("a formula with what MathML is not made of: %s", text)
    return NAME.sub(r'\1<mspace width="0.17em"/>', made)


def inline(self, node):
    self.body.append(formula(node, "inline"))
    raise nodes.SkipNode


def block(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(formula(node, "block"))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
