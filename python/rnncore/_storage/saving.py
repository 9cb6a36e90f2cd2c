"""``net.save``: a network as a file."""

from __future__ import annotations

import os

from rnncore._model.model import HasModel
from rnncore._storage import files

#: The version of saved files; raised when an older reader would misunderstand newer files.
FORMAT = 1


def save(self: HasModel, path: str | os.PathLike[str]) -> None:
    """Write the network to a file, from which `rnncore.load` makes it again.

    The file is an uncompressed ``.npz`` archive without pickled objects or, where the name ends
    in ``.safetensors``, a file of that format with the configuration in its metadata (for which
    the package safetensors has to be installed). It is written completely or not at all. The name
    is used as it is; an ending of another format, such as ``.onnx`` or ``.pt``, is refused. A
    network of a derived class is loaded as one of the class in rnncore that it derives from.

    Raises
    ------
    OSError
        If the file cannot be written, or the path is that of a folder, a pipe or a device. A file
        that was there before is unchanged.
    ImportError
        If the package safetensors is needed and not installed.
    ValueError
        If a parameter is not finite, or the name has the ending of another format.

    Examples
    --------
    >>> import os, tempfile, rnncore as rc
    >>> net = rc.RNN(2, 3, 1, loss="mse", seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net.save(os.path.join(folder, "net.npz"))
    ...     copy = rc.load(os.path.join(folder, "net.npz"))
    >>> bool((copy.flat == net.flat).all())
    True
    """
    model = self._model
    model.check_finite()
    header = {"format": FORMAT, "class": model.cell.name, "config": model.config}
    files.write(path, header, model.parameters)
