# Between the caller's arrays, batch first, and the lanes of a block.
#
# Checks that would need a pass of their own over the caller's numbers ride along
# here: what is wrong is noted in plan.result.faults, and the Python side, which has the
# names, then looks for the culprit.


cdef inline Py_ssize_t steps_in(
    const Plan* plan, Py_ssize_t lane, Py_ssize_t t0, Py_ssize_t n, const real* mask, bint gaps,
) noexcept nogil:
    """How many of the steps t0 .. t0 + n, from the first on, a lane's sequence has; where there may
    be gaps, up to the first of any lane."""
    if mask == NULL:
        return n
    return max(0, min(n, (plan.block.masked_from if gaps else plan.block.length[lane]) - t0))


cdef inline vreal load_part(const real* source, Py_ssize_t left) noexcept nogil:
    """A vector of which `left` numbers are there; zeros for the others."""
    cdef real part[LANES]
    cdef Py_ssize_t k
    if left >= LANES:
        return vload_any(source)
    if left <= 0:
        return vset1(0)
    for k in range(LANES):
        part[k] = source[k] if k < left else 0
    return vload_any(part)


cdef inline void store_part(real* target, vreal values, Py_ssize_t left) noexcept nogil:
    """Of a vector so many numbers."""
    cdef real part[LANES]
    cdef Py_ssize_t k
    if left >= LANES:
        vstore_any(target, values)
    elif left > 0:
        vstore_any(part, values)
        for k in range(left):
            target[k] = part[k]


cdef void gather_rows(
    Plan* plan, const real* rows, Py_ssize_t width, const Py_ssize_t* first_row,
    Py_ssize_t t0, Py_ssize_t n, const real* mask, real* lanes, Py_ssize_t lanes_step,
    bint masked_too=False,
) noexcept nogil:
    """lanes[t, d, lane] = rows[first_row[lane] + t0 + t, d]; 0 where mask (if given) is 0, with
    `masked_too` only where a lane's sequence has no such step.  What the caller gives does not
    change."""
    cdef Py_ssize_t t, d
    gather_numbers(plan, rows, width, first_row, t0, n, mask, lanes, lanes_step, masked_too)
    if plan.dual:
        for t in range(n):
            for d in range(width):
                vstore(lanes + t * lanes_step + d * plan.lanes + LANES, vset1(0))


cdef void gather_numbers(
    Plan* plan, const real* rows, Py_ssize_t width, const Py_ssize_t* first_row,
    Py_ssize_t t0, Py_ssize_t n, const real* mask, real* lanes, Py_ssize_t lanes_step,
    bint masked_too,
) noexcept nogil:
    """The same in every vector of a row."""
    cdef const real* source[MAX_LANES]
    cdef Py_ssize_t run[MAX_LANES]
    cdef vreal square[64]
    cdef vreal check[4]
    cdef Py_ssize_t t = 0, d = 0, lane, i = 0, whole = 0
    cdef bint gaps = mask != NULL and plan.masked and not masked_too
    cdef real* target
    cdef int v, k
    for lane in range(plan.lanes):
        source[lane] = rows + (first_row[lane] + t0) * width
        run[lane] = steps_in(plan, lane, t0, n, mask, gaps) * width
        whole = max(whole, run[lane])
    if plan.block.shared and not gaps:
        gather_shared(plan, source, run, width, n, lanes, lanes_step)
        return
    if mask == NULL and n * width >= LANES:
        gather_runs(plan, source, width, n * width, lanes, lanes_step)
        return
    if mask != NULL and not gaps:
        whole = n * width     # zeros after the end of each run
    for k in range(4):
        check[k] = vset1(0)
    # What a lane gets is one run of numbers: squares of LANES numbers by LANES lanes.
    while i + LANES <= whole:
        for v in range(plan.vectors):
            for k in range(LANES):
                lane = v * LANES + k
                square[k] = load_part(source[lane] + i, run[lane] - i)
                # 0 times a number is 0, 0 times infinity or NaN is NaN
                check[k & 3] = vfma(square[k], vset1(0), check[k & 3])
            vtranspose(square)
            spread(plan, square, t, d, width, lanes + v * LANES, lanes_step)
        i += LANES
        t = i // width
        d = i - t * width
    # The rest one by one.
    while t < n:
        target = lanes + t * lanes_step + d * plan.lanes
        for lane in range(plan.lanes):
            if mask == NULL or (
                mask[t * plan.lanes + lane] > 0 if gaps else t * width + d < run[lane]
            ):
                target[lane] = source[lane][t * width + d]
            else:
                target[lane] = 0
        for v in range(plan.vectors):
            check[v & 3] = vfma(vload(target + v * LANES), vset1(0), check[v & 3])
        d += 1
        if d == width:
            d = 0
            t += 1
    if vsum(vadd(vadd(check[0], check[1]), vadd(check[2], check[3]))) != 0:
        plan.result.faults |= BAD_INPUT


