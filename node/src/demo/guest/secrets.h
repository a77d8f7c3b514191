// Strings that look like leaked secrets, found line by line: keys with a known head, private key files, and values of
// secret-sounding names that are too random to be words. A finding never shows the value.
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdio.h>

#include "text.h"

// The most findings in one file; a file of test vectors would drown the others.
#define FINDINGS_PER_FILE_MAX 20
// The longest line that is looked at, in bytes; minified code is one line of everything.
#define LINE_BYTES_MAX 4096
// How many characters of a value are shown.
#define SHOWN_CHARACTERS 4
// The least bits for each character of a value of letters and digits that counts as random: English words have about 3.5.
#define BITS_MIN 4.0
// The same for hexadecimal values, which cannot have more than 4.
#define HEX_BITS_MIN 3.2
// The least length of a random value, and of a hexadecimal one.
#define VALUE_BYTES_MIN 20
#define HEX_BYTES_MIN 32

struct finding {
    // Counted from 1.
    uint32_t line;
    const char *kind;
    // Plain ASCII without quotes.
    struct span value;
};

static inline bool is_dot(char c) { return c == '.'; }
static inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
static inline bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
static inline bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
static inline bool is_alnum(char c) { return is_digit(c) || is_upper(c) || is_lower(c); }
static inline bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// Which bytes may follow a head.
static inline bool in_upper(char c) { return is_upper(c) || is_digit(c); }
static inline bool in_word(char c) { return is_alnum(c) || c == '_'; }
static inline bool in_token(char c) { return in_word(c) || c == '-'; }
static inline bool in_dotted(char c) { return in_token(c) || c == '.'; }
static inline bool in_value(char c) { return is_alnum(c) || (c != 0 && strchr("+/_-=", c) != NULL); }

// A token with a known head: what it is, how it begins, which bytes follow, how many at least, and how many dots are among them.
struct head {
    const char *kind;
    const char *head;
    bool (*body)(char);
    size_t size_min;
    size_t dots;
};

static const struct head HEADS[] = {
    {"AWS access key", "AKIA", in_upper, 16, 0},
    {"AWS temporary access key", "ASIA", in_upper, 16, 0},
    {"GitHub token", "ghp_", in_word, 36, 0},
    {"GitHub token", "gho_", in_word, 36, 0},
    {"GitHub token", "ghu_", in_word, 36, 0},
    {"GitHub token", "ghs_", in_word, 36, 0},
    {"GitHub token", "github_pat_", in_word, 40, 0},
    {"GitLab token", "glpat-", in_token, 20, 0},
    {"Slack token", "xoxb-", in_token, 20, 0},
    {"Slack token", "xoxp-", in_token, 20, 0},
    {"Google API key", "AIza", in_token, 35, 0},
    {"Stripe key", "sk_live_", in_word, 20, 0},
    {"Stripe key", "rk_live_", in_word, 20, 0},
    {"npm token", "npm_", in_word, 36, 0},
    {"PyPI token", "pypi-", in_token, 40, 0},
    {"JSON web token", "eyJ", in_dotted, 60, 2},
};

// Names whose values should not stand in a file.
static const char *const NAMES[] = {
    "secret", "token", "passwd", "password", "api_key", "apikey", "access_key", "private_key", "auth_key", "credential",
};

// What was found so far in one file.
struct found {
    struct finding *list;
    unsigned count;
};

static inline void add(struct found *found, uint32_t line, const char *kind, struct span value) {
    if (found->count < FINDINGS_PER_FILE_MAX) found->list[found->count++] = (struct finding){line, kind, value};
}

static inline size_t count_while(struct span all, bool (*fits)(char)) {
    size_t count = 0;
    while (count < all.size && fits(all.start[count])) count++;
    return count;
}

static inline size_t count_of(struct span all, bool (*fits)(char)) {
    size_t count = 0;
    for (size_t at = 0; at < all.size; at++) count += fits(all.start[at]);
    return count;
}

static inline bool ends_with(struct span all, const char *tail) {
    size_t size = strlen(tail);
    return all.size >= size && is(behind(all, all.size - size), tail);
}

// `-----BEGIN … PRIVATE KEY-----` (RFC 7468), and PGP's block.
static inline bool private_key_header(struct span line, struct span *label) {
    static const char begin[] = "-----BEGIN ";
    size_t start = find(line, begin, 0);
    if (start == line.size) return false;
    *label = behind(line, start + strlen(begin));
    size_t end = find(*label, "-----", 0);
    if (end == label->size) return false;
    label->size = end;
    for (size_t at = 0; at < label->size; at++) {
        if (!is_upper(label->start[at]) && label->start[at] != ' ') return false;
    }
    return ends_with(*label, "PRIVATE KEY") || is(*label, "PGP PRIVATE KEY BLOCK");
}

