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
#include "tile.h"
#include "window.h"

typedef micronas_convolution_params params_t;

static int32_t uses_rows(const params_t *p) { return p->in_channels % 4 == 0; }

/* Pixels of a spread row: those that the windows of an output row cover. */
static int32_t row_pixels(const params_t *p) { return (p->out_width - 1) * p->stride + p->kernel; }

static int32_t column_values(const params_t *p) {
    return 4 * mn_groups(p->kernel * p->kernel * p->in_channels);
}

int32_t micronas_convolution_scratch_bytes(const params_t *p) {
    if (uses_rows(p))
        return 4 * p->kernel + 2 * p->kernel * row_pixels(p) * p->in_channels;
    return 2 * 2 * column_values(p);
}

/* A tile for two output channels; the last of an odd number is paired with itself. */
static void prepare(const params_t *p, int32_t channel, mn_tile *tile) {
    const int32_t size = p->kernel * p->kernel * p->in_channels;
    const int32_t second = channel + 1 < p->out_channels, next = channel + second;
    tile->w0 = p->weights + channel * size;
    tile->w1 = p->weights + next * size;
    tile->second = second;
    tile->low = p->output_min;
    tile->high = p->output_max;
    tile->is_clamped = p->output_min > -128 || p->output_max < 127;
    tile->start[0] = tile->start[1] = p->bias[channel];
    tile->start[2] = tile->start[3] = p->bias[next];
    mn_tile_rescales(tile, mn_prepare(p->multiplier[channel], p->shift[channel], p->output_zero_point),
                     mn_prepare(p->multiplier[next], p->shift[next], p->output_zero_point));
}

/* --- rows ------------------------------------------------------------------------------------------- */

static void spread_row(const params_t *p, const int8_t *row, int16_t *to) {
    const int32_t channels = p->in_channels, pixels = row_pixels(p);
    const int32_t inside = pixels - p->pad < p->in_width ? pixels - p->pad : p->in_width;
    mn_zeros(to, p->pad * channels);
    mn_spread(to + p->pad * channels, row, inside * channels, p->input_zero_point, p->relu_in);
    mn_zeros(to + (p->pad + inside) * channels, (pixels - p->pad - inside) * channels);
}

/* One output row from the runs of its windows that lie inside the image; `skipped` weights come before them. */
static void convolve_row(const params_t *p, const int16_t *ring, const int32_t *runs, int32_t run_count,
                         int32_t skipped, int8_t *output) {
    mn_tile tile;
    for (int32_t channel = 0; channel < p->out_channels; channel += 2) {
        prepare(p, channel, &tile);
        tile.w0 += skipped;
        tile.w1 += skipped;
        tile.runs = runs;
        tile.run_count = run_count;
        tile.groups = p->kernel * p->in_channels / 4;
        tile.x = ring;
        tile.next = p->stride * p->in_channels;
        tile.out = output + channel;
        tile.out_next = p->out_channels;
        tile.pairs = p->out_width / 2;
        if (tile.pairs) mn_run_tile(&tile);
        if (p->out_width % 2) {
            tile.next = tile.out_next = 0;
            tile.pairs = 1;
            mn_run_tile(&tile);
        }
    }
}

static void convolve_by_rows(const params_t *p, const int8_t *input, int8_t *output, void *scratch) {
    int32_t *runs = (int32_t *)scratch;
    int16_t *ring = (int16_t *)(void *)(runs + p->kernel);
    const int32_t row_values = row_pixels(p) * p->in_channels, run = p->kernel * p->in_channels;
    int32_t spread = 0; /* input rows below this one were spread */
    for (int32_t y = 0; y < p->out_height; y++) {
        const mn_span rows = mn_inside(y, p->stride, p->pad, p->kernel, p->in_height);
        for (int32_t i = 0; i < rows.count; i++) {
            const int32_t row = rows.first + i;
            runs[i] = row % p->kernel * row_values;
            if (row >= spread) spread_row(p, input + row * p->in_width * p->in_channels, ring + runs[i]);
        }
        spread = rows.first + rows.count;
        convolve_row(p, ring, runs, rows.count, (rows.first + p->pad - y * p->stride) * run, output);
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

/* Two pixels from their columns; of one pixel, both are the same. */
static void convolve_columns(const params_t *p, const int16_t *column0, const int16_t *column1, int8_t *output) {
    const int32_t size = p->kernel * p->kernel * p->in_channels, whole = size / 4 * 4, tail = size % 4;
    const int32_t only_run = 0;
    mn_tile tile;
    for (int32_t channel = 0; channel < p->out_channels; channel += 2) {
        prepare(p, channel, &tile);
        tile.runs = &only_run;
        tile.run_count = 1;
        tile.groups = whole / 4;
        tile.x = column0;
        tile.next = (int32_t)(column1 - column0);
        tile.pairs = 1;
        tile.out = output + channel;
        tile.out_next = column1 == column0 ? 0 : p->out_channels;
        if (tail) {
            tile.start[0] = mn_dot_tail(tile.w0 + whole, column0 + whole, tail, tile.start[0]);
            tile.start[1] = mn_dot_tail(tile.w0 + whole, column1 + whole, tail, tile.start[1]);
            tile.start[2] = mn_dot_tail(tile.w1 + whole, column0 + whole, tail, tile.start[2]);
            tile.start[3] = mn_dot_tail(tile.w1 + whole, column1 + whole, tail, tile.start[3]);
        }
        mn_run_tile(&tile);
    }
}

static void convolve_by_columns(const params_t *p, const int8_t *input, int8_t *output, int16_t *columns) {
    int16_t *second = columns + column_values(p);
    for (int32_t y = 0; y < p->out_height; y++) {
        for (int32_t x = 0; x < p->out_width; x += 2) {
            const int32_t pixels = x + 1 < p->out_width ? 2 : 1;
            fill_column(p, input, y, x, columns);
            if (pixels == 2) fill_column(p, input, y, x + 1, second);
            convolve_columns(p, columns, pixels == 2 ? second : columns, output);
            output += pixels * p->out_channels;
        }
    }
}

void micronas_convolution(const params_t *params, const int8_t *input, int8_t *output, void *scratch) {
    if (uses_rows(params)) convolve_by_rows(params, input, output, scratch);
    else convolve_by_columns(params, input, output, (int16_t *)scratch);
}
