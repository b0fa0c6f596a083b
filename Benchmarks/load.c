/* What it costs to load libadmission.so: `load FILE` opens it with every symbol resolved, calls
 * admission_version and prints the milliseconds that took; `load` alone does nothing, which is what
 * a program that is linked to the library is compared with.
 *
 *     gcc -O2 load.c -o load && env -i ./load ../build/lib/libadmission.so */
#include <dlfcn.h>
#include <stdio.h>
#include <time.h>

static double now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

int main(int count, char **arguments) {
    if (count < 2) return 0;
    double start = now_ms();
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        fprintf(stderr, "load: %s\n", dlerror());
        return 1;
    }
    const char *(*version)(void) = (const char *(*)(void))dlsym(library, "admission_version");
    if (!version || !version()) {
        fprintf(stderr, "load: no admission_version\n");
        return 1;
    }
    printf("{\"ms\": %.3f}\n", now_ms() - start);
    return 0;
}
