/* Plain fork() with a store in a file: the child shares the counters, owns none of its parent's permits,
 * renews its own leases, and outlives its parent's limiter.
 *
 *     forked STORE-URL POLICY
 *
 * Closes with "forked: N passed, N failed". */
#define _GNU_SOURCE
#include "../c/check.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHILDREN = 4, LEASE_MS = 300, RPM = 40, PARALLEL = 6 };

static admission_limiter *limiter;
static admission_gate *gate;
static uint64_t parents_permit;

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Returns the line of the first thing that is wrong. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) return __LINE__ % 200 + 1;                                               \
    } while (0)

static int in_child(int (*body)(int), int count, int results[]) {
    pid_t children[CHILDREN];
    int index, status, right = 0;
    fflush(stdout);
    for (index = 0; index < count; index++) {
        children[index] = fork();
        if (children[index] == 0) {
            alarm(30);
            _exit(body(index));
        }
    }
    for (index = 0; index < count; index++) {
        if (waitpid(children[index], &status, 0) != children[index]) continue;
        results[index] = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        right++;
    }
    return right == count;
}

static int knows_itself(int index) {
    admission_decision decision = ADMISSION_DECISION_INIT;
    (void)index;
    EXPECT(admission_permit_complete(limiter, parents_permit, NULL) == ADMISSION_E_NOT_OWNER);
    EXPECT(admission_permit_abandon(limiter, parents_permit) == ADMISSION_E_NOT_OWNER);
    EXPECT(admission_permit_drop(limiter, parents_permit) == ADMISSION_E_NOT_OWNER);
    EXPECT(admission_permit_renew(limiter, parents_permit) == ADMISSION_E_NOT_OWNER);
    EXPECT(admission_try_acquire(gate, NULL, &decision) == ADMISSION_OK);
    EXPECT(decision.outcome == ADMISSION_ADMITTED);
    EXPECT(admission_permit_abandon(limiter, decision.permit) == ADMISSION_OK);
    return 0;
}

/* Holds a permit for four leases and completes it: its own heartbeat renewed it. */
static int renews(int index) {
    admission_decision decision = ADMISSION_DECISION_INIT;
    int64_t until = now_ns() + (int64_t)4 * LEASE_MS * 1000000;
    (void)index;
    EXPECT(admission_try_acquire(gate, NULL, &decision) == ADMISSION_OK);
    EXPECT(decision.outcome == ADMISSION_ADMITTED);
    while (now_ns() < until) poll(NULL, 0, 20);
    EXPECT(admission_permit_abandon(limiter, decision.permit) == ADMISSION_OK);
    return 0;
}

/* Its grants out of 20 attempts. */
static int counts(int index) {
    admission_decision decision = ADMISSION_DECISION_INIT;
    int attempt, admitted = 0;
    (void)index;
    for (attempt = 0; attempt < 20; attempt++) {
        if (admission_try_acquire(gate, NULL, &decision) != ADMISSION_OK) return 255;
        if (decision.outcome != ADMISSION_ADMITTED) continue;
        admitted++;
        if (admission_permit_complete(limiter, decision.permit, NULL) != ADMISSION_OK) return 254;
    }
    return admitted;
}

/* Dies with permits open. */
static int leaves(int index) {
    admission_decision decision = ADMISSION_DECISION_INIT;
    (void)index;
    EXPECT(admission_try_acquire(gate, NULL, &decision) == ADMISSION_OK);
    return decision.outcome == ADMISSION_ADMITTED ? 0 : 1;
}

/* A child's child is a process like any other. */
static int grandchild(int index) {
    int result = -1;
    EXPECT(in_child(knows_itself, 1, &result));
    EXPECT(result == 0);
    return renews(index);
}

/* Closes the limiter that it inherited; the others' are their own. */
static int closes(int index) {
    (void)index;
    EXPECT(admission_gate_close(gate) == ADMISSION_OK);
    EXPECT(admission_limiter_close(limiter) == ADMISSION_OK);
    EXPECT(admission_limiter_close(limiter) == ADMISSION_E_INVALID_HANDLE);
    return 0;
}

static void check_all(const char *what, int (*body)(int)) {
    int results[CHILDREN], index;
    CHECK(in_child(body, CHILDREN, results));
    for (index = 0; index < CHILDREN; index++) {
        if (results[index] != 0) printf("forked: %s: a child ended with %d\n", what, results[index]);
        CHECK(results[index] == 0);
    }
}

int main(int argc, char **argv) {
    admission_options options = ADMISSION_OPTIONS_INIT;
    admission_decision decision = ADMISSION_DECISION_INIT;
    const admission_attribute who = {"project", "acme"};
    uint64_t permits[PARALLEL];
    int results[CHILDREN], index, total = 0, held = 0;
    int64_t begun;
    if (argc != 3) return 2;
    options.store_url = argv[1];
    options.policy_path = argv[2];
    CHECK_STATUS(admission_limiter_open(&options, &limiter), ADMISSION_OK);
    CHECK_STATUS(admission_gate_open(limiter, &who, 1, &gate), ADMISSION_OK);
    CHECK_STATUS(admission_try_acquire(gate, NULL, &decision), ADMISSION_OK);
    parents_permit = decision.permit;

    check_all("knows itself", knows_itself);
    check_all("closes", closes);
    check_all("renews", renews);
    check_all("grandchild", grandchild);
    /* The parent's lease was renewed all the while. */
    CHECK_STATUS(admission_permit_complete(limiter, parents_permit, NULL), ADMISSION_OK);

    check_all("leaves", leaves);
    begun = now_ns();
    while (held < PARALLEL && now_ns() - begun < INT64_C(10000000000)) {
        CHECK(admission_try_acquire(gate, NULL, &decision) == ADMISSION_OK);
        if (decision.outcome == ADMISSION_ADMITTED)
            permits[held++] = decision.permit;
        else
            poll(NULL, 0, 2);
    }
    printf("forked: what dead children held was back after %d ms\n",
           (int)((now_ns() - begun) / 1000000));
    CHECK(held == PARALLEL && now_ns() - begun <= INT64_C(1000000000));
    for (index = 0; index < held; index++)
        CHECK_STATUS(admission_permit_abandon(limiter, permits[index]), ADMISSION_OK);

    CHECK(in_child(counts, CHILDREN, results));
    for (index = 0; index < CHILDREN; index++) total += results[index];
    /* One was the parent's, and one was left charged by each child that died. */
    printf("forked: %d admitted to %d children\n", total, CHILDREN);
    CHECK(total == RPM - 1 - CHILDREN);
    CHECK_STATUS(admission_gate_close(gate), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_OK);
    return finish("forked");
}
