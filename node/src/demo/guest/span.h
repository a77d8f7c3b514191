// Bytes that lie somewhere else.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *start;
    size_t size;
};

static inline struct span behind(struct span all, size_t count) {
    return (struct span){all.start + count, all.size - count};
}

static inline bool begins_with(struct span all, const char *head) {
    size_t size = strlen(head);
    return all.size >= size && memcmp(all.start, head, size) == 0;
}

static inline bool is(struct span all, const char *wanted) {
    return all.size == strlen(wanted) && begins_with(all, wanted);
}

// Takes `head` away from the front, if it is there.
static inline bool skip(struct span *all, const char *head) {
    if (!begins_with(*all, head)) return false;
    *all = behind(*all, strlen(head));
    return true;
}

// Where `wanted` begins in `all`, at `from` or later; the size of `all` where it does not.
static inline size_t find(struct span all, const char *wanted, size_t from) {
    for (size_t at = from; at < all.size; at++) {
        if (begins_with(behind(all, at), wanted)) return at;
    }
    return all.size;
}

// An ASCII letter in lower case; anything else as it is.
static inline char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}
