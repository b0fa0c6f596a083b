/* Handles: stale, foreign and made-up ones are a status; a closed limiter lives on for its permits and
 * gates, in whatever order they end. */
#include "policy.h"

#include <stdlib.h>

/* Every function that takes a limiter answers `expected`. */
static void check_limiter(admission_limiter *limiter, admission_status expected) {
    char text[64];
    uint64_t cursor = 0;
    admission_gate *gate = NULL;
    admission_usage usage = ADMISSION_USAGE_INIT;
    CHECK_STATUS(admission_limiter_reload(limiter, test_policy), expected);
    CHECK_STATUS(admission_limiter_advance(limiter, 0), expected);
    CHECK_STATUS(admission_limiter_set_time(limiter, START_UNIX_NS), expected);
    CHECK_STATUS(admission_limiter_snapshot(limiter, text, sizeof text, NULL), expected);
    CHECK_STATUS(admission_limiter_metrics(limiter, text, sizeof text, NULL), expected);
    CHECK_STATUS(admission_limiter_reclaim(limiter, NULL), expected);
    CHECK_STATUS(admission_limiter_events_read(limiter, &cursor, text, sizeof text, NULL),
                 expected);
    CHECK_STATUS(admission_gate_open(limiter, NULL, 0, &gate), expected);
    CHECK(gate == NULL);
    if (limiter == NULL) return;
    CHECK_STATUS(admission_limiter_close(limiter), expected);
    if (expected == ADMISSION_E_CLOSED) return;
    CHECK_STATUS(admission_permit_complete(limiter, 1, &usage), expected);
    CHECK_STATUS(admission_permit_add(limiter, 1, &usage), expected);
    CHECK_STATUS(admission_permit_abandon(limiter, 1), expected);
    CHECK_STATUS(admission_permit_drop(limiter, 1), expected);
    CHECK_STATUS(admission_permit_renew(limiter, 1), expected);
}

/* Every function that takes a gate answers `expected`. */
static void check_gate(admission_gate *gate, admission_status expected) {
    admission_decision decision = ADMISSION_DECISION_INIT;
    char text[64];
    decision.outcome = 7;
    decision.permit = 7;
    CHECK_STATUS(admission_try_acquire(gate, NULL, &decision), expected);
    CHECK(decision.outcome == 0 && decision.permit == 0);
    CHECK_STATUS(admission_try_charge(gate, NULL, &decision), expected);
    CHECK_STATUS(admission_acquire(gate, NULL, 0, &decision), expected);
    CHECK_STATUS(admission_gate_explain(gate, NULL, text, sizeof text, NULL), expected);
}

static void made_up(void) {
    static char memory[64];
    admission_limiter *limiter = open_manual();
    admission_gate *gate = open_gate(limiter, "project", "acme");
    uintptr_t numbers[10];
    size_t index;
    numbers[0] = 1;
    numbers[1] = 2;
    numbers[2] = 3;
    numbers[3] = UINTPTR_MAX;
    numbers[4] = (uintptr_t)memory;
    numbers[5] = (uintptr_t)limiter ^ (UINT64_C(1) << 31); /* how a closed one is kept inside */
    numbers[6] = (uintptr_t)limiter ^ (UINT64_C(1) << 30);
    numbers[7] = (uintptr_t)limiter + (UINT64_C(1) << 32);
    numbers[8] = (uintptr_t)limiter | 0x3fffffc; /* the table's last slot */
    numbers[9] = (uintptr_t)gate ^ 1;            /* another kind */
    for (index = 0; index < sizeof numbers / sizeof *numbers; index++) {
        check_limiter((admission_limiter *)numbers[index], ADMISSION_E_INVALID_HANDLE);
        check_gate((admission_gate *)numbers[index], ADMISSION_E_INVALID_HANDLE);
        CHECK_STATUS(admission_gate_close((admission_gate *)numbers[index]),
                     ADMISSION_E_INVALID_HANDLE);
    }
    check_limiter(NULL, ADMISSION_E_INVALID_ARGUMENT);
    check_gate(NULL, ADMISSION_E_INVALID_ARGUMENT);
    check_limiter((admission_limiter *)gate, ADMISSION_E_INVALID_HANDLE);
    check_gate((admission_gate *)limiter, ADMISSION_E_INVALID_HANDLE);
    CHECK_STATUS(admission_gate_close((admission_gate *)limiter), ADMISSION_E_INVALID_HANDLE);
    CHECK(acquire(gate) != 0);
    CHECK_STATUS(admission_gate_close(NULL), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(NULL), ADMISSION_OK);
    CHECK_STATUS(admission_gate_close(gate), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_OK);
    /* Its permit is open, so it lives on. */
    CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_E_CLOSED);
}

