/* Permits end once, settle what they should, and refuse bad usage without a trace. */
#include "policy.h"

#define TEXT 16384

static char before[TEXT], after[TEXT];

static int same(admission_gate *gate) {
    explain(gate, after, TEXT);
    return strcmp(before, after) == 0;
}

static void ends_once(admission_limiter *limiter, admission_gate *gate) {
    uint64_t permit;
    int way;
    for (way = 0; way < 3; way++) {
        permit = acquire(gate);
        CHECK(permit != 0);
        CHECK_STATUS(admission_permit_renew(limiter, permit), ADMISSION_OK);
        CHECK_STATUS(way == 0   ? admission_permit_complete(limiter, permit, NULL)
                     : way == 1 ? admission_permit_abandon(limiter, permit)
                                : admission_permit_drop(limiter, permit),
                     ADMISSION_OK);
        explain(gate, before, TEXT);
        CHECK_STATUS(admission_permit_complete(limiter, permit, NULL),
                     ADMISSION_E_ALREADY_COMPLETED);
        CHECK_STATUS(admission_permit_abandon(limiter, permit), ADMISSION_E_ALREADY_COMPLETED);
        CHECK_STATUS(admission_permit_drop(limiter, permit), ADMISSION_E_ALREADY_COMPLETED);
        CHECK_STATUS(admission_permit_renew(limiter, permit), ADMISSION_E_ALREADY_COMPLETED);
        CHECK(same(gate));
    }
}

/* A number that never was a permit; some cannot be told from one that ended. */
static int is_refused(admission_status status) {
    return status == ADMISSION_E_INVALID_HANDLE || status == ADMISSION_E_ALREADY_COMPLETED;
}

static void never_a_permit(admission_limiter *limiter, admission_gate *gate) {
    uint64_t permit = acquire(gate), made_up[8];
    size_t index;
    made_up[0] = 0;
    made_up[1] = 1;
    made_up[2] = UINT64_MAX;
    made_up[3] = permit ^ 1;
    made_up[4] = permit ^ (UINT64_C(1) << 63);
    made_up[5] = permit + (UINT64_C(1) << 32);
    made_up[6] = UINT64_C(0x7fffffffffffffff);
    made_up[7] = (uint64_t)(uintptr_t)&permit;
    explain(gate, before, TEXT);
    for (index = 0; index < sizeof made_up / sizeof *made_up; index++) {
        admission_usage usage = ADMISSION_USAGE_INIT;
        CHECK(is_refused(admission_permit_complete(limiter, made_up[index], &usage)));
        CHECK(is_refused(admission_permit_add(limiter, made_up[index], &usage)));
        CHECK(is_refused(admission_permit_abandon(limiter, made_up[index])));
        CHECK(is_refused(admission_permit_drop(limiter, made_up[index])));
        CHECK(is_refused(admission_permit_renew(limiter, made_up[index])));
    }
    CHECK_STATUS(admission_permit_drop(limiter, 0), ADMISSION_E_INVALID_HANDLE);
    CHECK(same(gate));
    CHECK_STATUS(admission_permit_abandon(limiter, permit), ADMISSION_OK);
}

/* A permit is its own limiter's: through another one its number names nothing. */
static void foreign(admission_limiter *limiter, admission_gate *gate) {
    admission_limiter *other = open_manual();
    admission_gate *other_gate = open_gate(other, "project", "acme");
    uint64_t ours = acquire(gate), theirs = acquire(other_gate);
    CHECK(ours != theirs);
    CHECK_STATUS(admission_permit_complete(other, ours, NULL), ADMISSION_E_INVALID_HANDLE);
    CHECK_STATUS(admission_permit_abandon(limiter, theirs), ADMISSION_E_INVALID_HANDLE);
    CHECK_STATUS(admission_permit_abandon(limiter, ours), ADMISSION_OK);
    CHECK_STATUS(admission_permit_complete(other, theirs, NULL), ADMISSION_OK);
    CHECK_STATUS(admission_gate_close(other_gate), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(other), ADMISSION_OK);
}

