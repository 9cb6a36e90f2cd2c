# Streams: entry points.

cdef enum:
    WORTH_RELEASING = 200_000  # multiply-adds for which the GIL is released: some 20 us


cdef inline double multiply_adds(const Network* net, Py_ssize_t steps) noexcept:
    return <double>steps * net.hidden * net.layers * (net.hidden + net.inputs)


cdef list parts_of(tuple results, const Network* net):
    """The arrays of (y, state)."""
    return [results[0], *results[1]] if net.cell.memory else [results[0], results[1]]


cdef bint are_results(
    out, int ndim, Py_ssize_t first, Py_ssize_t second, Py_ssize_t count, const Network* net,
):
    """Whether `out` is an array to write y of that shape, and a state to write into."""
    cdef Py_ssize_t i, j
    cdef list arrays
    if type(out) is not tuple or len(out) != 2 or not is_state(out[1], count, net):
        return False
    if not is_plain(out[0]) or not is_shaped(out[0], ndim, first, second):
        return False
    arrays = parts_of(out, net)
    for i in range(len(arrays)):
        if not cnp.PyArray_ISWRITEABLE(arrays[i]):
            return False
        for j in range(i):
            if overlap(arrays[i], arrays[j]):
                return False
    return True


cdef bint are_apart(out, x, state, const Network* net):
    """Whether what is written for one stream leaves alone what is read for the next; each part of
    the state may be written where it is read."""
    cdef Py_ssize_t i, j
    cdef list arrays = parts_of(out, net), given
    given = [] if state is None else parts_of((x, state), net)[1:]
    for i in range(len(arrays)):
        if overlap(arrays[i], x):
            return False
        for j in range(len(given)):
            if i == j + 1 and data_of(arrays[i]) == data_of(given[j]):
                continue
            if overlap(arrays[i], given[j]):
                return False
    return True


cdef cnp.ndarray in_precision(cnp.ndarray x):
    """A C-ordered matrix of either precision in this core's; what overflows it becomes infinite,
    without numpy's warning."""
    cdef cnp.ndarray result
    cdef Py_ssize_t i, n = cnp.PyArray_SIZE(x)
    cdef real* numbers
    if cnp.PyArray_ITEMSIZE(x) == sizeof(real):
        return x
    result = new_reals(2, cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 1))
    numbers = data_of(result)
    for i in range(n):
        if sizeof(real) == sizeof(float):
            numbers[i] = <real>(<const double*>cnp.PyArray_DATA(x))[i]
        else:
            numbers[i] = (<const float*>cnp.PyArray_DATA(x))[i]
    return result


cdef bint better_in_lanes(const Network* net, Py_ssize_t count) noexcept:
    """Whether so many streams are stepped faster as a batch, side by side in lanes: weights that
    do not fit the first-level cache are read once for many of them there, and a few units do not
    fill a vector here.  (Measured: what is fewer takes up to ten times as long that way.)"""
    if net.hidden > 128:
        return count > 32
    return count > 1000 and 2 * net.hidden <= LANES


