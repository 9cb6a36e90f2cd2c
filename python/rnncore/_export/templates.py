"""The C code that every exported network has, in parts for `string.Template`.

$n is the name with which all names begin, $N the same in upper case: `$n_state`, `$N_UNITS`.
"""

from __future__ import annotations

HEADER = """\
/* $title
 *
 * Written by rnncore $version. C99 or C++, without memory allocation and global variables.
 *
 *     $n_state state;
 *     $n_init(&state);
 *     $n_step(&state, x, y);       for every time step
 *
 * Weights: $kind
 * Memory in bytes: $weights of constants; $state of state for each stream; $scratch of arrays on
 * the stack during a step, beside what the compiler needs.
 */
#ifndef $N_H
#define $N_H

#ifdef __cplusplus
extern "C" {
#endif

#define $N_INPUTS $inputs
#define $N_OUTPUTS $outputs
#define $N_UNITS $units
#define $N_LAYERS $layers
#define $N_WEIGHT_BYTES $weights
#define $N_STATE_BYTES $state
#define $N_STACK_BYTES $scratch

/* The state of one stream between its steps. It may be copied. */
typedef struct {
$fields} $n_state;

/* Makes a stream ready for its first step. */
void $n_init($n_state *state);

/* Makes it ready for the first step of another sequence: the same as $n_init. */
void $n_reset($n_state *state);

/* One time step: reads x[$N_INPUTS] and writes y[$N_OUTPUTS], $what.
 * The two must not overlap. */
void $n_step($n_state *state, const float *x, float *y);
$token
#ifdef __cplusplus
}
#endif

#endif
"""

TOKEN_HEADER = """
/* The same for a token from 0 to $N_INPUTS - 1, which stands for a one-hot x. Returns 0, or -1
 * for any other number, which changes nothing. */
int $n_step_token($n_state *state, int token, float *y);
"""

#: The types of a matrix and a layer, and what is done with them.
FLOAT_MATRIX = """\
typedef struct {
    const float *rows;
} $n_matrix;
"""

INT8_MATRIX = """\
/* A weight is an integer times the scale of its row. */
typedef struct {
    const int8_t *rows;
    const float *scales;
} $n_matrix;
"""

LAYER = """
typedef struct {
$members} $n_layer;

static const $n_layer $n_layers[$N_LAYERS] = {
$layer_rows};
"""

COPY = """
/* Where there is nothing to copy, zeros. */
static void $n_copy(float *to, const float *from, int count)
{
    int i;
    for (i = 0; i < count; ++i)
        to[i] = from == NULL ? 0.0f : from[i];
}

/* a += W x */
static void $n_add_product(
    float *a, const $n_matrix *matrix, const float *x, int rows, int columns)
{
    const $number *w = matrix->rows;
    int i, j;
    for (i = 0; i < rows; ++i) {
        float sum = 0.0f;
        for (j = 0; j < columns; ++j)
            sum += $weight * x[j];
        a[i] += ${scale}sum;
    }
}
"""

OWN_TANH = """
/* tanh x, within 5e-7 for every x: a quotient of polynomials, made for the least largest error. */
static float $n_tanh(float x)
{
    const float in = x > 8.0f ? 8.0f : x < -8.0f ? -8.0f : x, u = in * in;
    const float p = 0.999999881f + u * (0.129256606f + u * (0.00295102061f + u * 1.14283885e-05f));
    const float q = 1.0f + u * (0.462588757f + u * (0.0238155425f
        + u * (0.000238668712f + u * 2.45919949e-07f)));
    return in * p / q;
}
"""

LOGISTIC = """
static float $n_logistic(float a)
{
    return 1.0f / (1.0f + expf(-a));
}
"""

OWN_LOGISTIC = """
static float $n_logistic(float a)
{
    return 0.5f + 0.5f * $n_tanh(0.5f * a);
}
"""