cdef inline void repeat(
    Py_ssize_t width, Py_ssize_t steps, const real* numbers, real* target, Py_ssize_t row,
    Py_ssize_t step,
) noexcept nogil:
    """Each of the numbers of so many steps to a vector: a step every `step` reals."""
    cdef Py_ssize_t _t, d
    for _t in range(steps):
        for d in range(width):
            vstore(target + d * row, vset1(numbers[d]))
        target += step
        numbers += width


cdef void gather_shared(
    Plan* plan, const real* const* source, const Py_ssize_t* run, Py_ssize_t width, Py_ssize_t n,
    real* lanes, Py_ssize_t lanes_step,
) noexcept nogil:
    """The same where all lanes of a vector have one sequence: no square to turn round. Zeros after
    the end of each run, which is whole steps."""
    cdef Py_ssize_t t, d, steps
    cdef const real* numbers
    cdef real* target
    cdef int v
    for v in range(plan.vectors):
        numbers, steps = source[v * LANES], run[v * LANES] // width
        if any_not_finite(numbers, steps * width):
            plan.result.faults |= BAD_INPUT
        target = lanes + v * LANES
        if width == 1:        # known to the compiler, as they are few
            repeat(1, steps, numbers, target, plan.lanes, lanes_step)
        elif width == 2:
            repeat(2, steps, numbers, target, plan.lanes, lanes_step)
        elif width == 3:
            repeat(3, steps, numbers, target, plan.lanes, lanes_step)
        else:
            repeat(width, steps, numbers, target, plan.lanes, lanes_step)
        target += steps * lanes_step
        for t in range(steps, n):
            for d in range(width):
                vstore(target + d * plan.lanes, vset1(0))
            target += lanes_step


cdef void gather_runs(
    Plan* plan, const real* const* source, Py_ssize_t width, Py_ssize_t whole, real* lanes,
    Py_ssize_t lanes_step,
) noexcept nogil:
    """The same where every lane has a run of `whole` numbers, at least LANES: all squares are full,
    because the last one overlaps the one before."""
    cdef vreal square[64]
    cdef vreal check[4]
    cdef Py_ssize_t i = 0, t = 0, d = 0
    cdef int v, k
    for k in range(4):
        check[k] = vset1(0)
    while True:
        for v in range(plan.vectors):
            for k in range(LANES):
                square[k] = vload_any(source[v * LANES + k] + i)
                check[k & 3] = vfma(square[k], vset1(0), check[k & 3])
            vtranspose(square)
            spread(plan, square, t, d, width, lanes + v * LANES, lanes_step)
        if i + LANES == whole:
            break
        i = min(i + LANES, whole - LANES)
        t = i // width
        d = i - t * width
    if vsum(vadd(vadd(check[0], check[1]), vadd(check[2], check[3]))) != 0:
        plan.result.faults |= BAD_INPUT


cdef inline void spread(
    const Plan* plan, const vreal* square, Py_ssize_t t, Py_ssize_t d, Py_ssize_t width,
    real* lanes, Py_ssize_t lanes_step,
) noexcept nogil:
    """LANES vectors to lanes[t, d], lanes[t, d + 1] .. with lanes[t + 1, 0] after a row's last."""
    cdef Py_ssize_t at = t * lanes_step + d * plan.lanes
    cdef int k
    for k in range(LANES):
        vstore(lanes + at, square[k])
        at += plan.lanes
        d += 1
        if d == width:
            d = 0
            at += lanes_step - width * plan.lanes


