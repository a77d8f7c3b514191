// The language of a file, by its name.
#pragma once
#include "span.h"

struct named {
    const char *name;
    const char *language;
};

static const struct named BY_NAME[] = {
    {"Makefile", "Make"},
    {"GNUmakefile", "Make"},
    {"Dockerfile", "Dockerfile"},
    {"Containerfile", "Dockerfile"},
    {"CMakeLists.txt", "CMake"},
    {".gitignore", "Configuration"},
    {".gitattributes", "Configuration"},
    {".editorconfig", "Configuration"},
    {"LICENSE", "Text"},
    {"COPYING", "Text"},
    {"NOTICE", "Text"},
};

// By what stands behind the last dot, in lower case.
static const struct named BY_EXTENSION[] = {
    {"rs", "Rust"},
    {"py", "Python"},
    {"pyi", "Python"},
    {"js", "JavaScript"},
    {"mjs", "JavaScript"},
    {"cjs", "JavaScript"},
    {"jsx", "JavaScript"},
    {"ts", "TypeScript"},
    {"tsx", "TypeScript"},
    {"mts", "TypeScript"},
    {"c", "C"},
    {"h", "C"},
    {"cc", "C++"},
    {"cpp", "C++"},
    {"cxx", "C++"},
    {"hpp", "C++"},
    {"hh", "C++"},
    {"go", "Go"},
    {"java", "Java"},
    {"kt", "Kotlin"},
    {"kts", "Kotlin"},
    {"rb", "Ruby"},
    {"php", "PHP"},
    {"swift", "Swift"},
    {"cs", "C#"},
    {"scala", "Scala"},
    {"hs", "Haskell"},
    {"ml", "OCaml"},
    {"mli", "OCaml"},
    {"ex", "Elixir"},
    {"exs", "Elixir"},
    {"erl", "Erlang"},
    {"clj", "Clojure"},
    {"cljs", "Clojure"},
    {"lua", "Lua"},
    {"pl", "Perl"},
    {"pm", "Perl"},
    {"r", "R"},
    {"zig", "Zig"},
    {"nix", "Nix"},
    {"sh", "Shell"},
    {"bash", "Shell"},
    {"zsh", "Shell"},
    {"fish", "Shell"},
    {"sql", "SQL"},
    {"html", "HTML"},
    {"htm", "HTML"},
    {"css", "CSS"},
    {"scss", "CSS"},
    {"less", "CSS"},
    {"md", "Markdown"},
    {"markdown", "Markdown"},
    {"rst", "reStructuredText"},
    {"tex", "TeX"},
    {"json", "JSON"},
    {"jsonl", "JSON"},
    {"ndjson", "JSON"},
    {"yaml", "YAML"},
    {"yml", "YAML"},
    {"toml", "TOML"},
    {"xml", "XML"},
    {"svg", "XML"},
    {"csv", "CSV"},
    {"tsv", "CSV"},
    {"proto", "Protocol Buffers"},
    {"lock", "Lock file"},
    {"ini", "Configuration"},
    {"cfg", "Configuration"},
    {"conf", "Configuration"},
    {"env", "Configuration"},
    {"txt", "Text"},
    {"log", "Text"},
    {"pem", "PEM"},
    {"crt", "PEM"},
    {"key", "PEM"},
    {"wat", "WebAssembly text"},
};

// What stands behind the last `c`; all of it where there is none.
static inline struct span behind_last(struct span all, char c) {
    size_t at = all.size;
    while (at > 0 && all.start[at - 1] != c) at--;
    return behind(all, at);
}

// Whether it is `wanted`, which is in lower case.
static inline bool is_without_case(struct span all, const char *wanted) {
    if (all.size != strlen(wanted)) return false;
    for (size_t at = 0; at < all.size; at++) {
        if (lower(all.start[at]) != wanted[at]) return false;
    }
    return true;
}

// `path` may have escapes of JSON: no name and no extension that is known has a letter that would be one.
static inline const char *language_of(struct span path) {
    struct span name = behind_last(path, '/'), extension = behind_last(name, '.');
    for (size_t i = 0; i < sizeof BY_NAME / sizeof *BY_NAME; i++) {
        if (is(name, BY_NAME[i].name)) return BY_NAME[i].language;
    }
    // Without a dot there is no extension.
    if (extension.size == name.size) return "Other";
    for (size_t i = 0; i < sizeof BY_EXTENSION / sizeof *BY_EXTENSION; i++) {
        if (is_without_case(extension, BY_EXTENSION[i].name)) return BY_EXTENSION[i].language;
    }
    return "Other";
}
