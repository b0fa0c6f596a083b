/* fork: the child shares the counters, owns none of its parent's permits, and works although the
 * parent's other threads were in the middle of a call. */
#define _GNU_SOURCE
#include "policy.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs the body in a child; what it returns is 0 where all is well. */
static int in_child(int (*body)(void *), void *argument) {
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        alarm(30); /* a child that hangs is a failure, not a hang of the test */
        _exit(body(argument));
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

struct shared {
    admission_limiter *limiter;
    admission_gate *gate;
    uint64_t permit;
};

/* Returns the line of the first thing that is wrong. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) return __LINE__ % 200 + 1;                                               \
    } while (0)

static int ownership(void *argument) {
    struct shared *shared = argument;
    admission_decision decision = ADMISSION_DECISION_INIT;
    admission_usage usage = ADMISSION_USAGE_INIT;
    EXPECT(admission_permit_complete(shared->limiter, shared->permit, &usage) ==
           ADMISSION_E_NOT_OWNER);
    EXPECT(admission_permit_abandon(shared->limiter, shared->permit) == ADMISSION_E_NOT_OWNER);
    EXPECT(admission_permit_drop(shared->limiter, shared->permit) == ADMISSION_E_NOT_OWNER);
    EXPECT(admission_permit_renew(shared->limiter, shared->permit) == ADMISSION_E_NOT_OWNER);
    EXPECT(admission_permit_add(shared->limiter, shared->permit, &usage) ==
           ADMISSION_E_NOT_OWNER);
    EXPECT(admission_try_acquire(shared->gate, NULL, &decision) == ADMISSION_OK);
    EXPECT(decision.outcome == ADMISSION_ADMITTED);
    EXPECT(admission_permit_complete(shared->limiter, decision.permit, NULL) == ADMISSION_OK);
    EXPECT(admission_try_acquire(shared->gate, NULL, &decision) == ADMISSION_OK);
    EXPECT(admission_permit_complete(shared->limiter, decision.permit, NULL) == ADMISSION_OK);
    EXPECT(admission_gate_close(shared->gate) == ADMISSION_OK);
    EXPECT(admission_gate_close(shared->gate) == ADMISSION_E_INVALID_HANDLE);
    return 0;
}

static void child_and_parent(void) {
    struct shared shared;
    admission_decision decision = ADMISSION_DECISION_INIT;
    shared.limiter = open_manual();
    shared.gate = open_gate(shared.limiter, "project", "acme");
    shared.permit = acquire(shared.gate);
    CHECK(in_child(ownership, &shared) == 0);
    /* 1 of ours and 2 of the child's were used; the next leaves 6 of 10. */
    CHECK_STATUS(admission_try_acquire(shared.gate, NULL, &decision), ADMISSION_OK);
    CHECK(decision.outcome == ADMISSION_ADMITTED && decision.remaining == 1);
    CHECK(strcmp(decision.limit_name, "parallel") == 0);
    CHECK_STATUS(admission_permit_complete(shared.limiter, decision.permit, NULL), ADMISSION_OK);
    CHECK_STATUS(admission_permit_complete(shared.limiter, shared.permit, NULL), ADMISSION_OK);
    CHECK_STATUS(admission_try_acquire(shared.gate, NULL, &decision), ADMISSION_OK);
    CHECK(decision.outcome == ADMISSION_ADMITTED);
    CHECK_STATUS(admission_permit_complete(shared.limiter, decision.permit, NULL), ADMISSION_OK);
    CHECK_STATUS(admission_gate_close(shared.gate), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(shared.limiter), ADMISSION_OK);
}

static int stop;
static long calls;

static void *decide(void *argument) {
    admission_decision decision = ADMISSION_DECISION_INIT;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        if (admission_try_charge(argument, NULL, &decision) != ADMISSION_OK) return argument;
        __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static int work_and_close(void *argument) {
    struct shared *shared = argument;
    admission_decision decision = ADMISSION_DECISION_INIT;
    admission_gate *gate = NULL;
    EXPECT(admission_try_charge(shared->gate, NULL, &decision) == ADMISSION_OK);
    EXPECT(admission_gate_close(shared->gate) == ADMISSION_OK);
    EXPECT(admission_gate_open(shared->limiter, NULL, 0, &gate) == ADMISSION_OK);
    EXPECT(admission_gate_close(gate) == ADMISSION_OK);
    EXPECT(admission_limiter_close(shared->limiter) == ADMISSION_OK);
    EXPECT(admission_limiter_close(shared->limiter) == ADMISSION_E_INVALID_HANDLE);
    return 0;
}

static void forks_amid_calls(void) {
    struct shared shared;
    pthread_t threads[2];
    void *result;
    int index, wrong, right = 0;
    long before;
    shared.limiter = open_manual();
    shared.gate = open_gate(shared.limiter, "kind", "pace");
    for (index = 0; index < 2; index++)
        CHECK(pthread_create(&threads[index], NULL, decide, shared.gate) == 0);
    for (index = 0; index < 50; index++) {
        before = __atomic_load_n(&calls, __ATOMIC_RELAXED);
        while (__atomic_load_n(&calls, __ATOMIC_RELAXED) == before) sched_yield();
        wrong = in_child(work_and_close, &shared);
        if (wrong != 0) printf("processes: a child ended with %d\n", wrong);
        right += wrong == 0;
    }
    CHECK(right == 50);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (index = 0; index < 2; index++) {
        CHECK(pthread_join(threads[index], &result) == 0);
        CHECK(result == NULL);
    }
    printf("processes: 50 forks amid %ld calls of two threads\n", calls);
    CHECK_STATUS(admission_gate_close(shared.gate), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(shared.limiter), ADMISSION_OK);
}

int main(void) {
    child_and_parent();
    forks_amid_calls();
    return finish("processes");
}
