"""All cells. To add one, add it here."""

from libc.string cimport memset

from rnncore.cells.cell cimport Cell
from rnncore.cells.elman cimport elman
from rnncore.cells.gru cimport gru
from rnncore.cells.gru_before cimport gru_before
from rnncore.cells.lstm cimport lstm
from rnncore.cells.mgu cimport mgu

include "cells/table.pxi"
