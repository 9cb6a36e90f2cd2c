# A switching network: W_hh and b_hh are others for every token (Ji-An, Benna and Mattar 2025).
#
# The sequences side by side have different tokens at a step, so a step's rows have h_{t-1} once for
# every token, and zeros in the lanes that have another one:
#
#    u = [e ; e_1 m h_{t-1} ; .. ; e_V m h_{t-1}]          e = onehot(x_t), V tokens
#
# W_ih and b_hh meet e, and W_hh of token k its copy. That is one product of all, forward, and for
# dL/dW; what is multiplied by zero is V - 1 of V, which costs less than to look up a weight for
# every lane as long as V is not larger than a vector.  Zeros add nothing: the bits are those of the
# token's own matrices.


cdef inline vreal where_chosen(const real* e, vreal number) noexcept nogil:
    """The number in lanes that have the token, else 0."""
    return vselect(vless(vset1(0), vload(e)), number, vset1(0))


cdef inline const real* chosen(
    const Plan* plan, const Layer* layer, Py_ssize_t slot, Py_ssize_t token, int v,
) noexcept nogil:
    """e of a token for the v-th vector of a row; of dual numbers, what does not change of it."""
    return slot_of(plan, layer, slot) + token * plan.lanes + (0 if plan.dual else v * LANES)


cdef void switch_state(const Plan* plan, const Layer* layer, Py_ssize_t slot) noexcept nogil:
    """e_k m h_{t-1} of every token to where the step reads it."""
    cdef const real* h = state(plan, layer, slot)
    cdef real* met = slot_of(plan, layer, slot) + layer.x_size
    cdef Py_ssize_t k, i, at
    cdef int v
    for k in range(plan.net.inputs):
        for i in range(plan.net.hidden):
            for v in range(plan.vectors):
                at = (i * plan.vectors + v) * LANES
                vstore(met + at, where_chosen(
                    chosen(plan, layer, slot, k, v), vmul(vload(layer.kept + at), vload(h + at))
                ))
        met += plan.h_size


cdef void switch_back(
    const Plan* plan, const Layer* layer, Py_ssize_t at, const real* da,
) noexcept nogil:
    """layer.dh += W_hh^T dL/da_t, W_hh that of each lane's token, of the gates that meet
    h_{t-1}."""
    cdef Py_ssize_t H = plan.net.hidden, met = gates_of_state(&plan.net.cell) * H, k, i, place
    cdef real* dh = plan.block.through   # which is free then
    cdef int v
    for k in range(plan.net.inputs):
        weigh(
            plan, dh, layer.back_weight + k * H * met * plan.weights.packed, plan.no_bias, da, H,
            met, False,
        )
        for i in range(H):
            for v in range(plan.vectors):
                place = (i * plan.vectors + v) * LANES
                vstore(layer.dh + place, vadd(vload(layer.dh + place), where_chosen(
                    chosen(plan, layer, before(layer, at), k, v), vload(dh + place)
                )))
