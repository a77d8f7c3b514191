// Everything in which two machines could differ: floats and the bits of their NaNs, time, chance, environment, addresses.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t mixed = 1469598103934665603u;

static void mix(const void *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) mixed = (mixed ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
}

int main(int argc, char **argv) {
    volatile double zero = 0, huge = 1e308, minus = -1;
    double nans[] = {zero / zero, huge * 10 - huge * 10, sqrt(minus), fmod(1, zero), zero * (1 / zero), -(zero / zero)};
    mix(nans, sizeof nans);
    volatile float fzero = 0;
    float fnans[] = {fzero / fzero, -(fzero / fzero), sqrtf((float)minus)};
    mix(fnans, sizeof fnans);
    for (int i = 1; i < 20000; i++) {
        double x = i * 0.37, y[] = {sin(x), cos(x), exp(-x / 100), log(x), pow(x, 1.7), atan2(x, 3), cbrt(x), floor(x), rint(x)};
        mix(y, sizeof y);
        float z = (float)x * 1.1f;
        mix(&z, sizeof z);
    }
    struct timespec now, later;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_MONOTONIC, &later);
    uint64_t chance[4];
    getentropy(chance, sizeof chance);
    void *memory = malloc(100000);
    char *where = getenv("PATH");
    printf("{\"mixed\":\"%016llx\",\"nan\":\"%016llx\",\"realtime\":%lld,\"monotonic\":%lld,\"chance\":\"%016llx\",\"malloc\":%zu,\"path\":%s,"
           "\"argc\":%d,\"argv0\":\"%s\"}\n",
           (unsigned long long)mixed, (unsigned long long)(*(uint64_t *)&nans[0]), (long long)now.tv_sec, (long long)later.tv_sec,
           (unsigned long long)chance[0], (size_t)memory, where == NULL ? "null" : "\"there\"", argc, argv[0]);
    return 0;
}