#: One layer's step from a = W_ih x + b, by cell.
ELMAN = """
/* a = W_ih x_t + b; then h_t = f(a + W_hh h_{t-1}). */
static void $n_cell(const $n_layer *layer, float *a, float *h)
{
    int i;
    $n_add_product(a, &layer->hh, h, $N_UNITS, $N_UNITS);
    for (i = 0; i < $N_UNITS; ++i)
        h[i] = $f;
}
"""

SKIP = """
/* a = W_ih x_t + b; then h_t = f(a + W_hh h_{t-1} + W_skip h_{t-$skip}), which takes the place of
 * h_{t-$skip}. */
static void $n_cell(const $n_layer *layer, float *a, const float *h, float *oldest)
{
    int i;
    $n_add_product(a, &layer->hh, h, $N_UNITS, $N_UNITS);
    $n_add_product(a, &layer->skip, oldest, $N_UNITS, $N_UNITS);
    for (i = 0; i < $N_UNITS; ++i)
        oldest[i] = $f;
}
"""

LSTM = """
/* a = W_ih x_t + b for the gates i, f, g, o. */
static void $n_cell(const $n_layer *layer, float *a, float *h, float *c)
{
    int i;
    $n_add_product(a, &layer->hh, h, 4 * $N_UNITS, $N_UNITS);
    for (i = 0; i < $N_UNITS; ++i) {
        c[i] = $n_logistic(a[$N_UNITS + i]) * c[i]
            + $n_logistic(a[i]) * $tanh(a[2 * $N_UNITS + i]);
        h[i] = $n_logistic(a[3 * $N_UNITS + i]) * $tanh(c[i]);
    }
}
"""

AFTER = """
/* a = W_ih x_t + b for $gates, n; q = W_hn h_{t-1} + b_hn. */
static void $n_cell(const $n_layer *layer, float *a, float *h)
{
    float q[$N_UNITS], *n = a + $others * $N_UNITS;
    int i;
    $n_copy(q, layer->bias_hn, $N_UNITS);
    $n_add_product(q, &layer->hn, h, $N_UNITS, $N_UNITS);
    $n_add_product(a, &layer->hh, h, $others * $N_UNITS, $N_UNITS);
    for (i = 0; i < $N_UNITS; ++i) {
        const float $first = $n_logistic(a[i])$second;
        n[i] += $first * q[i];
        n[i] = $f;
        h[i] = $mix;
    }
}
"""

BEFORE = """
/* a = W_ih x_t + b for $gates, n; q = $first h_{t-1}. */
static void $n_cell(const $n_layer *layer, float *a, float *h)
{
    float q[$N_UNITS], *n = a + $others * $N_UNITS;
    int i;
    $n_add_product(a, &layer->hh, h, $others * $N_UNITS, $N_UNITS);
    for (i = 0; i < $N_UNITS; ++i)
        q[i] = $n_logistic(a[i]) * h[i];
    $n_add_product(n, &layer->hn, q, $N_UNITS, $N_UNITS);
    for (i = 0; i < $N_UNITS; ++i) {
        const float z = $n_logistic(a[$N_UNITS + i]);
        n[i] = $f;
        h[i] = $mix;
    }
}
"""

FUNCTIONS = """
/* Everything after a = W_ih x_t + b of the first layer. */
static void $n_finish($n_state *state, float *a, float *y)
{
$finish}

void $n_init($n_state *state)
{
$init}

void $n_reset($n_state *state)
{
    $n_init(state);
}

void $n_step($n_state *state, const float *x, float *y)
{
    float a[$sums];
    $n_copy(a, $n_layers[0].bias, $sums);
    $n_add_product(a, &$n_layers[0].ih, x, $sums, $N_INPUTS);
    $n_finish(state, a, y);
}
"""

TOKEN_STEP = """
int $n_step_token($n_state *state, int token, float *y)
{
    const $number *w = $n_layers[0].ih.rows;
    float a[$sums];
    int i;
    if (token < 0 || token >= $N_INPUTS)
        return -1;
    $n_copy(a, $n_layers[0].bias, $sums);
    for (i = 0; i < $sums; ++i, w += $N_INPUTS)
        a[i] += ${token_scale}w[token];
    $n_finish(state, a, y);
    return 0;
}
"""