cdef void scatter_rows(
    const Plan* plan, const real* lanes, Py_ssize_t lanes_step, Py_ssize_t width,
    const Py_ssize_t* first_row, Py_ssize_t t0, Py_ssize_t n, const real* mask, real* rows,
    bint masked_too=False,
) noexcept nogil:
    """rows[first_row[lane] + t0 + t, d] = lanes[t, d, lane], but not where mask is 0; with
    `masked_too` wherever a lane's sequence has that step."""
    cdef vreal square[64]
    cdef Py_ssize_t end[MAX_LANES]   # of a lane's steps
    cdef Py_ssize_t run[MAX_LANES]   # numbers from the first on that surely go to its rows
    cdef Py_ssize_t t, d, at, lane, whole = 0, i = 0
    cdef bint gaps = mask != NULL and plan.masked and not masked_too
    cdef real* target
    cdef int v, k
    for lane in range(plan.block.used):
        end[lane] = steps_in(plan, lane, t0, n, mask, False)
        run[lane] = width * steps_in(plan, lane, t0, n, mask, gaps)
        whole = max(whole, run[lane])
    while i + LANES <= whole:
        for v in range(plan.vectors):
            t = i // width
            d = i - t * width
            at = t * lanes_step + (d * plan.vectors + v) * LANES
            for k in range(LANES):
                square[k] = vload(lanes + at)
                at += plan.lanes
                d += 1
                if d == width:
                    d = 0
                    at += lanes_step - width * plan.lanes
            vtranspose(square)
            for k in range(LANES):
                lane = v * LANES + k
                if lane < plan.block.used:
                    target = rows + (first_row[lane] + t0) * width
                    store_part(target + i, square[k], run[lane] - i)
        i += LANES
    for lane in range(plan.block.used):
        target = rows + (first_row[lane] + t0) * width
        t = i // width
        d = i - t * width
        while t < end[lane]:
            if not gaps or mask[t * plan.lanes + lane] > 0:
                target[t * width + d] = lanes[t * lanes_step + d * plan.lanes + lane]
            d += 1
            if d == width:
                d = 0
                t += 1


