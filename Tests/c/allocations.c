/* Counts the allocations inside the library during decisions and settlements: none. The allocator's
 * names are taken over by this program, which the dynamic loader prefers to the C library's; that the
 * count works is shown by calls that must allocate, and by a planted one. */
#define _GNU_SOURCE
#include "policy.h"

#include <stdlib.h>

static __thread int counting;
static long allocations;

static void note(void) {
    if (counting) __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
}

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) {
    note();
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    note();
    return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size) {
    note();
    return __libc_realloc(memory, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}
void *memalign(size_t alignment, size_t size) {
    note();
    return __libc_memalign(alignment, size);
}
int posix_memalign(void **memory, size_t alignment, size_t size) {
    note();
    *memory = __libc_memalign(alignment, size);
    return *memory == NULL;
}

static volatile size_t plant_size;

/* 1,000 rounds of everything on the hot path, admitted and rejected; the allocations counted. */
static long hot_path(admission_limiter *limiter, admission_gate *gate, admission_gate *pace,
                     int planted) {
    admission_cost cost = ADMISSION_COST_INIT;
    admission_usage usage = ADMISSION_USAGE_INIT, increment = ADMISSION_USAGE_INIT;
    admission_decision decision = ADMISSION_DECISION_INIT;
    admission_count images = ADMISSION_COUNT_INIT;
    admission_status status = ADMISSION_OK;
    long admitted = 0, rejected = 0;
    int round;
    images.name = "images";
    images.value = 1;
    increment.input_tokens = 1;
    CHECK_STATUS(admission_limiter_advance(limiter, 24 * 3600 * SECOND_NS), ADMISSION_OK);
    allocations = 0;
    counting = 1;
    for (round = 0; round < 1000; round++) {
        cost.input_tokens = round % 400;
        cost.extra = &images;
        cost.extra_count = (uint32_t)(round & 1);
        status |= admission_try_acquire(gate, round % 7 ? &cost : NULL, &decision);
        if (decision.outcome == ADMISSION_ADMITTED) {
            admitted++;
            usage.input_tokens = round % 300;
            status |= admission_permit_add(limiter, decision.permit, &increment);
            status |= admission_permit_renew(limiter, decision.permit);
            switch (round % 4) {
            case 0: status |= admission_permit_complete(limiter, decision.permit, NULL); break;
            case 1: status |= admission_permit_complete(limiter, decision.permit, &usage); break;
            case 2: status |= admission_permit_drop(limiter, decision.permit); break;
            default: status |= admission_permit_abandon(limiter, decision.permit); break;
            }
        } else {
            rejected++;
        }
        status |= admission_try_charge(pace, NULL, &decision);
        status |= admission_acquire(pace, &cost, 0, &decision);
        if (decision.outcome == ADMISSION_ADMITTED)
            status |= admission_permit_complete(limiter, decision.permit, NULL);
        if (round % 20 == 19) status |= admission_limiter_advance(limiter, 30 * SECOND_NS);
        if (planted && round == 500) free(malloc(plant_size));
    }
    counting = 0;
    CHECK(status == ADMISSION_OK);
    CHECK(admitted >= 50 && rejected >= 50);
    return allocations;
}

int main(void) {
    admission_limiter *limiter = open_manual();
    admission_gate *gate = open_gate(limiter, "project", "acme");
    admission_gate *pace = open_gate(limiter, "kind", "pace"), *another = NULL;
    admission_attribute attribute = {"project", "other"};
    long count;

    /* The interposed allocator sees what the library allocates. */
    allocations = 0;
    counting = 1;
    CHECK_STATUS(admission_gate_open(limiter, &attribute, 1, &another), ADMISSION_OK);
    counting = 0;
    CHECK(allocations > 0);

    hot_path(limiter, gate, pace, 0); /* first uses: a thread's record, the count's name */
    count = hot_path(limiter, gate, pace, 0);
    printf("allocations: %ld in 1,000 rounds of decisions and settlements\n", count);
    CHECK(count == 0);
    CHECK(hot_path(limiter, gate, pace, 1) == 1);

    CHECK_STATUS(admission_gate_close(another), ADMISSION_OK);
    CHECK_STATUS(admission_gate_close(gate), ADMISSION_OK);
    CHECK_STATUS(admission_gate_close(pace), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_OK);
    return finish("allocations");
}