@cython.final
cdef class Stream:
    """Sequences step by step, from call to call.

    Both calls return None, having done nothing, where anything has to be looked at more
    closely: arrays that are not plain, shapes that do not fit, numbers that are not finite.
    """

    cdef Engine engine
    cdef Units units           # None while a call uses them

    def __cinit__(self, Engine engine not None):
        self.engine = engine

    def step(self, x_t, state, out):
        """(y (K), state (states, H)) after one step from `state`, into the arrays of `out` if it
        is given.  x_t: (D) numbers of either precision, or a token.  Of many streams
        see `step_all`."""
        cdef Network* net = &self.engine.net
        cdef Units units
        cdef int64_t token = 0
        cdef int too_large = 0     # the token is then -1
        cdef bint tokens = False, bad
        cdef tuple results
        cdef State first, final
        cdef real* y
        if not net.has_stream:
            return None
        if cnp.PyArray_CheckExact(x_t):
            if not is_shaped(x_t, 1, net.inputs, 0) or not is_either_real(x_t):
                return self.step_all(x_t, state, out)
        elif type(x_t) is int or (
            isinstance(x_t, cnp.integer) and not cnp.is_timedelta64_object(x_t)
        ):
            tokens = True
            token = PyLong_AsLongLongAndOverflow(PyNumber_Index(x_t), &too_large)
        else:
            return None
        if state is not None and not is_state(state, 0, net):
            return None
        if out is None:
            results = (new_reals(1, net.outputs, 0), new_state(0, net))
        elif are_results(out, 1, net.outputs, 0, 0, net):
            results = out
        else:
            return None
        units = self.borrow(tokens)
        first, y, final = state_of(state), data_of(results[0]), state_of(results[1])
        if tokens:
            bad = units.advance(NULL, &token, &first, 1, y, &final)
        else:
            bad = units.advance(units.as_reals(x_t), NULL, &first, 1, y, &final)
        self.engine.end_reading()
        self.swap_units(units)
        return None if bad else results

    cdef tuple step_all(self, cnp.ndarray x_t, state, out):
        """(y (B, K), state (B, states, H)) after one step of each of B streams.  x_t: (B, D)
        numbers of either precision, or tokens, (B) where B is not D, or (B, 1)."""
        cdef Network* net = &self.engine.net
        cdef Units units
        cdef cnp.ndarray x = x_t
        cdef bint bad
        cdef Py_ssize_t count
        cdef tuple results
        cdef const real* numbers = NULL
        cdef const int64_t* indices = NULL
        cdef State first, final
        cdef real* y
        if cnp.PyArray_NDIM(x_t) < 1:
            return None
        count = cnp.PyArray_DIM(x_t, 0)
        if count < 1 or better_in_lanes(net, count):
            return None
        if is_shaped(x_t, 2, count, net.inputs) and is_either_real(x_t):
            x = in_precision(x_t)
            numbers = data_of(x)
        elif is_plain_of(x_t, c"i", sizeof(int64_t)) and net.inputs > 1 and (
            is_shaped(x_t, 2, count, 1) or cnp.PyArray_NDIM(x_t) == 1 and count != net.inputs
        ):
            indices = <const int64_t*>cnp.PyArray_DATA(x_t)
        else:
            return None
        if state is not None and not is_state(state, count, net):
            return None
        if out is None:
            results = (new_reals(2, count, net.outputs), new_state(count, net))
        elif are_results(out, 2, count, net.outputs, count, net) and (
            are_apart(out, x, state, net)
        ):
            results = out
        else:
            return None
        units = self.borrow(numbers == NULL)
        first, y, final = state_of(state), data_of(results[0]), state_of(results[1])
        if multiply_adds(net, count) < WORTH_RELEASING:
            bad = units.advance_all(numbers, indices, &first, count, y, &final)
            self.engine.end_reading()
        else:
            with nogil:
                bad = units.advance_all(numbers, indices, &first, count, y, &final)
                self.engine.end_reading()
        self.swap_units(units)
        return None if bad else results

    def run(self, x, state, out):
        """(y (T, K), state (states, H)) after the T steps of x (T, D), or of tokens x (T)."""
        cdef Network* net = &self.engine.net
        cdef Units units
        cdef bint tokens = False, bad
        cdef Py_ssize_t steps
        cdef tuple results
        cdef const real* numbers = NULL
        cdef const int64_t* indices = NULL
        cdef State first, final
        cdef real* y
        if not net.has_stream:
            return None
        if not cnp.PyArray_CheckExact(x) or cnp.PyArray_NDIM(x) < 1 or cnp.PyArray_DIM(x, 0) < 1:
            return None
        steps = cnp.PyArray_DIM(x, 0)
        if is_plain(x) and is_shaped(x, 2, steps, net.inputs):
            numbers = data_of(x)
        elif is_plain_of(x, c"i", sizeof(int64_t)) and is_shaped(x, 1, steps, 0):
            indices = <const int64_t*>cnp.PyArray_DATA(x)
        else:
            return None
        if state is not None and not is_state(state, 0, net):
            return None
        if out is None:
            results = (new_reals(2, steps, net.outputs), new_state(0, net))
        elif are_results(out, 2, steps, net.outputs, 0, net) and not overlap(x, out[0]):
            results = out
        else:
            return None
        units = self.borrow(numbers == NULL)
        first, y, final = state_of(state), data_of(results[0]), state_of(results[1])
        if multiply_adds(net, steps) < WORTH_RELEASING:
            bad = units.advance(numbers, indices, &first, steps, y, &final)
            self.engine.end_reading()
        else:
            with nogil:
                bad = units.advance(numbers, indices, &first, steps, y, &final)
                self.engine.end_reading()
        self.swap_units(units)
        return None if bad else results

    def generate(
        self, Py_ssize_t first, Py_ssize_t last, y, state,
        double temperature, uint64_t[::1] seeds, int64_t[::1] next_tokens, int64_t[:, ::1] tokens,
        double[:, ::1] log_probabilities, real[:, :, ::1] outputs,
    ):
        """The steps first .. last of streams that go on from their outputs y (B, K), with what
        they generated as the next input: tokens (B, steps) with log_probabilities, see
        `draw_tokens`, or without tokens outputs (B, steps, K).  y, the state (B, states, H) and
        next_tokens (B) are written over.  Returns how many steps have been done in all, fewer than
        `last` where a number was not finite."""
        cdef Network* net = &self.engine.net
        cdef Units units
        cdef Py_ssize_t count, steps, done
        cdef bint drawn = tokens is not None
        cdef Draws draws
        cdef State now
        cdef real* outputs_before
        if drawn and next_tokens is not None and log_probabilities is not None:
            count, steps = tokens.shape[0], tokens.shape[1]
            expect("next_tokens", next_tokens.shape[0], count)
            expect("log_probabilities", log_probabilities.shape[0], count)
            expect("log_probabilities", log_probabilities.shape[1], steps)
        elif outputs is not None and not drawn:
            count, steps = outputs.shape[0], outputs.shape[1]
            expect("outputs", outputs.shape[2], net.outputs)
            expect("inputs", net.inputs, net.outputs)
        else:
            raise ValueError("outputs: expected them, or arrays for tokens")
        if not net.has_stream or not are_results(
            (y, state), 2, count, net.outputs, count, net
        ):
            raise ValueError("y: expected outputs and the state of every stream, to write over")
        if seeds is not None:
            expect("seeds", seeds.shape[0], count)
        if not 0 <= first <= last <= steps:
            raise ValueError(f"last: expected at most {steps} and at least {first}, got {last}")
        if count == 0 or first == last:
            return last
        draws.temperature = temperature
        draws.seeds = NULL if seeds is None else &seeds[0]
        units = self.borrow(drawn)
        now, outputs_before = state_of(state), data_of(y)
        with nogil:
            done = go_on(
                units, count, first, last, steps, outputs_before, &now, &draws,
                &next_tokens[0] if drawn else NULL, &tokens[0, 0] if drawn else NULL,
                &log_probabilities[0, 0] if drawn else NULL,
                NULL if drawn else &outputs[0, 0, 0],
            )
            self.engine.end_reading()
        self.swap_units(units)
        return done

    def play(
        self, Py_ssize_t first, Py_ssize_t last, y, state, spare, real[:, ::1] x not None,
        const real[:, :, ::1] inputs not None, const double[:, :, ::1] probabilities not None,
        uint64_t[::1] seeds not None, real[:, :, ::1] seen not None,
        int64_t[:, ::1] chosen not None, double[:, :, ::1] likely not None,
    ):
        """The trials first .. last of streams whose next inputs are drawn from `inputs` (choices,
        outcomes, D) with `probabilities` (trials or 1, choices, outcomes), see `Played`.  x (n, D),
        y (n, K) and the states are written over.  Returns how many trials have been done in all,
        fewer than `last` where a number was not finite."""
        cdef const Network* net = &self.engine.net
        cdef Py_ssize_t n = seen.shape[0], trials = seen.shape[1], done
        cdef Py_ssize_t C = inputs.shape[0], outcomes = inputs.shape[1]
        cdef Units units
        cdef Answers answers
        cdef Played played
        for name, got, wanted in (
            ("x", x.shape[0], n), ("x", x.shape[1], net.inputs), ("seeds", seeds.shape[0], n),
            ("inputs", inputs.shape[2], net.inputs), ("seen", seen.shape[2], net.inputs),
            ("inputs", C, max(net.outputs, 2)), ("probabilities", probabilities.shape[1], C),
            ("probabilities", probabilities.shape[2], outcomes), ("chosen", chosen.shape[0], n),
            ("chosen", chosen.shape[1], trials), ("likely", likely.shape[0], n),
            ("likely", likely.shape[1], trials), ("likely", likely.shape[2], C),
        ):
            expect(name, got, wanted)
        if probabilities.shape[0] != 1:
            expect("probabilities", probabilities.shape[0], trials)
        if not net.has_stream or not (
            are_results((y, state), 2, n, net.outputs, n, net)
            and are_results((y, spare), 2, n, net.outputs, n, net)
        ):
            raise ValueError("y: expected outputs and states of every stream, to write over")
        if not 0 <= first <= last <= trials:
            raise ValueError(f"last: expected at most {trials} and at least {first}, got {last}")
        if n == 0 or outcomes == 0 or first == last:
            return last
        answers.choices, answers.outcomes, answers.inputs = C, outcomes, &inputs[0, 0, 0]
        answers.probabilities = &probabilities[0, 0, 0]
        answers.by_trial = probabilities.shape[0] != 1
        played.trials, played.x, played.y, played.seeds = trials, &x[0, 0], data_of(y), &seeds[0]
        played.now, played.spare = state_of(state), state_of(spare)
        played.seen, played.chosen = &seen[0, 0, 0], &chosen[0, 0]
        played.likely = &likely[0, 0, 0]
        units = self.borrow(False)
        with nogil:
            done = play(units, n, first, last, &answers, &played)
            self.engine.end_reading()
        self.swap_units(units)
        return done

    cdef Units borrow(self, bint tokens):
        """The packed weights, for oneself: a second thread makes its own.  The caller ends
        the reading."""
        cdef Units units = self.swap_units(None)
        if units is None:
            units = Units(self.engine)
        self.engine.begin_reading()
        try:
            units.refresh(self.engine, tokens)
        except MemoryError:
            self.engine.end_reading()
            raise
        return units

    cdef inline Units swap_units(self, Units units):
        """Take the packed weights and leave others, or None, as one act."""
        cdef Units taken
        with cython.critical_section(self):
            taken, self.units = self.units, units
        return taken
