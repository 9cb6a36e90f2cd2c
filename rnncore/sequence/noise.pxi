# Recurrent dropout and zoneout: around a step of any cell, which knows nothing of them.
#
#   dropout    W_hh meets m * h_{t-1}, where a unit of m is 0 with probability p, else 1 / (1 - p):
#              the same m at every step of a sequence (Gal and Ghahramani 2016). What reaches h_t
#              from h_{t-1} directly, and over a skip connection, is left alone.
#   zoneout    h_t = (1 - z) * step(h_{t-1}) + z * h_{t-1}, where a unit of z is 1 with probability
#              p, else 0, drawn anew at every step; and c_t likewise, with a rate and a z of its own
#              (Krueger et al. 2017). Where nothing is drawn, z is p.
#
# Of a step dL/dh_t takes two ways: through the cell, and past it.


cdef inline void fill_rows(real* rows, real number, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        rows[i] = number


cdef void draw_kept(const Plan* plan, const Layer* layer) noexcept nogil:
    """m of a block's sequences."""
    cdef Py_ssize_t lane
    cdef double share = plan.net.recurrent_dropout
    fill_rows(layer.kept, 1, plan.h_size)
    if not plan.job.drawing or least_kept(share) == 0:
        return
    for lane in range(plan.lanes):
        drop_units(
            coins_of_step(plan, layer, lane, EVERY_STEP), share, scale_of(share),
            layer.kept + lane, plan.net.hidden, plan.lanes,
        )


cdef inline void keep_share(const Plan* plan, const Layer* layer, Py_ssize_t slot) noexcept nogil:
    """m * h_{t-1} to where the step reads it."""
    cdef const real* h = state(plan, layer, slot)
    cdef real* met = slot_of(plan, layer, slot) + layer.x_size
    cdef Py_ssize_t k = 0
    while k < plan.h_size:
        vstore(met + k, vmul(vload(layer.kept + k), vload(h + k)))
        k += LANES


cdef void draw_through(
    const Plan* plan, const Layer* layer, Py_ssize_t t, double share, uint64_t which,
) noexcept nogil:
    """1 - z of step t, of h or of c, into plan.block.through."""
    cdef Py_ssize_t lane
    if not plan.job.drawing:
        fill_rows(plan.block.through, <real>(1 - share), plan.h_size)
        return
    fill_rows(plan.block.through, 1, plan.h_size)
    for lane in range(plan.lanes):
        drop_units(
            coins(coins_of_step(plan, layer, lane, <uint64_t>t), which), share, 1,
            plan.block.through + lane, plan.net.hidden, plan.lanes,
        )


cdef inline vreal mixed(vreal through, vreal new, vreal old) noexcept nogil:
    """The new in this share, else the old: exactly one of them where that is 0 or 1."""
    return vfma(vsub(vset1(1), through), old, vmul(through, new))


cdef void mix(real* new, const real* old, const real* through, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t k = 0
    while k < n:
        vstore(new + k, mixed(vload(through + k), vload(new + k), vload(old + k)))
        k += LANES


cdef void mix_evenly(real* new, const real* old, double share, Py_ssize_t n) noexcept nogil:
    """As `mix`, where that share of every number stays as it was."""
    cdef Py_ssize_t k = 0
    cdef vreal through = vset1(<real>(1 - share))
    while k < n:
        vstore(new + k, mixed(through, vload(new + k), vload(old + k)))
        k += LANES


cdef void zone_out(
    const Plan* plan, const Layer* layer, Py_ssize_t at, Py_ssize_t t,
) noexcept nogil:
    """A part of the state that step t has left, at that tape index, as it was before."""
    cdef Py_ssize_t old = before(layer, at), new = after(layer, at)
    cdef real* through = plan.block.through
    if plan.net.zoneout > 0:
        draw_through(plan, layer, t, plan.net.zoneout, OF_H)
        mix(state(plan, layer, new), state(plan, layer, old), through, plan.h_size)
    if plan.net.zoneout_c > 0:
        draw_through(plan, layer, t, plan.net.zoneout_c, OF_C)
        mix(memory(plan, layer, new), memory(plan, layer, old), through, plan.h_size)


cdef void part(
    const Plan* plan, real* gradient, real* aside, const real* mask,
) noexcept nogil:
    """z times a gradient aside, and the rest through the step; all of it where mask says that the
    step does not count."""
    cdef Py_ssize_t i
    cdef int v
    cdef vreal d, through
    cdef const real* share = plan.block.through
    for i in range(plan.net.hidden):
        for v in range(plan.vectors):
            d, through = vload(gradient), vload(share)
            if mask != NULL:
                through = vselect(vless(vset1(0), vload(mask + v * LANES)), through, vset1(1))
            vstore(aside, vmul(vsub(vset1(1), through), d))
            vstore(gradient, vmul(through, d))
            gradient += LANES
            aside += LANES
            share += LANES


cdef void part_zoned(
    const Plan* plan, const Layer* layer, Py_ssize_t t, const real* mask,
) noexcept nogil:
    """What of dL/dh_t and dL/dc_t goes past step t into plan.block.aside; layer.dh and dc are then
    what goes through it."""
    cdef real* aside = plan.block.aside
    memset(aside, 0, 2 * plan.h_size * sizeof(real))
    if plan.net.zoneout > 0:
        draw_through(plan, layer, t, plan.net.zoneout, OF_H)
        part(plan, layer.dh, aside, mask)
    if plan.net.zoneout_c > 0:
        draw_through(plan, layer, t, plan.net.zoneout_c, OF_C)
        part(plan, layer.dc, aside + plan.h_size, mask)


cdef void set_direct_aside(const Plan* plan, const Layer* layer, bint direct) noexcept nogil:
    """Before the products: layer.dh, where that is what reaches h_{t-1} directly, goes past them;
    what they add to it begins with nothing."""
    if direct:
        add_rows(plan.block.aside, layer.dh, plan.h_size)
    memset(layer.dh, 0, plan.h_size * sizeof(real))


cdef void rejoin(const Plan* plan, const Layer* layer) noexcept nogil:
    """dL/dh_{t-1} = m * (what came through W_hh) + what went past, and dL/dc_{t-1}."""
    cdef Py_ssize_t k = 0
    cdef const real* aside = plan.block.aside
    while k < plan.h_size:
        vstore(
            layer.dh + k, vfma(vload(layer.kept + k), vload(layer.dh + k), vload(aside + k))
        )
        k += LANES
    if plan.net.zoneout_c > 0:
        add_rows(layer.dc, aside + plan.h_size, plan.h_size)
