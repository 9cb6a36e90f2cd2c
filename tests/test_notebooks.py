"""The lecture runs from top to bottom, its solutions are right, and wrong answers are noticed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PATHS = sorted(Path(__file__).resolve().parents[1].glob("examples/notebooks/*.ipynb"))
#: After the solutions: every answer a little off, or of another shape.
WRONG = """
check_1(lambda *given: 1.001 * np.array(states(*given)))
check_2(lambda *given: [1.001 * part for part in terms(*given)])
check_3(lambda y, d: slope(y, d) * len(y))
check_3(lambda y, d: slope(y, d).ravel())
check_4(lambda *given: [1.001 * part for part in backward(*given)])
check_5(lambda *given: [part[::-1] for part in jacobians(*given)])
check_6(lambda r: steps_within(r) - 1)
check_7(lambda T: np.log(T))
check_8(lambda terms, k: truncated(terms, k + 1) * 1.001)
"""


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    """A notebook as it is in the file."""
    return pytest.importorskip("nbformat").read(path, as_version=4)


def printed(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


def cells(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", ())]


def test_a_notebook_runs_and_judges(notebook, tmp_path):
    for package in ("nbclient", "ipykernel", "matplotlib"):
        pytest.importorskip(package)
    import nbformat

    notebook.cells.append(nbformat.v4.new_code_cell(WRONG))
    nbformat.write(notebook, tmp_path / "run.ipynb")
    # In a process of its own, whose warnings are not ours.
    command = "from nbclient.cli import main; main()", "--inplace", str(tmp_path / "run.ipynb")
    done = subprocess.run(
        [sys.executable, "-c", *command],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = nbformat.read(tmp_path / "run.ipynb", as_version=4)
    solutions = cells(run, "solution")
    assert len(solutions) == len(cells(run, "exercise")) == len(cells(run, "check")) == 8
    for cell in solutions:
        assert {line.rpartition(": ")[2] for line in printed(cell).splitlines()} == {"right"}
    for cell in cells(run, "check"):
        assert "no answer yet" in printed(cell)
        assert "right" not in printed(cell)
    wrong = printed(run.cells[-1]).splitlines()
    assert len(wrong) == 21
    assert all(": not yet. " in line for line in wrong)


def test_what_readers_see_is_in_the_file(notebook, path):
    """Outputs of one run from top to bottom, without errors, and not too large to be shown."""
    assert path.stat().st_size < 300_000
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert {output.output_type for output in outputs} == {"stream", "display_data"}
    assert "Warning" not in str(outputs)
    assert all("right" in printed(cell) for cell in cells(notebook, "solution"))
