"""All losses. To add one, add it here."""

from libc.string cimport memset

from rnncore.losses.bce cimport bce
from rnncore.losses.cross_entropy cimport cross_entropy
from rnncore.losses.gaussian cimport gaussian
from rnncore.losses.huber cimport huber
from rnncore.losses.loss cimport Loss
from rnncore.losses.mse cimport mse
from rnncore.losses.poisson cimport poisson

cdef extern from "<math.h>" nogil:
    const double INFINITY

include "losses/table.pxi"
