/* int8 convolution, square kernel, any stride, padding and channels.
 *
 * An output row's operands are spread out to int16, then all its pixels are computed for two channels at a
 * time (tile.h), so that the weights are streamed once per row. Two forms:
 * - rows (in_channels a multiple of 4): the `kernel` input rows that an output row reads are spread out once
 *   each, in a ring, with zeros at both ends; in HWC order a window is then `kernel` contiguous runs.
 * - columns (any other in_channels): each pixel's window is copied out, spread and filled up to whole groups.
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

/* In columns, whole groups of four read up to three bytes past a channel's weights. From this channel on that
 * would leave the array, so these read a copy: the last pair, or all if their weights are even fewer. */
static int32_t first_copied(const params_t *p) {
    return p->kernel * p->kernel * p->in_channels < 3 ? 0 : (p->out_channels - 1) / 2 * 2;
}

static int32_t copied_bytes(const params_t *p) {
    return (p->out_channels - first_copied(p)) * p->kernel * p->kernel * p->in_channels + 3;
}

int32_t micronas_convolution_scratch_bytes(const params_t *p) {
    if (uses_rows(p))
        return 4 * p->kernel + 2 * p->kernel * row_pixels(p) * p->in_channels;
    return 2 * p->out_width * column_values(p) + copied_bytes(p);
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

/* Where the operands of an output row are: in `run_count` runs of `groups` groups of four, see tile.h. `skipped`
 * weights come before the first one's; from `copied` on, a channel pair's weights are at `copies`. */
typedef struct {
    const int16_t *x;
    const int32_t *runs;
    int32_t run_count, groups, next, skipped;
    const int8_t *copies;
    int32_t copied;
} operands_t;

static void convolve_row(const params_t *p, const operands_t *from, int8_t *output) {
    mn_tile tile;
    tile.runs = from->runs;
    tile.run_count = from->run_count;
    tile.groups = from->groups;
    for (int32_t channel = 0; channel < p->out_channels; channel += 2) {
        prepare(p, channel, &tile);
        tile.w0 += from->skipped;
        tile.w1 += from->skipped;
        if (channel >= from->copied) {
            const int32_t moved = (channel - from->copied) * p->kernel * p->kernel * p->in_channels;
            tile.w1 = from->copies + moved + (tile.w1 - tile.w0);
            tile.w0 = from->copies + moved;
        }
        tile.x = from->x;
        tile.next = from->next;
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
        const int32_t skipped = (rows.first + p->pad - y * p->stride) * run;
        const operands_t from = {ring, runs, rows.count, run / 4, p->stride * p->in_channels, skipped, 0, INT32_MAX};
        convolve_row(p, &from, output);
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

static void convolve_by_columns(const params_t *p, const int8_t *input, int8_t *output, int16_t *columns) {
    const int32_t values = column_values(p), size = p->kernel * p->kernel * p->in_channels;
    const int32_t copied = first_copied(p), only_run = 0;
    int8_t *copies = (int8_t *)(columns + p->out_width * values);
    const operands_t from = {columns, &only_run, 1, values / 4, values, 0, copies, copied};
    mn_fill(mn_copy(copies, p->weights + copied * size, (p->out_channels - copied) * size), 0, 3);
    for (int32_t y = 0; y < p->out_height; y++) {
        for (int32_t x = 0; x < p->out_width; x++) fill_column(p, input, y, x, columns + x * values);
        convolve_row(p, &from, output);
        output += p->out_width * p->out_channels;
    }
}

void micronas_convolution(const params_t *params, const int8_t *input, int8_t *output, void *scratch) {
    if (uses_rows(params)) convolve_by_rows(params, input, output, scratch);
    else convolve_by_columns(params, input, output, (int16_t *)scratch);
}
