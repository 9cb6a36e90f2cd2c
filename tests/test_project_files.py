"""What surrounds the package: the files in which its version stands, and GitHub's forms."""

import re
import tomllib
from pathlib import Path

import pytest

import rnncore

ROOT = Path(__file__).resolve().parents[1]
FORMS = ROOT / ".github" / "ISSUE_TEMPLATE"

pytestmark = pytest.mark.skipif(not (ROOT / "CITATION.cff").exists(), reason="needs the source")


@pytest.mark.parametrize(
    ("name", "line"),
    [("CITATION.cff", "version: (.+)"), ("conda/recipe.yaml", '  version: "(.+)"')],
)
def test_files_say_the_version(name, line):
    text = (ROOT / name).read_text("utf-8")
    assert re.findall(f"^{line}$", text, re.M) == [rnncore.__version__]


def test_the_conda_recipe_has_the_requirements_of_the_package():
    """One line each, "numpy >=2.0" for "numpy>=2.0"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    recipe = (ROOT / "conda" / "recipe.yaml").read_text("utf-8")
    host, run = re.search(r"^  host:\n(.*?)^  run:\n(.*?)^\n", recipe, re.S | re.M).groups()
    for requirement in project["build-system"]["requires"]:
        name, versions = re.fullmatch(r"(\w+)(.*)", requirement.lower()).groups()
        assert f"    - {name}" in host, name
        assert name == "numpy" or f"    - {name} {versions}\n" in host, requirement
    for requirement in project["project"]["dependencies"]:
        name, versions = re.fullmatch(r"(\w+)(.*)", requirement).groups()
        assert f"    - {name} {versions}" in run, requirement
    (least,) = re.findall(r'match\(python, "<(.+)"\)', recipe)
    assert project["project"]["requires-python"] == f">={least}"


@pytest.mark.skipif(not FORMS.exists(), reason="not in an sdist")
@pytest.mark.parametrize("path", sorted(FORMS.glob("[!c]*.yml")), ids=lambda path: path.stem)
def test_forms_have_what_they_need(path):
    """GitHub shows none of a form in which something is missing or unknown."""
    yaml = pytest.importorskip("yaml")
    form = yaml.safe_load(path.read_text("utf-8"))
    assert set(form) == {"name", "description", "labels", "body"}
    allowed = {
        "textarea": {"label", "description", "render", "value", "placeholder"},
        "dropdown": {"label", "description", "options", "multiple"},
        "checkboxes": {"label", "description", "options"},
        "markdown": {"value"},
    }
    for part in form["body"]:
        assert set(part) <= {"type", "id", "attributes", "validations"}
        assert set(part["attributes"]) <= allowed[part["type"]]
        assert set(part.get("validations", ())) <= {"required"}
    asked = [part for part in form["body"] if part["type"] != "markdown"]
    names = [part["id"] for part in asked]
    assert len(set(names)) == len(names)
    assert all(part["attributes"]["label"] for part in asked)


def test_pages_and_names_of_llms_txt_exist():
    text = (ROOT / "docs" / "llms.txt").read_text("utf-8")
    pages = re.findall(r"\]\(([\w/]+)\.html\)", text)
    assert len(pages) == len(set(pages)) == text.count("](")
    for page in pages:
        assert any((ROOT / "docs" / f"{page}.{kind}").exists() for kind in ("md", "rst")), page
    for name in re.findall(r"\brc\.(\w+)", text):
        assert hasattr(rnncore, name), name
    for name in re.findall(r"\bnet\.(\w+)", text):
        assert hasattr(rnncore.RNN, name), name


def test_how_to_pages_are_in_llms_txt():
    text = (ROOT / "docs" / "llms.txt").read_text("utf-8")
    for folder in ("tutorials", "howto", "explanation"):
        for page in (ROOT / "docs" / folder).glob("*.md"):
            assert page.stem == "index" or f"({folder}/{page.stem}.html)" in text, page


def test_links_of_the_changes_and_policies_lead_somewhere():
    for name in ("CHANGELOG.md", "SECURITY.md", "README.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#]+)[)#]", (ROOT / name).read_text("utf-8")):
            path = link.removeprefix("https://github.com/rnncore/rnncore/blob/main/")
            assert path.startswith("https://") or (ROOT / path).exists(), f"{name}: {link}"
