// Text: bytes of any kind made UTF-8, lines, characters.
#pragma once
#include <stdint.h>

#include "span.h"

// What stands for bytes that are no UTF-8.
#define REPLACEMENT "\xef\xbf\xbd"

// How many bytes follow the first one of a character, and between which the first of them lies; nothing follows a wrong one.
static inline unsigned following(uint8_t first, uint8_t *least, uint8_t *most) {
    *least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    *most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first >= 0xc2 && first <= 0xdf) return 1;
    if (first >= 0xe0 && first <= 0xef) return 2;
    if (first >= 0xf0 && first <= 0xf4) return 3;
    return 0;
}

// How many bytes from `at` on are one character, or the longest beginning of one: that is what one replacement stands for (the
// Unicode Standard, 3.9, "maximal subpart").
static inline size_t one_character(const uint8_t *bytes, size_t size, size_t at, bool *whole) {
    uint8_t least, most;
    unsigned wanted = following(bytes[at], &least, &most);
    size_t taken = 1;
    for (; taken <= wanted && at + taken < size; taken++) {
        uint8_t next = bytes[at + taken];
        if (next < least || next > most) break;
        least = 0x80;
        most = 0xbf;
    }
    *whole = bytes[at] < 0x80 || (wanted > 0 && taken == wanted + 1);
    return taken;
}

// Writes `bytes` as UTF-8, wrong ones replaced, and says how many came of them: at most three for each.
static inline size_t decode_lossily(const uint8_t *bytes, size_t size, char *out) {
    size_t written = 0;
    for (size_t at = 0; at < size;) {
        bool whole;
        size_t taken = one_character(bytes, size, at, &whole);
        const void *from = whole ? (const void *)(bytes + at) : REPLACEMENT;
        size_t count = whole ? taken : strlen(REPLACEMENT);
        memcpy(out + written, from, count);
        written += count;
        at += taken;
    }
    return written;
}

// Takes a line, without its end (LF or CRLF). Behind the last end there is no further, empty line.
static inline bool next_line(struct span *rest, struct span *line) {
    if (rest->size == 0) return false;
    const char *end = memchr(rest->start, '\n', rest->size);
    *line = *rest;
    if (end == NULL) {
        *rest = behind(*rest, rest->size);
        return true;
    }
    line->size = (size_t)(end - rest->start);
    *rest = behind(*rest, line->size + 1);
    if (line->size > 0 && line->start[line->size - 1] == '\r') line->size--;
    return true;
}

// How many characters valid UTF-8 has.
static inline uint32_t count_characters(struct span text) {
    uint32_t count = 0;
    for (size_t at = 0; at < text.size; at++) count += ((uint8_t)text.start[at] & 0xc0) != 0x80;
    return count;
}
