/* Closing races with use: the last of limiter, gate and permits to end, on whichever thread, ends the
 * limiter, every time; and calls that lose the race say so. */
#define _GNU_SOURCE
#include "policy.h"

#include <pthread.h>
#include <stdlib.h>

#define ROUNDS 2000
#define HELPERS 2

static admission_limiter *limiter;
static admission_gate *gate;
static uint64_t permits[HELPERS];
static pthread_barrier_t begin, end;
static long late, unexpected;

/* Ends its permit while the others close; now and then uses the gate first. */
static void *helper(void *argument) {
    size_t number = (size_t)argument;
    int round;
    for (round = 0; round < ROUNDS; round++) {
        admission_decision decision = ADMISSION_DECISION_INIT;
        admission_status status;
        pthread_barrier_wait(&begin);
        if ((round + (int)number) % 3 == 0) {
            status = admission_try_acquire(gate, NULL, &decision);
            if (status == ADMISSION_OK && decision.permit != 0) {
                /* The limiter lives on for this permit, whoever closed it meanwhile. */
                if (admission_permit_complete(limiter, decision.permit, NULL) != ADMISSION_OK)
                    __atomic_add_fetch(&unexpected, 1, __ATOMIC_RELAXED);
            } else if (status == ADMISSION_E_CLOSED || status == ADMISSION_E_INVALID_HANDLE) {
                __atomic_add_fetch(&late, 1, __ATOMIC_RELAXED);
            } else if (status != ADMISSION_OK) {
                __atomic_add_fetch(&unexpected, 1, __ATOMIC_RELAXED);
            }
        }
        if (admission_permit_drop(limiter, permits[number]) != ADMISSION_OK)
            __atomic_add_fetch(&unexpected, 1, __ATOMIC_RELAXED);
        pthread_barrier_wait(&end);
    }
    return NULL;
}

int main(void) {
    pthread_t helpers[HELPERS];
    size_t number;
    int round, gone = 0;
    pthread_barrier_init(&begin, NULL, HELPERS + 1);
    pthread_barrier_init(&end, NULL, HELPERS + 1);
    for (number = 0; number < HELPERS; number++)
        CHECK(pthread_create(&helpers[number], NULL, helper, (void *)number) == 0);
    for (round = 0; round < ROUNDS; round++) {
        admission_options options = manual_options();
        admission_attribute attribute = {"project", "acme"};
        options.permit_capacity = 8;
        options.key_capacity = 16;
        if (admission_limiter_open(&options, &limiter) != ADMISSION_OK) break;
        if (admission_gate_open(limiter, &attribute, 1, &gate) != ADMISSION_OK) break;
        for (number = 0; number < HELPERS; number++) permits[number] = acquire(gate);
        pthread_barrier_wait(&begin);
        if (round % 2) {
            unexpected += admission_limiter_close(limiter) != ADMISSION_OK;
            unexpected += admission_gate_close(gate) != ADMISSION_OK;
        } else {
            unexpected += admission_gate_close(gate) != ADMISSION_OK;
            unexpected += admission_limiter_close(limiter) != ADMISSION_OK;
        }
        pthread_barrier_wait(&end);
        gone += admission_limiter_close(limiter) == ADMISSION_E_INVALID_HANDLE;
    }
    CHECK(round == ROUNDS);
    if (round < ROUNDS) exit(finish("threads")); /* the helpers would wait for ever */
    for (number = 0; number < HELPERS; number++) CHECK(pthread_join(helpers[number], NULL) == 0);
    printf("threads: %d rounds, %d limiters gone, %ld calls after the close\n", round, gone, late);
    CHECK(gone == ROUNDS);
    CHECK(unexpected == 0);
    CHECK(late > 0);
    return finish("threads");
}
