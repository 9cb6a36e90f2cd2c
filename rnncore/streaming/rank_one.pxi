# The influence of the parameters on the state as one outer product, whose mean it is.
#
#     E[direction (x) influence] = ds_t/dp                               s: h, or h and c
#
# (Tallec and Ollivier, "Unbiased online recurrent optimization", ICLR 2018.)  A step has
# ds_t/dp = J ds_{t-1}/dp + D, and D = E[signs (x) signs D] for independent random signs.  The sum
# of two outer products becomes one again by adding their factors:
#
#     direction = r0 J direction + r1 signs         influence = influence / r0 + (signs D) / r1
#
# What that has too much is odd in the signs, so its mean is 0.  r0 and r1 make the factors of each
# product equally long, for the least variance.


cdef void draw_signs(real* signs, Py_ssize_t n, uint64_t* random) noexcept nogil:
    """1 or -1 by the highest bit of a number for each."""
    cdef Py_ssize_t i
    for i in range(n):
        signs[i] = -1 if next_random(random) >> 63 else 1


cdef void push_direction(
    real* out, const real* jacobian, const real* by_c, const real* before, const real* before_c,
    Py_ssize_t H,
) noexcept nogil:
    """out (H) = jacobian (H, H) before + by_c before_c, of which the last term is left out where
    before_c is NULL."""
    cdef Py_ssize_t i
    for i in range(H):
        out[i] = dot(
            by_c[i] * before_c[i] if before_c != NULL else 0, jacobian + i * H, before, H
        )


cdef inline double balance(
    const real* influence, Py_ssize_t columns, const real* direction, Py_ssize_t rows,
) noexcept nogil:
    """By what the direction is to be multiplied, and the influence divided; both are padded."""
    cdef double tiny = 1e-7
    return tiny + sqrt(
        norm_of(influence, columns // LANES) / (norm_of(direction, rows // LANES) + tiny)
    )


cdef void add_product(
    real* direction, const real* signs, Py_ssize_t rows, const real* before, real* influence,
    Py_ssize_t columns,
) noexcept nogil:
    """From `direction` (x) `before` and `signs` (x) `influence` to the one product in their
    place, `direction` (x) `influence`."""
    cdef double old = balance(before, columns, direction, rows)
    cdef double new = balance(influence, columns, signs, rows)
    cdef real by_old = <real>(1 / old), by_new = <real>(1 / new)
    cdef Py_ssize_t k
    for k in range(rows):
        direction[k] = <real>old * direction[k] + <real>new * signs[k]
    for k in range(columns):
        influence[k] = by_old * before[k] + by_new * influence[k]
