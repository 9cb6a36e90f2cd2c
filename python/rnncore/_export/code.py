"""A network as C code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import Template

from rnncore._export import templates
from rnncore._export.arrays import Arrays, has_candidate, layers_of, resets_before
from rnncore._export.checking import description
from rnncore._model.model import Model
from rnncore._version import __version__

#: What the header says of the weights.
KINDS = {
    "float32": "float32; all sums in float32.",
    "int8": "8-bit integers with a float32 scale for each row; state, biases and all sums float32.",
}

#: Of cells with a candidate n: the gate that works on h_{t-1}, all gates, how the other is formed,
#: and h_t.
MIXING = {
    "GRU": ("r", "r, z", ", z = $n_logistic(a[$N_UNITS + i])", "n[i] + z * (h[i] - n[i])"),
    "MGU": ("f", "f", "", "h[i] + f * (n[i] - h[i])"),
}

#: The cells that there are templates for.
CELLS = ("RNN", "LSTM", *MIXING)

#: Between the members of a struct.
NEXT = "\n     "


@dataclass(frozen=True)
class Code:
    """The text of both files, and the bytes of what they need; see `report.Export`."""

    header: str
    source: str
    weights: int
    state: int
    scratch: int


class Writer:
    """Puts the code of one network together.

    Parameters
    ----------
    model : Model
    name : str
        With which all names begin.
    file : str
        The header's name, without ending and folder.
    dtype : {"float32", "int8"}
    libm : bool
        Whether tanhf and expf are those of the C library.
    tokens : bool
        Whether there is a step that takes a token.

    Raises
    ------
    ValueError
        If there is no template for the model's cell.
    """

    def __init__(
        self, model: Model, name: str, file: str, *, dtype: str, libm: bool, tokens: bool
    ) -> None:
        if model.cell.name not in CELLS:
            raise ValueError(
                f"net: expected one of {', '.join(CELLS)}, which C code is written for, got "
                f"{model.cell.name}"
            )
        self.model, self.name, self.file, self.dtype = model, name, file, dtype
        self.libm, self.tokens = libm, tokens
        self.skip: int = model.config.get("skip") or 0
        self.blocks = model.cell.blocks
        self.arrays = Arrays(name, dtype)
        self.head: str | None = None  # the initialiser of the read-out's matrix, where there is one

    def code(self) -> Code:
        spec = self.model.spec
        layers, finish, init = self._layers(), self._finish(), self._init()
        state = 4 * spec.state_rows * spec.hidden_size * spec.states + (4 if self.skip else 0)
        scratch = 4 * spec.hidden_size * (self.blocks + has_candidate(self.model))
        sizes = {"weights": self.arrays.size, "state": state, "scratch": scratch}
        functions = templates.FUNCTIONS + (templates.TOKEN_STEP if self.tokens else "")
        small = self.dtype == "int8"
        rest = self._filled(
            (templates.INT8_MATRIX if small else templates.FLOAT_MATRIX)
            + "$layers" + templates.COPY + self._maths() + functions, layers=layers,
            finish=finish, init=init, sums=self._rows(self.blocks),
            number="int8_t" if small else "float", weight="(float)*w++" if small else "*w++",
            scale="matrix->scales[i] * " if small else "",
            token_scale=f"{self.name}_layers[0].ih.scales[i] * (float)" if small else "",
        )  # fmt: skip
        includes = f'#include "{self.file}.h"\n\n{self._includes(rest)}'
        return Code(
            self._header(**sizes),
            "\n".join([includes, *self.arrays.code, rest]),
            **sizes,
        )

    def _filled(self, text: str, **values: object) -> str:
        named = {"n": self.name, "N": self.name.upper(), "tanh": self._tanh, **values}
        return Template(re.sub(r"\$([nN])_", r"${\1}_", text)).substitute(named)

    def _header(self, **sizes: int) -> str:
        spec = self.model.spec
        before = self.model.config["readout"] == "before"
        return self._filled(
            templates.HEADER, **sizes, title=f"{self.name}: {description(self.model)}.",
            version=__version__, kind=KINDS[self.dtype], inputs=spec.input_size,
            outputs=spec.outputs, units=spec.hidden_size, layers=spec.passes,
            fields=self._fields(), what=f"the outputs {'before' if before else 'after'} it",
            token=self._filled(templates.TOKEN_HEADER) if self.tokens else "",
        )  # fmt: skip

    def _includes(self, code: str) -> str:
        used = {"math.h": r"\b(expf|tanhf)\(", "stddef.h": r"\bNULL\b", "stdint.h": r"\bint8_t\b"}
        return "".join(
            f"#include <{file}>\n" for file, names in used.items() if re.search(names, code)
        )

    # ---- state ----------------------------------------------------------------------

    def _fields(self) -> str:
        N = self.name.upper()
        slots = f"[{self.skip}]" if self.skip else ""
        fields = [f"float h[{N}_LAYERS]{slots}[{N}_UNITS];"]
        if self.model.spec.states == 2:
            fields.append(f"float c[{N}_LAYERS][{N}_UNITS];")
        if self.skip:
            fields.append("int at; /* where the latest h is, among the last ones */")
        return lines(*fields)

    def _init(self) -> str:
        spec, config, p = self.model.spec, self.model.config, self.model.parameters
        starts = {
            part: self.arrays.vector(f"{part}0", p[f"{part}0"] if config["trainable_h0"] else None)
            for part in ("h", "c")[: spec.states]
        }
        slot, apart = ("[s]", "s > 0 ? NULL : ") if self.skip else ("", "")
        copies = []
        for part, start in starts.items():
            source = start if start == "NULL" else f"{apart}{start} + k * $N_UNITS"
            copies.append(f"$n_copy(state->{part}[k]{slot}, {source}, $N_UNITS);")
        if self.skip:
            head = f"for (s = 0; s < {self.skip}; ++s)"
            code = ["int k, s;", "state->at = 0;", "for (k = 0; k < $N_LAYERS; ++k)"]
            code += [f"    {head}", f"        {copies[0]}"]
        else:
            code = ["int k;", "for (k = 0; k < $N_LAYERS; ++k) {"]
            code += [*(f"    {copy}" for copy in copies), "}"]
        return self._filled(lines(*code))

    # ---- layers ---------------------------------------------------------------------

    def _layers(self) -> str:
        members: list[str] = []
        rows = []
        for k, layer in enumerate(layers_of(self.model)):
            matrices = [self.arrays.matrix(f"{m}_l{k}", w) for m, w in layer.matrices.items()]
            biases = [self.arrays.vector(f"{b}_l{k}", v) for b, v in layer.biases.items()]
            rows.append(f"{{{f',{NEXT}'.join(matrices + biases)}}},")
            members = [f"{self.name}_matrix {m};" for m in layer.matrices]
            members += [f"const float *{b};" for b in layer.biases]
        return self._filled(templates.LAYER, members=lines(*members), layer_rows=lines(*rows))

    def _finish(self) -> str:
        """The cells of all layers, and the read-out."""
        spec, now, new = self.model.spec, "", ""
        code = []
        if self.skip:
            code += ["const int now = state->at, next = now + 1 == $skip ? 0 : now + 1;"]
            now, new = "[now]", "[next]"
        more = spec.passes > 1
        code += ["int k;"] if more else []
        if self.model.config["readout"] == "before":
            code += self._readout(f"state->h[$N_LAYERS - 1]{now}")
        code.append(f"{self._cell_call('0', now, new)}")
        if more:
            code += [
                "for (k = 1; k < $N_LAYERS; ++k) {",
                "    $n_copy(a, $n_layers[k].bias, $sums);",
                f"    $n_add_product(a, &$n_layers[k].ih, state->h[k - 1]{new}, $sums, $N_UNITS);",
                f"    {self._cell_call('k', now, new)}",
                "}",
            ]
        if self.model.config["readout"] != "before":
            code += self._readout(f"state->h[$N_LAYERS - 1]{new}")
        if self.skip:
            code.append("state->at = next;")
        return self._filled(lines(*code), sums=self._rows(self.blocks), skip=self.skip)

    def _cell_call(self, layer: str, now: str, new: str) -> str:
        states = [f"state->h[{layer}]{now}"]
        if self.skip:
            states.append(f"state->h[{layer}]{new}")
        if self.model.spec.states == 2:
            states.append(f"state->c[{layer}]")
        return f"$n_cell(&$n_layers[{layer}], a, {', '.join(states)});"

    def _readout(self, top: str) -> list[str]:
        p = self.model.parameters
        if "head.weight" not in p:
            return [f"$n_copy(y, {top}, $N_UNITS);"]
        bias = self.arrays.vector("head_bias", p.get("head.bias"))
        self.head = self.arrays.matrix("head", p["head.weight"])
        return [
            f"$n_copy(y, {bias}, $N_OUTPUTS);",
            f"$n_add_product(y, &$n_readout, {top}, $N_OUTPUTS, $N_UNITS);",
        ]

    # ---- pointwise ------------------------------------------------------------------

    @property
    def _tanh(self) -> str:
        return "tanhf" if self.libm else f"{self.name}_tanh"

    def _rows(self, blocks: int) -> str:
        """So many times the units, in C."""
        units = f"{self.name.upper()}_UNITS"
        return f"{blocks} * {units}" if blocks > 1 else units

    def _maths(self) -> str:
        """The functions of numbers, and the cell."""
        cell, own = self._cell(), ""
        if self.head is not None:
            own = f"\nstatic const $n_matrix $n_readout = {self.head};\n"
        logistic = templates.LOGISTIC if self.libm else templates.OWN_LOGISTIC
        uses_logistic = "_logistic(" in cell
        if not self.libm and (uses_logistic or "_tanh(" in cell):
            own += templates.OWN_TANH
        return own + (logistic if uses_logistic else "") + cell

    def _cell(self) -> str:
        kind, f = self.model.cell.name, self.model.config.get("nonlinearity", "tanh")
        if kind == "RNN":
            text = templates.SKIP if self.skip else templates.ELMAN
            return self._filled(text, f=self._function(f, "a[i]"), skip=self.skip)
        if kind == "LSTM":
            return self._filled(templates.LSTM)
        first, gates, second, mix = MIXING[kind]
        text = templates.BEFORE if resets_before(self.model) else templates.AFTER
        return self._filled(
            text, first=first, gates=gates, second=self._filled(second), mix=mix,
            others=self.blocks - 1, f=self._function(f, "n[i]"),
        )  # fmt: skip

    def _function(self, name: str, of: str) -> str:
        return {
            "tanh": f"{self._tanh}({of})",
            "relu": f"{of} > 0.0f ? {of} : 0.0f",
            "sigmoid": f"{self.name}_logistic({of})",
            "identity": of,
        }[name]


def lines(*parts: str) -> str:
    """Indented, each on a line of its own."""
    return "".join(f"    {part}\n" for part in parts)