static inline void with_head(struct span line, uint32_t number, const struct head *known, struct found *found) {
    size_t head = strlen(known->head);
    for (size_t at = find(line, known->head, 0); at < line.size; at = find(line, known->head, at + head)) {
        struct span body = behind(line, at + head);
        size_t size = count_while(body, known->body);
        // In the middle of a longer word it is part of something else.
        bool begins = at == 0 || !in_token(line.start[at - 1]);
        bool ends = size == body.size || !is_alnum(body.start[size]);
        bool dotted = count_of((struct span){body.start, size}, is_dot) == known->dots;
        if (begins && ends && dotted && size >= known->size_min) {
            add(found, number, known->kind, (struct span){line.start + at, head + size});
        }
    }
}

// Shannon's entropy of the bytes, in bits.
static inline double bits_per_byte(struct span value) {
    uint32_t counts[256] = {0};
    double bits = 0;
    for (size_t at = 0; at < value.size; at++) counts[(uint8_t)value.start[at]]++;
    for (size_t at = 0; at < 256; at++) {
        double part = counts[at] / (double)value.size;
        if (counts[at] > 0) bits -= part * log2(part);
    }
    return bits;
}

static inline bool is_random(struct span value) {
    size_t digits = count_of(value, is_digit);
    if (value.size < VALUE_BYTES_MIN || digits < 3 || digits == value.size) return false;
    if (count_of(value, is_hex) == value.size) return value.size >= HEX_BYTES_MIN && bits_per_byte(value) >= HEX_BITS_MIN;
    bool mixed = count_of(value, is_upper) > 0 && count_of(value, is_lower) > 0;
    return mixed && bits_per_byte(value) >= BITS_MIN;
}

static inline bool begins_with_name(struct span all, const char *name) {
    size_t same = 0;
    while (same < all.size && name[same] != 0 && lower(all.start[same]) == name[same]) same++;
    return name[same] == 0;
}

static inline bool sounds_secret(struct span name) {
    for (size_t at = 0; at < name.size; at++) {
        for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
            if (begins_with_name(behind(name, at), NAMES[i])) return true;
        }
    }
    return false;
}

static inline bool is_one_of(char c, const char *set) { return c != 0 && strchr(set, c) != NULL; }
static inline bool is_before_value(char c) { return is_one_of(c, "=:> \t"); }
static inline bool is_quote(char c) { return is_one_of(c, "\"'`"); }
static inline bool is_no_assignment(char c) { return c != '=' && c != ':'; }

// The value in `name = "value"` or `name: value`, where the name sounds secret and the value is random.
static inline bool random_value(struct span line, struct span *value) {
    size_t at = count_while(line, is_no_assignment);
    if (at == line.size || !sounds_secret((struct span){line.start, at})) return false;
    struct span rest = behind(line, at + 1);
    rest = behind(rest, count_while(rest, is_before_value));
    rest = behind(rest, count_while(rest, is_quote));
    *value = (struct span){rest.start, count_while(rest, in_value)};
    // A call, a path or a name of another value is code, not a secret.
    if (value->size < rest.size && is_one_of(rest.start[value->size], "(.:[<{")) return false;
    return is_random(*value);
}

// Looks through a file's text; at most FINDINGS_PER_FILE_MAX findings come of it.
static inline unsigned find_secrets(struct span all, struct finding *list) {
    struct found found = {list, 0};
    uint32_t number = 1;
    for (struct span line, value; found.count < FINDINGS_PER_FILE_MAX && next_line(&all, &line); number++) {
        unsigned before = found.count;
        if (line.size > LINE_BYTES_MAX) continue;
        if (private_key_header(line, &value)) add(&found, number, "private key", value);
        for (size_t i = 0; i < sizeof HEADS / sizeof *HEADS; i++) with_head(line, number, &HEADS[i], &found);
        if (found.count == before && random_value(line, &value)) add(&found, number, "random value of a secret name", value);
    }
    return found.count;
}

// Puts out a value's first characters and its length; of a private key's header, which is no secret, all.
static inline void put_masked(const struct finding *finding) {
    struct span value = finding->value;
    if (ends_with(value, "PRIVATE KEY") || ends_with(value, "KEY BLOCK")) {
        fwrite(value.start, 1, value.size, stdout);
        return;
    }
    fwrite(value.start, 1, value.size < SHOWN_CHARACTERS ? value.size : SHOWN_CHARACTERS, stdout);
    printf("\u2026 (%zu characters)", value.size);
}
