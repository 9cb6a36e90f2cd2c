"""Run the notebooks and keep what they print and draw: python tools/run_notebooks.py [notebook ...]

Each runs in a kernel of this Python, in a temporary folder. Written into the file are its outputs,
with pictures in 256 colours (half of the bytes), and nothing of times or machines. Needs the
packages of the extra "notebook".
"""

import argparse
import base64
import io
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "notebooks"
COLOURS = 256
#: What is written of a notebook's own metadata.
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def run(path: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=300, resources=resources).execute()
    return notebook


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Outputs as short as they can be, and the same however long they took."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = list(joined(cell.outputs))


def joined(outputs):
    """What a cell printed in one piece; pictures in fewer colours."""
    last = None
    for output in outputs:
        if output.output_type == "stream" and last and last.get("name") == output.name:
            last.text += output.text
            continue
        if "image/png" in output.get("data", {}):
            output.data["image/png"] = reduced(output.data["image/png"])
        yield (last := output)


def reduced(encoded: str) -> str:
    picture, packed = Image.open(io.BytesIO(base64.b64decode(encoded))), io.BytesIO()
    picture.convert("RGB").quantize(COLOURS).save(packed, "png", optimize=True)
    return base64.b64encode(packed.getvalue()).decode() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, default=sorted(FOLDER.glob("*.ipynb")))
    for path in parser.parse_args().notebooks:
        notebook = run(path)
        tidy(notebook)
        nbformat.write(notebook, path)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
