// The demo's work on one chunk: for each file its language, lines, longest line, SHA-256 and what looks like a leaked secret.
//
// Standard input is a step: {"input":…,"needs":…,"artifacts":{"chunk":"artifacts/chunk"}}. The file of that name begins with one
// line of JSON, [{"path":"…","bytes":N},…], as the demo writes it (chunk.rs), and the files' contents follow, one behind the other.
// Standard output is {"files":[{"path","language","bytes","lines","longest","longest_at","sha256","secrets"?}…],"secrets_left_out":N}.
// What is not of this form ends with status 1 and a sentence on standard error. No memory is allocated: every buffer has its bound.
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "language.h"
#include "secrets.h"
#include "sha256.h"
#include "text.h"

// A step names one artifact and has no needs; its input is small.
#define STEP_BYTES_MAX (64u << 10)
// A chunk has at most 257 files, with paths of at most 400 bytes as JSON.
#define LIST_BYTES_MAX (256u << 10)
// As FILE_BYTES_MAX in files.rs.
#define FILE_BYTES_MAX (2u << 20)
// The most findings of one chunk that are put out; the rest is counted, so that the output stays below a step's limit.
#define FINDINGS_PER_CHUNK_MAX 200

static char step[STEP_BYTES_MAX];
static char list[LIST_BYTES_MAX];
static uint8_t content[FILE_BYTES_MAX];
// Each byte that is no UTF-8 becomes the three bytes of U+FFFD.
static char text[3 * FILE_BYTES_MAX];

struct measured {
    uint32_t lines;
    uint32_t longest;
    uint32_t longest_at;
};

struct room {
    unsigned left;
    unsigned long long left_out;
};

__attribute__((noreturn, format(printf, 1, 2))) static void give_up(const char *why, ...) {
    va_list arguments;
    va_start(arguments, why);
    vfprintf(stderr, why, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

// The path of the artifact `chunk`, with a zero behind it.
static const char *chunk_path(void) {
    size_t size = fread(step, 1, sizeof step, stdin);
    struct span all = {step, size}, artifacts, path;
    if (size == sizeof step) give_up("the step has more than %u bytes", STEP_BYTES_MAX - 1);
    if (!json_member(all, "artifacts", &artifacts) || !json_member(artifacts, "chunk", &path) || !json_plain_string(&path)) {
        give_up("the step names no artifact \"chunk\"");
    }
    step[path.start + path.size - step] = 0;
    return path.start;
}

// The chunk's first line, without its end.
static struct span read_list(FILE *chunk) {
    size_t size = 0;
    for (int c; (c = fgetc(chunk)) != '\n'; list[size++] = (char)c) {
        if (c == EOF || size == sizeof list) give_up("the chunk has no list of files");
    }
    return (struct span){list, size};
}

static struct measured measure(struct span all) {
    struct measured found = {0, 0, 0};
    for (struct span line; next_line(&all, &line);) {
        uint32_t characters = count_characters(line);
        found.lines++;
        if (characters > found.longest || found.longest_at == 0) {
            found.longest = characters;
            found.longest_at = found.lines;
        }
    }
    return found;
}

static void put_secrets(struct span all, struct room *room) {
    static struct finding found[FINDINGS_PER_FILE_MAX];
    unsigned count = find_secrets(all, found), kept = count < room->left ? count : room->left;
    room->left -= kept;
    room->left_out += count - kept;
    if (kept == 0) return;
    for (unsigned i = 0; i < kept; i++) {
        printf("%s{\"line\":%u,\"kind\":\"%s\",\"masked\":\"", i == 0 ? ",\"secrets\":[" : ",", (unsigned)found[i].line, found[i].kind);
        put_masked(&found[i]);
        fputs("\"}", stdout);
    }
    putchar(']');
}

static void put_file(struct span path, size_t bytes, struct room *room) {
    struct span all = {text, decode_lossily(content, bytes, text)};
    struct measured found = measure(all);
    char digest[SHA256_HEX_SIZE];
    sha256_hex(content, bytes, digest);
    // The path stays as it stands in the list: JSON there is JSON here.
    printf("{\"path\":\"%.*s\",\"language\":\"%s\",\"bytes\":%zu,", (int)path.size, path.start, language_of(path), bytes);
    printf("\"lines\":%u,\"longest\":%u,", (unsigned)found.lines, (unsigned)found.longest);
    printf("\"longest_at\":%u,\"sha256\":\"%s\"", (unsigned)found.longest_at, digest);
    put_secrets(all, room);
    putchar('}');
}

// Reads the next entry of the list, {"path":"…","bytes":N}, and leaves what follows it.
static void take_entry(struct span *rest, struct span *path, size_t *bytes) {
    bool read = skip(rest, "{\"path\":") && json_string(rest, path) && skip(rest, ",\"bytes\":")
        && json_count(rest, FILE_BYTES_MAX, bytes) && skip(rest, "}");
    if (!read) give_up("the chunk's list of files is not one");
}

int main(void) {
    FILE *chunk = fopen(chunk_path(), "rb");
    if (chunk == NULL) give_up("the chunk cannot be opened");
    struct span rest = read_list(chunk);
    struct room room = {FINDINGS_PER_CHUNK_MAX, 0};
    fputs("{\"files\":[", stdout);
    if (!skip(&rest, "[")) give_up("the chunk's list of files is not one");
    for (bool first = true; !skip(&rest, "]"); first = false) {
        struct span path;
        size_t bytes;
        if (!first && !skip(&rest, ",")) give_up("the chunk's list of files is not one");
        take_entry(&rest, &path, &bytes);
        if (fread(content, 1, bytes, chunk) != bytes) give_up("the chunk ends within a file");
        if (!first) putchar(',');
        put_file(path, bytes, &room);
    }
    if (rest.size != 0) give_up("something follows the chunk's list of files");
    if (fgetc(chunk) != EOF) give_up("the chunk has bytes that belong to no file");
    printf("],\"secrets_left_out\":%llu}\n", room.left_out);
    return fflush(stdout) == 0 ? 0 : 1;
}
