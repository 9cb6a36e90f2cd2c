"""All cells, on dual numbers."""

from libc.string cimport memset

from rnncore.duals.cells.cell cimport Cell
from rnncore.duals.cells.elman cimport elman
from rnncore.duals.cells.gru cimport gru
from rnncore.duals.cells.gru_before cimport gru_before
from rnncore.duals.cells.lstm cimport lstm
from rnncore.duals.cells.mgu cimport mgu

include "cells/table.pxi"