cdef void gather_tokens(
    Plan* plan, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """Token numbers into lanes."""
    cdef const real* mask = mask_of(plan, t0)
    cdef int32_t* token = plan.block.token + tape_index(plan, t0) * plan.lanes
    cdef Py_ssize_t t, lane
    cdef int64_t number
    for t in range(n):
        for lane in range(plan.lanes):
            number = 0
            if mask == NULL or t0 + t < plan.block.masked_from or mask[t * plan.lanes + lane] > 0:
                number = seqs.tokens[plan.block.start[lane] + t0 + t]
            if not 0 <= number < plan.net.inputs:
                plan.result.faults |= BAD_TOKEN
                number = 0
            token[t * plan.lanes + lane] = <int32_t>number


cdef void gather_columns(
    const Plan* plan, const Layer* layer, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """b_ih + b_hh + W_ih onehot(x_t) = b + a column of W_ih, of every token, to where a_t will be:
    the gates, or of an Elman cell the rows of h_t."""
    cdef const int32_t* token = plan.block.token + tape_index(plan, t0) * plan.lanes
    cdef Py_ssize_t given = plan.weights.given, packed = plan.weights.packed
    cdef const real* column = plan.parameters + layer.weight_ih * given
    cdef Py_ssize_t t, i, row, lane, part, H = plan.net.hidden, step = plan.a_size
    cdef real* a = plan.block.gates
    if plan.net.cell.plain:
        a, step = state(plan, layer, after(layer, tape_index(plan, t0))), layer.slot_size
    # One row of W_ih after the other: a row of a large vocabulary just fits the cache.
    for i in range(plan.net.gates * H):
        row = input_block(&plan.net.cell, i // H) * H + i % H
        for t in range(n):
            for lane in range(plan.lanes):
                part = lane // LANES if plan.dual else lane % packed
                a[t * step + row * plan.lanes + lane] = (
                    layer.step_bias[row * packed + part] + column[
                        token[t * plan.lanes + lane] * given + lane % given
                        + part * plan.weights.change
                    ]
                )
        column += plan.net.inputs * given


cdef void gather_one_hot(
    const Plan* plan, const Layer* layer, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """Every token as a vector of x_t."""
    cdef const int32_t* token = plan.block.token + tape_index(plan, t0) * plan.lanes
    cdef Py_ssize_t lanes = LANES if plan.dual else plan.lanes, t, lane
    cdef real* x = slot_of(plan, layer, before(layer, tape_index(plan, t0)))
    for t in range(n):
        memset(x, 0, layer.x_size * sizeof(real))
        for lane in range(lanes):   # of dual numbers, these do not change
            x[token[t * plan.lanes + lane] * plan.lanes + lane] = 1
        x += layer.slot_size


cdef void gather_inputs(
    Plan* plan, const Layer* layer, const Sequences* seqs, Py_ssize_t t0, Py_ssize_t n,
) noexcept nogil:
    """x_t of the first layer."""
    if plan.tokens:
        gather_tokens(plan, seqs, t0, n)
    if layer.tokens:
        gather_columns(plan, layer, t0, n)
    elif plan.tokens:
        gather_one_hot(plan, layer, t0, n)
    else:
        gather_rows(
            plan, seqs.x, plan.net.inputs, plan.block.start, t0, n, mask_of(plan, t0),
            slot_of(plan, layer, before(layer, tape_index(plan, t0))), layer.slot_size,
        )


cdef inline void find_state(const Plan* plan, Py_ssize_t row, Py_ssize_t* rows) noexcept nogil:
    """Which row of the states each lane's sequence has as its `row`-th."""
    cdef Py_ssize_t lane
    for lane in range(plan.lanes):
        rows[lane] = plan.block.sequence[lane] * state_rows(&plan.net) + row


cdef void gather_state(
    Plan* plan, const real* given, const real* start, Py_ssize_t row, real* lanes,
) noexcept nogil:
    """A row of the states into lanes: given, or the same `start` for all, or zeros."""
    cdef Py_ssize_t first_row[MAX_LANES]
    cdef Py_ssize_t H = plan.net.hidden, i
    cdef int v
    if plan.units_in_lanes:
        if given != NULL:
            start = given + (plan.block.sequence[0] * state_rows(&plan.net) + row) * H
            if any_not_finite(start, H):
                plan.result.faults |= BAD_INPUT
        memset(lanes, 0, plan.h_size * sizeof(real))
        if start != NULL:
            memcpy(lanes, start, H * sizeof(real))
    elif given != NULL:
        find_state(plan, row, first_row)
        gather_rows(plan, given, H, first_row, 0, 1, NULL, lanes, 0)
    elif start != NULL:
        for i in range(H):
            for v in range(plan.vectors):
                vstore(
                    lanes + (i * plan.vectors + v) * LANES,
                    vload(start + i * plan.weights.given + v % plan.groups * LANES)
                    if plan.models_in_lanes
                    else vset1(start[i + (v * plan.weights.change if plan.dual else 0)]),
                )
    else:
        memset(lanes, 0, H * plan.lanes * sizeof(real))


cdef void scatter_state(
    const Plan* plan, const real* lanes, Py_ssize_t row, real* states,
) noexcept nogil:
    """The same the other way round, unless nobody wants the states."""
    cdef Py_ssize_t first_row[MAX_LANES]
    if states != NULL and plan.units_in_lanes:
        states += (plan.block.sequence[0] * state_rows(&plan.net) + row) * plan.net.hidden
        memcpy(states, lanes, plan.net.hidden * sizeof(real))
    elif states != NULL:
        find_state(plan, row, first_row)
        scatter_rows(plan, lanes, 0, plan.net.hidden, first_row, 0, 1, NULL, states)
