"""One step of the GRU, reset after the product.

    forward     r = s(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)                 s: logistic
                z = s(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)
                q = W_hn h_{t-1} + b_hn
                n = tanh(W_in x_t + b_in + r * q)
                h_t = (1 - z) * n + z * h_{t-1}
    backward    dL/da_z = dL/dh_t * (h_{t-1} - n) z'
                dL/da_n = dL/dh_t * (1 - z) n'
                dL/da_r = dL/da_n * q r'
                dL/dq   = dL/da_n * r
                dL/dh_{t-1} = dL/dh_t * z + W_hh^T [dL/da_r ; dL/da_z ; dL/dq]

The four blocks of H rows are in the order n r z q: what x_t enters is the first three, what
h_{t-1} enters the last three.
"""

from rnncore.lanes cimport (
    LANES, real, vfma, vload, vlogistic, vlogistic_both, vmul, vreal, vstore, vsub, vtanh,
)
from rnncore.plan cimport Layer, Plan
from rnncore.products cimport affine

# Blocks of saved rows: the factors in da_n, da_r, da_z, in dq, and in dh_{t-1}.
cdef enum:
    OF_N, OF_R, OF_Z, OF_Q, KEPT_H


cdef inline void gru_gates(
    Py_ssize_t n, const real* a, const real* h_before, real* h, real* saved,
) noexcept nogil:
    """From the four products in a, blocks of n reals, and h_{t-1} to h_t, of n; and what is
    saved, unless that is NULL."""
    cdef Py_ssize_t k = 0
    cdef vreal r, z, not_z, q, new, h_old, slope_r, slope_z, slope_n
    while k < n:
        r = vlogistic(vload(a + n + k), &slope_r)
        z = vlogistic_both(vload(a + 2 * n + k), &slope_z, &not_z)
        q = vload(a + 3 * n + k)
        new = vtanh(vfma(r, q, vload(a + k)), &slope_n)
        h_old = vload(h_before + k)
        # h_t = (1 - z) * n + z * h_{t-1}
        vstore(h + k, vfma(z, h_old, vmul(not_z, new)))
        if saved != NULL:
            vstore(saved + OF_N * n + k, vmul(not_z, slope_n))
            vstore(saved + OF_R * n + k, vmul(q, slope_r))
            vstore(saved + OF_Z * n + k, vmul(vsub(h_old, new), slope_z))
            vstore(saved + OF_Q * n + k, r)
            vstore(saved + KEPT_H * n + k, z)
        k += LANES


cdef inline void gru_forward(
    const Plan* plan, const Layer* layer, const real* u, real* a, real* h, real* saved,
) noexcept nogil:
    """u (rows, lanes) = [x_t ; h_{t-1}] -> h_t (H, lanes), and what is saved.

    a (4 H, lanes) is room; of tokens, its first three blocks hold W_ih x_t and the biases
    already and u has no rows for x_t.
    """
    cdef Py_ssize_t H = plan.net.hidden, n = H * plan.lanes
    cdef const real* h_before = u + layer.input_rows * plan.lanes
    if not layer.tokens:
        affine(
            plan.vectors, a, layer.new_weight, layer.step_bias, u, H, layer.input_rows, False
        )
    affine(
        plan.vectors, a + n, layer.step_weight, layer.step_bias + H, u, 2 * H, layer.rows,
        layer.tokens,
    )
    affine(
        plan.vectors, a + 3 * n, layer.reset_weight, layer.step_bias + 3 * H, h_before, H, H, False
    )
    gru_gates(n, a, h_before, h, saved)


cdef inline void gru_da(
    const Plan* plan, const real* saved, real* dh, real* da,
) noexcept nogil:
    """dL/da_t (4 H, lanes), and dh from dL/dh_t to dL/dh_t * z."""
    cdef Py_ssize_t n = plan.net.hidden * plan.lanes, k = 0
    cdef vreal d, d_new
    while k < n:
        d = vload(dh + k)
        d_new = vmul(d, vload(saved + OF_N * n + k))
        vstore(da + k, d_new)
        vstore(da + n + k, vmul(d_new, vload(saved + OF_R * n + k)))
        vstore(da + 2 * n + k, vmul(d, vload(saved + OF_Z * n + k)))
        vstore(da + 3 * n + k, vmul(d_new, vload(saved + OF_Q * n + k)))
        vstore(dh + k, vmul(d, vload(saved + KEPT_H * n + k)))
        k += LANES