static void bad_usage(admission_limiter *limiter, admission_gate *gate) {
    uint64_t permit = acquire(gate);
    admission_usage good = ADMISSION_USAGE_INIT, bad;
    admission_count count = ADMISSION_COUNT_INIT;
    count.name = "images";
    count.value = 1;
    explain(gate, before, TEXT);

#define CHECK_USAGE(change, expected)                                                              \
    bad = good;                                                                                    \
    change;                                                                                        \
    CHECK_STATUS(admission_permit_complete(limiter, permit, &bad), expected);                      \
    CHECK_STATUS(admission_permit_add(limiter, permit, &bad), expected);                           \
    CHECK(same(gate))

    CHECK_USAGE(bad.struct_size = 0, ADMISSION_E_INVALID_STRUCT_SIZE);
    CHECK_USAGE(bad.struct_size = ADMISSION_USAGE_SIZE_1 - 1, ADMISSION_E_INVALID_STRUCT_SIZE);
    CHECK_USAGE(bad.struct_size = UINT32_MAX, ADMISSION_E_INVALID_STRUCT_SIZE);
    CHECK_USAGE(bad.exact = 2, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_USAGE(bad.exact = -1, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_USAGE(bad.reserved = 1, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_USAGE(bad.requests = -2, ADMISSION_E_NEGATIVE_USAGE);
    CHECK_USAGE(bad.input_tokens = INT64_MIN, ADMISSION_E_NEGATIVE_USAGE);
    CHECK_USAGE(bad.output_tokens = -100, ADMISSION_E_NEGATIVE_USAGE);
    CHECK_USAGE(bad.extra_count = 1, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_USAGE(bad.extra_count = 33; bad.extra = &count, ADMISSION_E_INVALID_COUNT);
    count.value = -2;
    CHECK_USAGE(bad.extra_count = 1; bad.extra = &count, ADMISSION_E_NEGATIVE_USAGE);
    count.value = 1;
    count.name = "requests";
    CHECK_USAGE(bad.extra_count = 1; bad.extra = &count, ADMISSION_E_INVALID_COUNT);
    count.name = "\x80";
    CHECK_USAGE(bad.extra_count = 1; bad.extra = &count, ADMISSION_E_INVALID_UTF8);
    CHECK_STATUS(admission_permit_add(limiter, permit, NULL), ADMISSION_E_INVALID_ARGUMENT);
    CHECK(same(gate));
    CHECK_STATUS(admission_permit_abandon(limiter, permit), ADMISSION_OK);
}

static void settles(admission_limiter *limiter, admission_gate *gate) {
    admission_cost cost = ADMISSION_COST_INIT;
    admission_usage usage = ADMISSION_USAGE_INIT;
    admission_decision decision = ADMISSION_DECISION_INIT;
    admission_count images[2] = {ADMISSION_COUNT_INIT, ADMISSION_COUNT_INIT};
    explain(gate, before, TEXT);

    /* Everything is given back: as if it had never been asked. */
    cost.input_tokens = 400;
    images[0].name = "images";
    images[0].value = 2;
    images[1].name = "unheard of";
    images[1].value = INT64_MAX;
    cost.extra = images;
    cost.extra_count = 2;
    CHECK_STATUS(admission_try_acquire(gate, &cost, &decision), ADMISSION_OK);
    CHECK(decision.outcome == ADMISSION_ADMITTED && decision.reason == ADMISSION_REASON_NONE);
    CHECK(decision.retry_after_ns == 0 && decision.store_mode == ADMISSION_STORE_MEMORY);
    CHECK(decision.predicted_start_unix_ns == decision.decided_at_unix_ns);
    CHECK(!same(gate));
    CHECK_STATUS(admission_permit_abandon(limiter, decision.permit), ADMISSION_OK);
    CHECK(same(gate));

    /* Completed with the very charge, in numbers and by leaving out: the same in both ways. */
    CHECK_STATUS(admission_try_acquire(gate, &cost, &decision), ADMISSION_OK);
    usage.input_tokens = 400;
    usage.extra = images;
    usage.extra_count = 2;
    images[0].value = 0;
    CHECK_STATUS(admission_permit_complete(limiter, decision.permit, &usage), ADMISSION_OK);
    explain(gate, before, TEXT);
    CHECK(strstr(before, "\"limit\":\"images\"") != NULL);

    /* 1 request and 400 tokens stand; 9 more requests and 600 tokens fit, in one call not. */
    cost.extra_count = 0;
    cost.requests = 9;
    cost.input_tokens = 601;
    CHECK_STATUS(admission_try_acquire(gate, &cost, &decision), ADMISSION_OK);
    CHECK(decision.outcome == ADMISSION_REJECTED && decision.permit == 0);
    CHECK(decision.reason == ADMISSION_REASON_EXHAUSTED && decision.retry_after_ns > 0);
    CHECK(strcmp(decision.policy_name, "main") == 0 && strcmp(decision.limit_name, "tpm") == 0);
    CHECK(decision.limit == 1000 && decision.asked == 601 && decision.remaining == 600);
    CHECK(same(gate));
    CHECK_STATUS(admission_acquire(gate, &cost, 1, &decision), ADMISSION_E_NOT_SUPPORTED);
    CHECK(decision.outcome == 0 && same(gate));
    cost.input_tokens = 600;
    CHECK_STATUS(admission_acquire(gate, &cost, INT64_MAX, &decision), ADMISSION_OK);
    CHECK(decision.outcome == ADMISSION_ADMITTED && decision.remaining == 0);

    /* A stream adds, and its end leaves the sum alone. */
    usage.extra_count = 0;
    usage.input_tokens = 50;
    CHECK_STATUS(admission_permit_add(limiter, decision.permit, &usage), ADMISSION_OK);
    usage.exact = 0;
    usage.input_tokens = 0;
    CHECK_STATUS(admission_permit_complete(limiter, decision.permit, &usage), ADMISSION_OK);
    cost.requests = 0;
    cost.input_tokens = 0;
    CHECK_STATUS(admission_try_acquire(gate, &cost, &decision), ADMISSION_OK);
    CHECK(decision.outcome == ADMISSION_REJECTED && decision.reason == ADMISSION_REASON_DEBT);
    CHECK(decision.remaining == 0);

    cost.requests = 11;
    CHECK_STATUS(admission_acquire(gate, &cost, 5, &decision), ADMISSION_OK);
    CHECK(decision.outcome == ADMISSION_REJECTED);
    CHECK(decision.reason == ADMISSION_REASON_EXCEEDS_LIMIT && decision.retry_after_ns == -1);
    CHECK(decision.predicted_start_unix_ns == -1 && decision.limit == 10 && decision.asked == 11);
}

static void leases(admission_limiter *limiter, admission_gate *gate) {
    uint64_t permits[3], late;
    admission_decision decision = ADMISSION_DECISION_INIT;
    int index;
    CHECK_STATUS(admission_limiter_advance(limiter, 120 * SECOND_NS), ADMISSION_OK);
    for (index = 0; index < 3; index++) permits[index] = acquire(gate);
    CHECK_STATUS(admission_try_acquire(gate, NULL, &decision), ADMISSION_OK);
    CHECK(decision.outcome == ADMISSION_REJECTED);
    CHECK(decision.reason == ADMISSION_REASON_CONCURRENCY && decision.retry_after_ns == -2);
    CHECK(decision.predicted_start_unix_ns == -2);
    CHECK(strcmp(decision.limit_name, "parallel") == 0);

    /* Only the one that was renewed still holds its slot. */
    CHECK_STATUS(admission_limiter_advance(limiter, 20 * SECOND_NS), ADMISSION_OK);
    CHECK_STATUS(admission_permit_renew(limiter, permits[0]), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_advance(limiter, 20 * SECOND_NS), ADMISSION_OK);
    late = acquire(gate);
    CHECK(late != 0);
    CHECK_STATUS(admission_permit_complete(limiter, permits[0], NULL), ADMISSION_OK);
    CHECK_STATUS(admission_permit_complete(limiter, permits[1], NULL),
                 ADMISSION_E_LEASE_EXPIRED);
    CHECK_STATUS(admission_permit_complete(limiter, permits[1], NULL),
                 ADMISSION_E_ALREADY_COMPLETED);
    CHECK_STATUS(admission_permit_drop(limiter, permits[2]), ADMISSION_E_LEASE_EXPIRED);
    CHECK_STATUS(admission_permit_complete(limiter, late, NULL), ADMISSION_OK);
}

static void bounds(void) {
    admission_options options = manual_options();
    admission_limiter *limiter = NULL;
    admission_gate *gate;
    admission_decision decision = ADMISSION_DECISION_INIT;
    uint64_t permit;
    options.permit_capacity = 1;
    CHECK_STATUS(admission_limiter_open(&options, &limiter), ADMISSION_OK);
    gate = open_gate(limiter, "project", "acme");
    permit = acquire(gate);
    explain(gate, before, TEXT);
    CHECK_STATUS(admission_try_acquire(gate, NULL, &decision), ADMISSION_E_PERMIT_TABLE_FULL);
    CHECK(decision.outcome == 0 && decision.permit == 0 && same(gate));
    CHECK_STATUS(admission_permit_abandon(limiter, permit), ADMISSION_OK);
    CHECK(acquire(gate) != 0);
    CHECK_STATUS(admission_gate_close(gate), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_OK);
}

/* The table of keys fills up: an error with its number, and nothing half charged. */
static void keys(void) {
    admission_options options = manual_options();
    admission_limiter *limiter = NULL;
    admission_status status = ADMISSION_OK;
    admission_gate *gates[64];
    int opened = 0;
    options.key_capacity = 8;
    CHECK_STATUS(admission_limiter_open(&options, &limiter), ADMISSION_OK);
    while (opened < 64 && status == ADMISSION_OK) {
        char name[16];
        admission_attribute attribute;
        admission_decision decision = ADMISSION_DECISION_INIT;
        admission_gate *gate = NULL;
        snprintf(name, sizeof name, "p%d", opened);
        attribute.name = "project";
        attribute.value = name;
        status = admission_gate_open(limiter, &attribute, 1, &gate);
        if (status != ADMISSION_OK) break;
        gates[opened++] = gate;
        status = admission_try_acquire(gate, NULL, &decision);
    }
    CHECK_STATUS(status, ADMISSION_E_KEY_TABLE_FULL);
    CHECK(opened >= 1);
    while (opened > 0) CHECK_STATUS(admission_gate_close(gates[--opened]), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_OK);
}

int main(void) {
    admission_limiter *limiter = open_manual();
    admission_gate *gate = open_gate(limiter, "project", "acme");
    ends_once(limiter, gate);
    CHECK_STATUS(admission_limiter_advance(limiter, 120 * SECOND_NS), ADMISSION_OK);
    never_a_permit(limiter, gate);
    foreign(limiter, gate);
    bad_usage(limiter, gate);
    settles(limiter, gate);
    leases(limiter, gate);
    bounds();
    keys();
    CHECK_STATUS(admission_gate_close(gate), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_OK);
    return finish("permits");
}
