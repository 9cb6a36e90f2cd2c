"""The names of `rnncore.simd.lanes` for the dual numbers of duals.h."""

from rnncore.simd.lanes cimport real, vmask

cdef extern from "duals/simd/duals.h" nogil:
    ctypedef struct vreal "vdual":
        pass
    const int LANES "DUAL_LANES"             # reals in a dual vector

    vreal vload "dual_load"(const real* p)
    void vstore "dual_store"(real* p, vreal a)
    vreal vload_any "dual_load_any"(const real* p)
    void vstore_any "dual_store_any"(real* p, vreal a)
    vreal vset1 "dual_set1"(real s)          # which does not change
    vreal vadd "dual_add"(vreal a, vreal b)
    vreal vsub "dual_sub"(vreal a, vreal b)
    vreal vmin "dual_min"(vreal a, vreal b)
    vreal vmul "dual_mul"(vreal a, vreal b)
    vreal vdiv "dual_div"(vreal a, vreal b)
    vreal vfma "dual_fma"(vreal a, vreal b, vreal c)
    vreal vabs "dual_abs"(vreal a)
    vmask vless "dual_less"(vreal a, vreal b)
    vreal vselect "dual_select"(vmask m, vreal a, vreal b)
    real vsum "dual_sum"(vreal a)            # of the numbers

    vreal vexp "dual_exp"(vreal x)
    vreal vlog_ratio "dual_log_ratio"(vreal sum, vreal ratio, vreal offset)
    vreal vlog1p_unit "dual_log1p_unit"(vreal e)
    vreal vrelu "dual_relu"(vreal x, vreal* slope)
    const int MANY
    void vgates "dual_gates"(int many, const vreal* x, vreal* s, vreal* slope)
    void vgates_both "dual_gates_both"(
        int many, const vreal* x, vreal* s, vreal* slope, vreal* rest_of_1)
    void vlog_gates "dual_log_gates"(
        int many, const vreal* x, vreal* log, vreal* s, vreal* rest_of_1)
    void vtanhs "dual_tanhs"(int many, const vreal* x, vreal* y, vreal* slope)
