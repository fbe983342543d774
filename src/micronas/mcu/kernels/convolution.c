/* int8 convolution, square kernel, any stride, padding and channels.
 *
 * Two forms with one inner loop (2 channels x 2 pixels):
 * - rows (in_channels a multiple of 4): the `kernel` input rows that an output row reads are spread out to
 *   int16 once each, in a ring, zeros at both ends; in HWC order a window is then `kernel` contiguous runs.
 *   Weights are streamed once per output row.
 * - columns (any other in_channels): the windows of two pixels are copied out and spread.
 */
#include "micronas_kernels.h"

#include "bytes.h"
#include "dot.h"
#include "rescale.h"

typedef micronas_convolution_params params_t;

static int32_t uses_rows(const params_t *p) { return p->in_channels % 4 == 0; }

/* Pixels of a spread row: those that the windows of an output row cover. */
static int32_t row_pixels(const params_t *p) { return (p->out_width - 1) * p->stride + p->kernel; }

static int32_t column_values(const params_t *p) {
    return 4 * mn_groups(p->kernel * p->kernel * p->in_channels);
}

int32_t micronas_convolution_scratch_bytes(const params_t *p) {
    if (uses_rows(p)) return 2 * p->kernel * row_pixels(p) * p->in_channels;
    return 2 * 2 * column_values(p);
}

/* The constants of two output channels; the last of an odd number is paired with itself. */
typedef struct {
    const int8_t *w0, *w1;
    int32_t bias0, bias1;
    mn_rescale first, second;
    int32_t paired;
} channel_pair;

static channel_pair prepare(const params_t *p, int32_t channel) {
    const int32_t size = p->kernel * p->kernel * p->in_channels;
    const int32_t paired = channel + 1 < p->out_channels, next = channel + paired;
    const channel_pair pair = {
        p->weights + channel * size,
        p->weights + next * size,
        p->bias[channel],
        p->bias[next],
        mn_prepare(p->multiplier[channel], p->shift[channel], p->output_zero_point),
        mn_prepare(p->multiplier[next], p->shift[next], p->output_zero_point),
        paired,
    };
    return pair;
}

MN_INLINE void store(const params_t *p, const channel_pair *pair, int32_t acc0, int32_t acc1, int8_t *output) {
    output[0] = (int8_t)mn_clamp(mn_apply(acc0, &pair->first), p->output_min, p->output_max);
    if (pair->paired) output[1] = (int8_t)mn_clamp(mn_apply(acc1, &pair->second), p->output_min, p->output_max);
}

/* --- rows ------------------------------------------------------------------------------------------- */

static void spread_row(const params_t *p, const int8_t *row, int16_t *to) {
    const int32_t channels = p->in_channels, pixels = row_pixels(p);
    const int32_t inside = pixels - p->pad < p->in_width ? pixels - p->pad : p->in_width;
    mn_zeros(to, p->pad * channels);
    mn_spread(to + p->pad * channels, row, inside * channels, p->input_zero_point, p->relu_in);
    mn_zeros(to + (p->pad + inside) * channels, (pixels - p->pad - inside) * channels);
}

/* The kernel rows [first, first + rows) that lie inside the image, as runs in the ring. */
typedef struct {
    const int16_t *ring;
    int32_t row_values, kernel; /* the ring holds `kernel` rows */
    int32_t first_slot, rows;
    int32_t weight_offset, run;
} window_rows;

MN_INLINE void dot_rows_2x2(const window_rows *window, const channel_pair *pair, int32_t at, int32_t next,
                            int32_t acc[4]) {
    const int8_t *w0 = pair->w0 + window->weight_offset, *w1 = pair->w1 + window->weight_offset;
    int32_t slot = window->first_slot;
    for (int32_t row = 0; row < window->rows; row++) {
        const int16_t *x = window->ring + slot * window->row_values + at;
        mn_dot_2x2(w0, w1, x, x + next, window->run / 4, acc);
        w0 += window->run;
        w1 += window->run;
        slot = slot + 1 == window->kernel ? 0 : slot + 1;
    }
}

MN_INLINE void dot_rows_2x1(const window_rows *window, const channel_pair *pair, int32_t at, int32_t acc[2]) {
    const int8_t *w0 = pair->w0 + window->weight_offset, *w1 = pair->w1 + window->weight_offset;
    int32_t slot = window->first_slot;
    for (int32_t row = 0; row < window->rows; row++) {
        mn_dot_2x1(w0, w1, window->ring + slot * window->row_values + at, window->run / 4, acc);
        w0 += window->run;
        w1 += window->run;
        slot = slot + 1 == window->kernel ? 0 : slot + 1;
    }
}

