/* Count names are remembered up to a bound, found again beyond it, and ignored where no policy counts
 * them; threads that bring the same new names agree. */
#define _GNU_SOURCE
#include "policy.h"

#include <pthread.h>

static admission_gate *gate;
static admission_limiter *limiter;

static admission_status charge(const char *name) {
    admission_cost cost = ADMISSION_COST_INIT;
    admission_count count = ADMISSION_COUNT_INIT;
    admission_decision decision = ADMISSION_DECISION_INIT;
    count.name = name;
    count.value = 1;
    cost.requests = 0;
    cost.extra = &count;
    cost.extra_count = 1;
    return admission_try_charge(gate, &cost, &decision);
}

static void *charge_all(void *argument) {
    char name[32];
    int index;
    for (index = 0; index < ADMISSION_MAX_COUNT_NAMES; index++) {
        snprintf(name, sizeof name, "count %d", index);
        if (charge(name) != ADMISSION_OK) return argument;
    }
    return NULL;
}

int main(void) {
    pthread_t threads[2];
    void *result;
    int index;
    limiter = open_manual();
    gate = open_gate(limiter, "kind", "pace");
    for (index = 0; index < 2; index++)
        CHECK(pthread_create(&threads[index], NULL, charge_all, limiter) == 0);
    for (index = 0; index < 2; index++) {
        CHECK(pthread_join(threads[index], &result) == 0);
        CHECK(result == NULL);
    }
    CHECK_STATUS(charge("one too many"), ADMISSION_E_INVALID_COUNT);
    CHECK_STATUS(charge("count 0"), ADMISSION_OK);
    CHECK_STATUS(charge("count 4095"), ADMISSION_OK);
    CHECK_STATUS(charge("count 4096"), ADMISSION_E_INVALID_COUNT);
    CHECK_STATUS(admission_gate_close(gate), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_OK);
    return finish("names");
}