static void stale(void) {
    admission_limiter *limiter = open_manual(), *later;
    admission_gate *gate = open_gate(limiter, "project", "acme"), *later_gate;
    CHECK_STATUS(admission_gate_close(gate), ADMISSION_OK);
    check_gate(gate, ADMISSION_E_INVALID_HANDLE);
    CHECK_STATUS(admission_gate_close(gate), ADMISSION_E_INVALID_HANDLE);
    CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_OK);
    check_limiter(limiter, ADMISSION_E_INVALID_HANDLE);

    /* Others in the same places do not answer for them. */
    later = open_manual();
    later_gate = open_gate(later, "project", "acme");
    CHECK(later != limiter && later_gate != gate);
    check_gate(gate, ADMISSION_E_INVALID_HANDLE);
    check_limiter(limiter, ADMISSION_E_INVALID_HANDLE);
    CHECK_STATUS(admission_gate_close(later_gate), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(later), ADMISSION_OK);
}

enum { LIMITER, GATE, PERMIT };

/* Closes limiter, gate and permit in the given order. */
static void order(const int *steps) {
    admission_limiter *limiter = open_manual();
    admission_gate *gate = open_gate(limiter, "project", "acme");
    uint64_t permit = acquire(gate);
    int step, limiter_closed = 0;
    for (step = 0; step < 3; step++) {
        if (steps[step] == LIMITER) {
            CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_OK);
            limiter_closed = 1;
        } else if (steps[step] == GATE) {
            if (limiter_closed) check_gate(gate, ADMISSION_E_CLOSED);
            CHECK_STATUS(admission_gate_close(gate), ADMISSION_OK);
            check_gate(gate, ADMISSION_E_INVALID_HANDLE);
        } else {
            CHECK_STATUS(admission_permit_renew(limiter, permit), ADMISSION_OK);
            CHECK_STATUS(admission_permit_complete(limiter, permit, NULL), ADMISSION_OK);
        }
        if (limiter_closed && step < 2) check_limiter(limiter, ADMISSION_E_CLOSED);
    }
    check_limiter(limiter, ADMISSION_E_INVALID_HANDLE);
}

static void churn(void) {
    admission_limiter *limiter = open_manual();
    admission_attribute attribute = {"project", "acme"};
    admission_gate *last = NULL, *gates[100];
    int round, index;
    for (round = 0; round < 200; round++) {
        for (index = 0; index < 100; index++) {
            gates[index] = NULL;
            if (admission_gate_open(limiter, &attribute, 1, &gates[index]) != ADMISSION_OK ||
                gates[index] == last)
                break;
            last = gates[index];
        }
        CHECK(index == 100);
        for (index = 0; index < 100; index++)
            if (admission_gate_close(gates[index]) != ADMISSION_OK) break;
        CHECK(index == 100);
    }
    CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_E_INVALID_HANDLE);
}

int main(void) {
    static const int orders[6][3] = {{LIMITER, GATE, PERMIT}, {LIMITER, PERMIT, GATE},
                                     {GATE, LIMITER, PERMIT}, {GATE, PERMIT, LIMITER},
                                     {PERMIT, LIMITER, GATE}, {PERMIT, GATE, LIMITER}};
    int index;
    made_up();
    stale();
    for (index = 0; index < 6; index++) order(orders[index]);
    churn();
    return finish("lifetimes");
}