static void convolve_row(const params_t *p, const window_rows *window, int8_t *output) {
    const int32_t step = p->stride * p->in_channels, channels = p->out_channels;
    for (int32_t channel = 0; channel < channels; channel += 2) {
        const channel_pair pair = prepare(p, channel);
        int8_t *to = output + channel;
        int32_t x = 0;
        for (; x + 1 < p->out_width; x += 2) {
            int32_t acc[4] = {pair.bias0, pair.bias0, pair.bias1, pair.bias1};
            dot_rows_2x2(window, &pair, x * step, step, acc);
            store(p, &pair, acc[0], acc[2], to);
            store(p, &pair, acc[1], acc[3], to + channels);
            to += 2 * channels;
        }
        if (x < p->out_width) {
            int32_t acc[2] = {pair.bias0, pair.bias1};
            dot_rows_2x1(window, &pair, x * step, acc);
            store(p, &pair, acc[0], acc[1], to);
        }
    }
}

static void convolve_by_rows(const params_t *p, const int8_t *input, int8_t *output, int16_t *ring) {
    const int32_t row_values = row_pixels(p) * p->in_channels;
    int32_t spread = 0; /* input rows below this one were spread */
    for (int32_t y = 0; y < p->out_height; y++) {
        const int32_t top = y * p->stride - p->pad;
        const int32_t first = top > 0 ? top : 0;
        const int32_t end = top + p->kernel < p->in_height ? top + p->kernel : p->in_height;
        const int32_t run = p->kernel * p->in_channels;
        for (int32_t row = spread > first ? spread : first; row < end; row++)
            spread_row(p, input + row * p->in_width * p->in_channels, ring + row % p->kernel * row_values);
        spread = end;
        const window_rows window = {ring, row_values, p->kernel, first % p->kernel, end - first, (first - top) * run,
                                    run};
        convolve_row(p, &window, output);
        output += p->out_width * p->out_channels;
    }
}

/* --- columns ---------------------------------------------------------------------------------------- */

/* The bytes of the window whose first pixel is (y, x); outside the image, the zero point. */
static void gather(const params_t *p, const int8_t *input, int32_t y, int32_t x, int8_t *to) {
    const int32_t channels = p->in_channels, zero = p->input_zero_point;
    const int32_t left = x < 0 ? -x : 0, end = x + p->kernel < p->in_width ? x + p->kernel : p->in_width;
    const int32_t inside = end - x - left;
    for (int32_t row = y; row < y + p->kernel; row++) {
        if (row < 0 || row >= p->in_height) {
            to = mn_fill(to, zero, p->kernel * channels);
            continue;
        }
        to = mn_fill(to, zero, left * channels);
        to = mn_copy(to, input + (row * p->in_width + x + left) * channels, inside * channels);
        to = mn_fill(to, zero, (p->kernel - left - inside) * channels);
    }
}

/* The window spread out. Its bytes are gathered into the upper half of the column: spreading the groups
 * in order never overwrites a byte not yet read. */
static void fill_column(const params_t *p, const int8_t *input, int32_t y, int32_t x, int16_t *column) {
    const int32_t size = p->kernel * p->kernel * p->in_channels;
    int8_t *bytes = (int8_t *)column + column_values(p);
    gather(p, input, y * p->stride - p->pad, x * p->stride - p->pad, bytes);
    mn_spread(column, bytes, size, p->input_zero_point, p->relu_in);
}

static void convolve_columns(const params_t *p, const int16_t *column0, const int16_t *column1, int32_t pixels,
                             int8_t *output) {
    const int32_t size = p->kernel * p->kernel * p->in_channels, whole = size / 4, tail = size % 4;
    for (int32_t channel = 0; channel < p->out_channels; channel += 2) {
        const channel_pair pair = prepare(p, channel);
        int32_t acc[4] = {pair.bias0, pair.bias0, pair.bias1, pair.bias1};
        mn_dot_2x2(pair.w0, pair.w1, column0, column1, whole, acc);
        if (tail) {
            const int32_t at = 4 * whole;
            acc[0] = mn_dot_tail(pair.w0 + at, column0 + at, tail, acc[0]);
            acc[1] = mn_dot_tail(pair.w0 + at, column1 + at, tail, acc[1]);
            acc[2] = mn_dot_tail(pair.w1 + at, column0 + at, tail, acc[2]);
            acc[3] = mn_dot_tail(pair.w1 + at, column1 + at, tail, acc[3]);
        }
        store(p, &pair, acc[0], acc[2], output + channel);
        if (pixels == 2) store(p, &pair, acc[1], acc[3], output + channel + p->out_channels);
    }
}

static void convolve_by_columns(const params_t *p, const int8_t *input, int8_t *output, int16_t *columns) {
    int16_t *second = columns + column_values(p);
    for (int32_t y = 0; y < p->out_height; y++) {
        for (int32_t x = 0; x < p->out_width; x += 2) {
            const int32_t pixels = x + 1 < p->out_width ? 2 : 1;
            fill_column(p, input, y, x, columns);
            if (pixels == 2) fill_column(p, input, y, x + 1, second);
            convolve_columns(p, columns, pixels == 2 ? second : columns, pixels, output);
            output += pixels * p->out_channels;
        }
    }
}

void micronas_convolution(const params_t *params, const int8_t *input, int8_t *output, void *scratch) {
    if (uses_rows(params)) convolve_by_rows(params, input, output, (int16_t *)scratch);
    else convolve_by_columns(params, input, output, (int16_t *)scratch);
}
