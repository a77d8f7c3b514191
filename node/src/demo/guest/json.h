// As much of JSON as a step and a chunk's list need, over text that its writer has made well formed: nothing is decoded, values are
// skipped by their brackets and quotes. Every read stays inside its span, whatever the text is.
#pragma once
#include "span.h"

static inline void skip_space(struct span *rest) {
    while (rest->size > 0 && strchr(" \t\r\n", rest->start[0]) != NULL && rest->start[0] != 0) *rest = behind(*rest, 1);
}

// Takes a string; `inside` is what stands between its quotes, escapes as they are.
static inline bool json_string(struct span *rest, struct span *inside) {
    if (rest->size == 0 || rest->start[0] != '"') return false;
    for (size_t at = 1; at < rest->size; at++) {
        if (rest->start[at] == '\\') {
            at++;
        } else if (rest->start[at] == '"') {
            *inside = (struct span){rest->start + 1, at - 1};
            *rest = behind(*rest, at + 1);
            return true;
        }
    }
    return false;
}

// Takes any value.
static inline bool json_value(struct span *rest, struct span *value) {
    struct span all = *rest, inside;
    size_t depth = 0;
    while (rest->size > 0) {
        char c = rest->start[0];
        if (c == '"') {
            if (!json_string(rest, &inside)) return false;
        } else if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            break;
        } else {
            if (c == '{' || c == '[') depth++;
            if (c == '}' || c == ']') depth--;
            *rest = behind(*rest, 1);
        }
    }
    *value = (struct span){all.start, all.size - rest->size};
    return depth == 0 && value->size > 0;
}

// The value of an object's member; the last one where there are more.
static inline bool json_member(struct span object, const char *name, struct span *value) {
    bool found = false;
    skip_space(&object);
    if (!skip(&object, "{")) return false;
    for (;;) {
        struct span key, other;
        skip_space(&object);
        if (!json_string(&object, &key)) return found;
        skip_space(&object);
        if (!skip(&object, ":")) return false;
        skip_space(&object);
        if (!json_value(&object, &other)) return false;
        if (is(key, name)) {
            *value = other;
            found = true;
        }
        if (!skip(&object, ",")) return found;
    }
}

// Turns a value that is a string without escapes into what it says.
static inline bool json_plain_string(struct span *value) {
    struct span rest = *value, inside;
    if (!json_string(&rest, &inside) || memchr(inside.start, '\\', inside.size) != NULL) return false;
    *value = inside;
    return true;
}

// Takes a whole number that is at most `max`.
static inline bool json_count(struct span *rest, size_t max, size_t *count) {
    size_t digits = 0;
    for (*count = 0; digits < rest->size && rest->start[digits] >= '0' && rest->start[digits] <= '9'; digits++) {
        *count = *count * 10 + (size_t)(rest->start[digits] - '0');
        if (*count > max) return false;
    }
    *rest = behind(*rest, digits);
    return digits > 0;
}
