"""The lanes of lanes.h and activations.h, as Cython sees them.

``real`` is float or double and ``vreal`` a vector of LANES of them; which ones,
the C compiler decides (RNN_DOUBLE, and the instruction set it compiles for).
"""

cdef extern from "simd/lanes.h" nogil:
    ctypedef float real
    ctypedef struct vreal:
        pass
    ctypedef struct vmask:
        pass
    const int LANES                          # reals in a vreal
    const int TILE_SUMS                      # most vectors of sums in a register tile

    vreal vload(const real* p)               # p aligned to the vector
    void vstore(real* p, vreal a)
    vreal vload_any(const real* p)           # any p
    void vstore_any(real* p, vreal a)
    vreal vset1(real s)
    vreal vadd(vreal a, vreal b)
    vreal vsub(vreal a, vreal b)
    vreal vmin(vreal a, vreal b)             # a < b ? a : b
    vreal vmul(vreal a, vreal b)
    vreal vdiv(vreal a, vreal b)
    vreal vfma(vreal a, vreal b, vreal c)    # a * b + c
    real real_fma(real a, real b, real c)    # the same for one number
    vreal vsqrt(vreal a)
    vreal vabs(vreal a)
    vmask vless(vreal a, vreal b)
    vreal vselect(vmask m, vreal a, vreal b)  # where m, a, else b
    real vsum(vreal a)
    void vtranspose(vreal* rows)             # a square of LANES vectors: rows to columns

    unsigned long long flush_subnormals()
    void restore_subnormals(unsigned long long mode)

cdef extern from "simd/activations.h" nogil:
    vreal vexp(vreal x)
    vreal vlog(vreal a)
    vreal vlog_ratio(vreal sum, vreal ratio, vreal offset)
    vreal vlog1p_unit(vreal e)
    vreal vlogistic(vreal x, vreal* slope)
    vreal vrelu(vreal x, vreal* slope)
    # Of `many` vectors, a literal up to MANY, side by side.
    const int MANY
    void vgates(int many, const vreal* x, vreal* s, vreal* slope)
    void vgates_both(int many, const vreal* x, vreal* s, vreal* slope, vreal* rest_of_1)
    void vlog_gates(int many, const vreal* x, vreal* log, vreal* s, vreal* rest_of_1)
    void vtanhs(int many, const vreal* x, vreal* y, vreal* slope)
