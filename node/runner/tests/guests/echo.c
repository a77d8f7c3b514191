// Puts out what it was given: {"got": standard input}. With "fail" in the input it ends with status 7.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    static char input[1 << 20];
    size_t size = fread(input, 1, sizeof input - 1, stdin);
    fprintf(stderr, "%s with %d argument read %zu bytes\n", argv[0], argc, size);
    if (strstr(input, "fail") != NULL) {
        fprintf(stderr, "asked to fail\n");
        return 7;
    }
    printf("{\"got\":%.*s}\n", (int)size, input);
    return 0;
}
