/* main of the image that answers over a serial port: lists what it can time, times one entry N times.
 *
 * Lines both ways are `<tag> <words>*<crc>\n`: the tag is the host's and comes back with the answer, the crc is
 * CRC-16/CCITT-FALSE of all before the star in four hexadecimal digits.
 *
 *     hello            ->  micronas 1 <board> <clock_hz> <entries> <image>
 *     name <index>     ->  name <index> <name to the end of the line>
 *     run <index> <n>  ->  cycles <index> <n> <least> <median> <crc of the output>
 *     otherwise        ->  error <what>
 *
 * Empty lines are passed over. A run is preceded by one that is not counted. The input is filled with a fixed pattern before every run. */
#include "firmware.h"

enum { LINE = 80, RUNS = 101 };

static char line[LINE];
static uint32_t cycles[RUNS];
static uint32_t sent_crc;

static uint32_t crc_add(uint32_t crc, uint32_t byte) {
    crc ^= byte << 8;
    for (int32_t bit = 0; bit < 8; bit++)
        crc = (crc & 0x8000u) ? (crc << 1) ^ 0x1021u : crc << 1;
    return crc & 0xFFFFu;
}

static void put(char character) {
    sent_crc = crc_add(sent_crc, (uint8_t)character);
    board_put(character);
}

static void put_text(const char *text) {
    while (*text)
        put(*text++);
}

static void put_number(uint32_t value) {
    char digits[10];
    int32_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    put(' ');
    while (count)
        put(digits[--count]);
}

static void put_hex(uint32_t value) {
    for (int32_t shift = 12; shift >= 0; shift -= 4)
        board_put("0123456789abcdef"[(value >> shift) & 15]);
}

static void begin_answer(uint32_t tag, const char *word) {
    sent_crc = 0xFFFF;
    char digits[10];
    int32_t count = 0;
    do {
        digits[count++] = (char)('0' + tag % 10);
        tag /= 10;
    } while (tag);
    while (count)
        put(digits[--count]);
    put(' ');
    put_text(word);
}

static void end_answer(void) {
    const uint32_t crc = sent_crc;
    board_put('*');
    put_hex(crc);
    board_put('\n');
}

static void refuse(uint32_t tag, const char *why) {
    begin_answer(tag, "error ");
    put_text(why);
    end_answer();
}

/* Reads a line; 0 if it is too long for us. */
static int32_t read_line(void) {
    int32_t length = 0;
    for (;;) {
        const char character = board_get();
        if (character == '\n') {
            if (length >= LINE)
                return 0;
            line[length] = 0;
            return 1;
        }
        if (length < LINE - 1)
            line[length++] = character;
        else
            length = LINE;
    }
}

static int32_t hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Cuts off the star and what follows; 0 if the crc is not that of the rest. */
static int32_t check_line(void) {
    uint32_t crc = 0xFFFF, said = 0;
    char *at = line;
    for (; *at && *at != '*'; at++)
        crc = crc_add(crc, (uint8_t)*at);
    if (*at != '*')
        return 0;
    *at++ = 0;
    for (int32_t i = 0; i < 4; i++, at++) {
        const int32_t digit = hex_digit(*at);
        if (digit < 0)
            return 0;
        said = said << 4 | (uint32_t)digit;
    }
    return said == crc;
}

/* Reads a number and the blanks behind it; 0 if there is none. */
static int32_t read_number(const char **at, uint32_t *value) {
    const char *start = *at;
    *value = 0;
    while (**at >= '0' && **at <= '9')
        *value = *value * 10 + (uint32_t)(*(*at)++ - '0');
    const int32_t found = *at != start;
    while (**at == ' ')
        (*at)++;
    return found;
}

/* Moves behind a word and the blanks behind it, if it is there. */
static int32_t read_word(const char **at, const char *word) {
    const char *here = *at;
    while (*word && *here == *word) {
        here++;
        word++;
    }
    if (*word || (*here && *here != ' '))
        return 0;
    while (*here == ' ')
        here++;
    *at = here;
    return 1;
}

static void hello(uint32_t tag) {
    begin_answer(tag, "micronas 1 ");
    put_text(micronas_board);
    put_number(board_clock_hz);
    put_number(micronas_entry_count);
    put(' ');
    put_text(micronas_image);
    end_answer();
}

static void name(uint32_t tag, uint32_t index) {
    begin_answer(tag, "name");
    put_number(index);
    put(' ');
    put_text(micronas_entries[index].name);
    end_answer();
}

static void fill(const micronas_entry *entry) {
    int8_t *input = entry->input();
    uint32_t state = 1;
    for (uint32_t i = 0; i < entry->input_bytes; i++) {
        state = state * 1664525u + 1013904223u;
        input[i] = (int8_t)(uint8_t)(state >> 24);
    }
}

static uint32_t run_once(const micronas_entry *entry, const int8_t **output) {
    fill(entry);
    const uint32_t start = board_cycles();
    *output = entry->run();
    return board_cycles() - start;
}

static void sort(uint32_t count) {
    for (uint32_t i = 1; i < count; i++) {
        const uint32_t value = cycles[i];
        uint32_t at = i;
        for (; at > 0 && cycles[at - 1] > value; at--)
            cycles[at] = cycles[at - 1];
        cycles[at] = value;
    }
}

static void run(uint32_t tag, uint32_t index, uint32_t runs) {
    const micronas_entry *entry = &micronas_entries[index];
    const int8_t *output;
    (void)run_once(entry, &output);
    for (uint32_t i = 0; i < runs; i++)
        cycles[i] = run_once(entry, &output);
    sort(runs);
    uint32_t crc = 0xFFFF;
    for (uint32_t i = 0; i < entry->output_bytes; i++)
        crc = crc_add(crc, (uint8_t)output[i]);
    begin_answer(tag, "cycles");
    put_number(index);
    put_number(runs);
    put_number(cycles[0]);
    put_number(cycles[runs / 2]);
    put_number(crc);
    end_answer();
}

static void answer(void) {
    const char *at = line;
    uint32_t tag, index = 0, runs = 0;
    if (!*line)
        return; /* a host ends whatever noise is pending by an empty line */
    if (!check_line() || !read_number(&at, &tag))
        refuse(0, "garbled request");
    else if (read_word(&at, "hello"))
        hello(tag);
    else if (read_word(&at, "name") && read_number(&at, &index) && index < micronas_entry_count)
        name(tag, index);
    else if (read_word(&at, "run") && read_number(&at, &index) && index < micronas_entry_count &&
             read_number(&at, &runs) && runs >= 1 && runs <= RUNS)
        run(tag, index, runs);
    else
        refuse(tag, "unknown request");
}

int main(void) {
    board_init();
    for (;;) {
        if (read_line())
            answer();
        else
            refuse(0, "garbled request");
    }
}
