"""The signs of ReLUs as packed bits, compiled: collected, counted apart, compared."""

from __future__ import annotations

import numpy as np

from micronas.proxies.engine.compiled.compiling import keep_apart, part
from micronas.proxies.engine.compiled.layout import LANES
from micronas.proxies.engine.compiled.steps import strides


@part
def signs(arena, source, first, its, border, blocks, bits):
    """Set the bits of all samples from number `first` on, 64 to a word; bits is (words, samples)."""
    keep_apart()
    channels, height, width = its.c_out, its.h_out, its.w_out
    row, plane, inside = strides(height, width, border)
    pixels = height * width
    for neuron in range(channels * pixels):
        pixel = neuron % pixels
        at = source + neuron // pixels * plane + inside + pixel // width * row + pixel % width * LANES
        words, shift = bits[(first + neuron) // 64], np.uint64((first + neuron) % 64)
        for block in range(blocks):
            values, word = arena[at : at + LANES], words[block * LANES : (block + 1) * LANES]
            for lane in range(LANES):
                word[lane] |= np.uint64(values[lane] > 0) << shift
            at += channels * plane


@part
def distinct(bits, words, samples):
    """How many samples differ, by a hash table of samples that compares them whole."""
    keep_apart()
    size = 1
    while size < 2 * samples:
        size *= 2
    table = np.empty(size, np.int64)
    for place in range(size):
        table[place] = -1
    count = 0
    for sample in range(samples):
        code = np.uint64(0)
        for word in range(words):  # splitmix64's finaliser
            code = (code ^ bits[word, sample]) + np.uint64(0x9E3779B97F4A7C15)
            code = (code ^ (code >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            code = (code ^ (code >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            code = code ^ (code >> np.uint64(31))
        place = np.int64(code & np.uint64(size - 1))
        while True:
            held = table[place]
            if held < 0:
                table[place] = sample
                count += 1
                break
            same = True
            for word in range(words):
                same = same and bits[word, held] == bits[word, sample]
            if same:
                break
            place = (place + 1) & (size - 1)
    return count


@part
def agree(kernel, bits, count, samples):
    """In how many of their first `count` bits each two samples agree."""
    keep_apart()
    for a in range(samples):
        for b in range(a, samples):
            different = 0
            for word in range((count + 63) // 64):
                x = bits[word, a] ^ bits[word, b]
                x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
                x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
                x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
                different += np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))
            kernel[a, b] = kernel[b, a] = count - different
