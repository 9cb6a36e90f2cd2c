"""All losses, on dual numbers."""

from libc.string cimport memset

from rnncore.duals.losses.bce cimport bce
from rnncore.duals.losses.cross_entropy cimport cross_entropy
from rnncore.duals.losses.gaussian cimport gaussian
from rnncore.duals.losses.huber cimport huber
from rnncore.duals.losses.loss cimport Loss
from rnncore.duals.losses.mse cimport mse
from rnncore.duals.losses.poisson cimport poisson

cdef extern from "<math.h>" nogil:
    const double INFINITY

include "losses/table.pxi"
