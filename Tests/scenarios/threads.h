/* The same question on many threads at once. */
#ifndef SCENARIOS_THREADS_H
#define SCENARIOS_THREADS_H

#include <pthread.h>

#include "run.h"

enum { MAX_THREADS = 256 };

typedef struct {
    pthread_t thread;
    pthread_barrier_t *start;
    admission_gate *gate;
    const admission_cost *cost;
    int64_t times, admitted;
    uint64_t *permits; /* those it took; NULL where it charges without */
    admission_status status;
} asking_thread;

static void *ask_many_times(void *argument) {
    asking_thread *self = argument;
    pthread_barrier_wait(self->start);
    for (int64_t i = 0; i < self->times && self->status == ADMISSION_OK; i++) {
        admission_decision decision = ADMISSION_DECISION_INIT;
        if (self->permits == NULL)
            self->status = admission_try_charge(self->gate, self->cost, &decision);
        else
            self->status = admission_try_acquire(self->gate, self->cost, &decision);
        if (decision.outcome != ADMISSION_ADMITTED) continue;
        if (self->permits != NULL) self->permits[self->admitted] = decision.permit;
        self->admitted++;
    }
    return NULL;
}

/* How many were admitted in all; the permits stay open to the end of the case. */
static int64_t run_threads(run_state *run, gate_state *gate, const admission_cost *cost,
                           int64_t count, int64_t times, int takes_permits) {
    static asking_thread threads[MAX_THREADS];
    pthread_barrier_t start;
    int64_t admitted = 0;
    if (count < 1 || count > MAX_THREADS) fail(run, "1 to %d threads", (int)MAX_THREADS);
    pthread_barrier_init(&start, NULL, (unsigned)count);
    for (int64_t i = 0; i < count; i++) {
        uint64_t *permits = takes_permits ? calloc((size_t)times, sizeof *permits) : NULL;
        threads[i] = (asking_thread){.start = &start, .gate = gate->handle, .cost = cost,
                                     .times = times, .permits = permits, .status = ADMISSION_OK};
        if (pthread_create(&threads[i].thread, NULL, ask_many_times, &threads[i]) != 0) {
            perror("pthread_create");
            exit(2);
        }
    }
    for (int64_t i = 0; i < count; i++) pthread_join(threads[i].thread, NULL);
    pthread_barrier_destroy(&start);
    for (int64_t i = 0; i < count; i++) {
        for (int64_t j = 0; takes_permits && j < threads[i].admitted; j++)
            keep_permit(run, "-", threads[i].permits[j]);
        free(threads[i].permits);
        admitted += threads[i].admitted;
    }
    for (int64_t i = 0; i < count; i++) check(run, threads[i].status);
    return admitted;
}

#endif
