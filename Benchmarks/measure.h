/* What the C programs of the benchmarks share: a clock, a timed loop, threads that run it together,
 * and one line of JSON as the answer. Every program is called as `PROGRAM ROW SECONDS`. */
#ifndef ADMISSION_BENCH_MEASURE_H
#define ADMISSION_BENCH_MEASURE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Calls between two looks at the clock: the look costs 25 ns, so it adds 0.025 ns to a call. */
enum { BATCH = 1000 };

static inline uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Runs one batch of calls; `state` is the row's own. */
typedef void batch_function(void *state, long calls);

static inline int compare_doubles(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Nanoseconds a call: the fastest tenth's slowest batch of `seconds`, after a warm-up of a tenth of
 * that. It leaves out the batches in which another process, or a neighbour on the same core, had
 * its share of it. */
static inline double nanoseconds_per_call(batch_function *batch, void *state, double seconds) {
    enum { MOST = 1 << 18 };
    double *samples = malloc(MOST * sizeof(double));
    uint64_t last = now_ns();
    uint64_t warm = last + (uint64_t)(seconds * 1e8), end = warm + (uint64_t)(seconds * 1e9);
    while ((last = now_ns()) < warm) batch(state, BATCH);
    long count = 0;
    while (last < end && count < MOST) {
        batch(state, BATCH);
        uint64_t now = now_ns();
        samples[count++] = (double)(now - last) / BATCH;
        last = now;
    }
    qsort(samples, (size_t)count, sizeof(double), compare_doubles);
    double figure = samples[count / 10];
    free(samples);
    return figure;
}

/* One of the threads of a row that runs on several. */
struct worker {
    _Alignas(128) batch_function *batch;
    void *state;
    atomic_int *phase; /* 0 warm up, 1 count, 2 stop */
    _Alignas(128) long calls;
    pthread_t thread;
};

static void *worker_main(void *argument) {
    struct worker *worker = argument;
    while (atomic_load(worker->phase) == 0) worker->batch(worker->state, BATCH);
    while (atomic_load(worker->phase) == 1) {
        worker->batch(worker->state, BATCH);
        worker->calls += BATCH;
    }
    return NULL;
}

/* Wall nanoseconds a call of all threads together (two threads that do not disturb each other give
 * half of what one gives). */
static inline double nanoseconds_per_call_on_two(batch_function *batch, void *first, void *second,
                                                 double seconds) {
    static struct worker workers[2];
    atomic_int phase = 0;
    void *states[2] = {first, second};
    for (int i = 0; i < 2; i++) {
        workers[i].batch = batch;
        workers[i].state = states[i];
        workers[i].phase = &phase;
        workers[i].calls = 0;
        pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]);
    }
    struct timespec warm = {0, (long)(seconds * 1e8)};
    struct timespec pause = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&warm, NULL);
    uint64_t start = now_ns();
    atomic_store(&phase, 1);
    nanosleep(&pause, NULL);
    atomic_store(&phase, 2);
    uint64_t end = now_ns();
    long calls = 0;
    for (int i = 0; i < 2; i++) {
        pthread_join(workers[i].thread, NULL);
        calls += workers[i].calls;
    }
    return (double)(end - start) / (double)calls;
}

static inline void report_ns(double nanoseconds) { printf("{\"ns\": %.3f}\n", nanoseconds); }

#endif
