/* Random calls with random input: the process lives, every status is one of the header's, and every
 * decision that was made is whole. First one thread, whose run the seed fixes; then several that
 * share handles, close them and use them at once.
 *
 *     fuzz [INPUTS [SEED]]
 */
#define _GNU_SOURCE
#include "policy.h"

#include <pthread.h>
#include <stdlib.h>

#define LIMITERS 3
#define GATES 24
#define PERMITS 64
#define THREADS 3

/* Shared by the threads: whatever stands there, open, closed or made up, is passed on. */
static uintptr_t limiters[LIMITERS], gates[GATES];
static uint64_t permits[PERMITS];
static long inputs, admitted, rejected, seen[1000], wrong;

struct fuzzer {
    uint64_t random;
    long inputs;
};

/* xorshift64* (Vigna 2016, https://doi.org/10.1145/2845077). */
static uint64_t next(struct fuzzer *fuzzer) {
    fuzzer->random ^= fuzzer->random >> 12;
    fuzzer->random ^= fuzzer->random << 25;
    fuzzer->random ^= fuzzer->random >> 27;
    return fuzzer->random * UINT64_C(0x2545F4914F6CDD1D);
}

static uint64_t below(struct fuzzer *fuzzer, uint64_t bound) { return next(fuzzer) % bound; }

static int one_in(struct fuzzer *fuzzer, uint64_t odds) { return below(fuzzer, odds) == 0; }

static int64_t number(struct fuzzer *fuzzer) {
    static const int64_t edges[] = {0,  1,         2,        -1,        -2,
                                    10, INT64_MAX, INT64_MIN, INT32_MAX, INT64_C(1) << 53};
    uint64_t which = below(fuzzer, 20);
    if (which < 10) return edges[which];
    return which < 18 ? (int64_t)below(fuzzer, 12) : (int64_t)next(fuzzer);
}

static uint32_t struct_size(struct fuzzer *fuzzer, uint32_t right) {
    switch (below(fuzzer, 24)) {
    case 0: return 0;
    case 1: return right - 1;
    case 2: return right + 8;
    case 3: return (uint32_t)next(fuzzer);
    default: return right;
    }
}

/* Mostly text that means something here; else empty, long, or bytes at random. */
static const char *text(struct fuzzer *fuzzer, char *memory, size_t size) {
    static const char *const words[] = {"project", "kind", "tier", "tenant", "pace",
                                        "acme",    "model", "images", "requests", ""};
    size_t index, length;
    switch (below(fuzzer, 16)) {
    case 0: return one_in(fuzzer, 4) ? NULL : "";
    case 1:
        length = (size_t)below(fuzzer, 12);
        for (index = 0; index < length; index++) memory[index] = (char)next(fuzzer);
        memory[length] = 0;
        return memory;
    case 2:
        if (!one_in(fuzzer, 8)) return "\xf0\x9f\x9a\xa6";
        memset(memory, 'l', size - 1);
        memory[size - 1] = 0;
        return memory;
    default: return words[below(fuzzer, sizeof words / sizeof *words)];
    }
}

static uintptr_t handle(struct fuzzer *fuzzer) {
    switch (below(fuzzer, 40)) {
    case 0: return 0;
    case 1: return (uintptr_t)next(fuzzer);
    case 2: return __atomic_load_n(&gates[below(fuzzer, GATES)], __ATOMIC_RELAXED) ^
                   (UINT64_C(1) << below(fuzzer, 64));
    case 3: return (uintptr_t)below(fuzzer, 5000);
    default: return UINTPTR_MAX;
    }
}

static admission_limiter *limiter(struct fuzzer *fuzzer) {
    uintptr_t bad = handle(fuzzer);
    if (bad != UINTPTR_MAX) return (admission_limiter *)bad;
    return (admission_limiter *)__atomic_load_n(&limiters[below(fuzzer, LIMITERS)],
                                                __ATOMIC_RELAXED);
}

static admission_gate *gate(struct fuzzer *fuzzer) {
    uintptr_t bad = handle(fuzzer);
    if (bad != UINTPTR_MAX) return (admission_gate *)bad;
    return (admission_gate *)__atomic_load_n(&gates[below(fuzzer, GATES)], __ATOMIC_RELAXED);
}

static uint64_t permit(struct fuzzer *fuzzer) {
    if (one_in(fuzzer, 30)) return next(fuzzer);
    return __atomic_load_n(&permits[below(fuzzer, PERMITS)], __ATOMIC_RELAXED);
}

static void count(struct fuzzer *fuzzer, admission_status status) {
    fuzzer->inputs++;
    if (status < 0 || status >= 1000 || strcmp(admission_status_name(status), "unknown") == 0 ||
        status == ADMISSION_E_INTERNAL) {
        printf("fuzz: status %d\n", (int)status);
        __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
    } else {
        __atomic_add_fetch(&seen[status], 1, __ATOMIC_RELAXED);
    }
}

static const admission_count *extra(struct fuzzer *fuzzer, admission_count *counts, char *memory,
                                    size_t size, uint32_t *length) {
    uint32_t index;
    *length = one_in(fuzzer, 200) ? (uint32_t)next(fuzzer) : (uint32_t)below(fuzzer, 4);
    if (one_in(fuzzer, 40)) return NULL;
    for (index = 0; index < 4; index++) {
        admission_count fresh = ADMISSION_COUNT_INIT;
        fresh.struct_size = struct_size(fuzzer, ADMISSION_COUNT_SIZE_1);
        fresh.name = text(fuzzer, memory, size);
        fresh.value = number(fuzzer);
        counts[index] = fresh;
    }
    /* A stride that is accepted reaches at most this far. */
    if (counts[0].struct_size != ADMISSION_COUNT_SIZE_1 && *length > 1) *length = 1;
    return counts;
}

/* Puts a permit where others find it, and drops the one that stood there, so that the limiters'
 * tables of permits are sometimes full and not always. */
static void keep(struct fuzzer *fuzzer, uint64_t permit) {
    uint64_t old =
        __atomic_exchange_n(&permits[below(fuzzer, PERMITS)], permit, __ATOMIC_RELAXED);
    int index;
    for (index = 0; index < LIMITERS; index++)
        count(fuzzer, admission_permit_drop((admission_limiter *)__atomic_load_n(
                                                &limiters[index], __ATOMIC_RELAXED),
                                            old));
}

static void decide(struct fuzzer *fuzzer) {
    char memory[5000], priority[5000];
    admission_count counts[4];
    admission_cost cost = ADMISSION_COST_INIT;
    admission_decision decision = ADMISSION_DECISION_INIT;
    admission_status status;
    decision.struct_size = struct_size(fuzzer, ADMISSION_DECISION_SIZE_1);
    if (!one_in(fuzzer, 3)) {
        cost.struct_size = struct_size(fuzzer, ADMISSION_COST_SIZE_1);
        cost.requests = one_in(fuzzer, 3) ? number(fuzzer) : 1;
        cost.input_tokens = one_in(fuzzer, 3) ? number(fuzzer) : 3;
        cost.output_tokens = one_in(fuzzer, 3) ? number(fuzzer) : 0;
        if (one_in(fuzzer, 10)) cost.priority = text(fuzzer, priority, sizeof priority);
        if (one_in(fuzzer, 3))
            cost.extra = extra(fuzzer, counts, memory, sizeof memory, &cost.extra_count);
    }
    switch (below(fuzzer, 4)) {
    case 0: status = admission_try_charge(gate(fuzzer), &cost, &decision); break;
    case 1: status = admission_acquire(gate(fuzzer), &cost, number(fuzzer), &decision); break;
    case 2:
        status = admission_try_acquire(gate(fuzzer), one_in(fuzzer, 2) ? NULL : &cost,
                                       one_in(fuzzer, 50) ? NULL : &decision);
        break;
    default: status = admission_try_acquire(gate(fuzzer), &cost, &decision); break;
    }
    count(fuzzer, status);
    if (status != ADMISSION_OK) return;
    if (decision.outcome == ADMISSION_ADMITTED) {
        __atomic_add_fetch(&admitted, 1, __ATOMIC_RELAXED);
        if (decision.permit != 0) keep(fuzzer, decision.permit);
        if (decision.reason != 0 || decision.retry_after_ns != 0) wrong++;
    } else {
        __atomic_add_fetch(&rejected, 1, __ATOMIC_RELAXED);
        if (decision.outcome != ADMISSION_REJECTED || decision.permit != 0 ||
            decision.reason < ADMISSION_REASON_EXCEEDS_LIMIT ||
            decision.reason > ADMISSION_REASON_BOUNDARY_GUARD || decision.remaining < 0 ||
            decision.limit_name == NULL || strlen(decision.limit_name) > 20)
            wrong++;
    }
}

static void end_permit(struct fuzzer *fuzzer) {
    char memory[5000];
    admission_count counts[4];
    admission_usage usage = ADMISSION_USAGE_INIT;
    admission_limiter *of = limiter(fuzzer);
    uint64_t ended = permit(fuzzer);
    if (one_in(fuzzer, 2)) {
        usage.struct_size = struct_size(fuzzer, ADMISSION_USAGE_SIZE_1);
        usage.exact = one_in(fuzzer, 8) ? (int32_t)number(fuzzer) : (int32_t)below(fuzzer, 2);
        usage.requests = number(fuzzer);
        usage.input_tokens = number(fuzzer);
        usage.reserved = one_in(fuzzer, 30);
        if (one_in(fuzzer, 3))
            usage.extra = extra(fuzzer, counts, memory, sizeof memory, &usage.extra_count);
    }
    switch (below(fuzzer, 6)) {
    case 0: count(fuzzer, admission_permit_add(of, ended, one_in(fuzzer, 9) ? NULL : &usage)); break;
    case 1: count(fuzzer, admission_permit_abandon(of, ended)); break;
    case 2: count(fuzzer, admission_permit_drop(of, ended)); break;
    case 3: count(fuzzer, admission_permit_renew(of, ended)); break;
    case 4: count(fuzzer, admission_permit_complete(of, ended, NULL)); break;
    default: count(fuzzer, admission_permit_complete(of, ended, &usage)); break;
    }
}

static void open_one_gate(struct fuzzer *fuzzer) {
    char names[4][5000], values[4][5000];
    admission_attribute attributes[4];
    admission_gate *opened = (admission_gate *)1;
    admission_status status;
    size_t length = one_in(fuzzer, 100) ? (size_t)next(fuzzer) | 1 << 20 : below(fuzzer, 4), index;
    uintptr_t old;
    for (index = 0; index < 4; index++) {
        attributes[index].name = text(fuzzer, names[index], sizeof names[index]);
        attributes[index].value = text(fuzzer, values[index], sizeof values[index]);
    }
    status = admission_gate_open(limiter(fuzzer), one_in(fuzzer, 50) ? NULL : attributes, length,
                                 one_in(fuzzer, 100) ? NULL : &opened);
    count(fuzzer, status);
    if (status != ADMISSION_OK) return;
    old = __atomic_exchange_n(&gates[below(fuzzer, GATES)], (uintptr_t)opened, __ATOMIC_ACQ_REL);
    if (old != 0) count(fuzzer, admission_gate_close((admission_gate *)old));
}

static void open_one_limiter(struct fuzzer *fuzzer) {
    char memory[5000];
    admission_options options = manual_options();
    admission_limiter *opened = NULL;
    admission_status status;
    options.struct_size = struct_size(fuzzer, ADMISSION_OPTIONS_SIZE_1);
    options.permit_capacity = one_in(fuzzer, 4) ? number(fuzzer) : 40;
    options.key_capacity = one_in(fuzzer, 4) ? number(fuzzer) : 64;
    if (options.permit_capacity > 4096) options.permit_capacity = -1;
    if (options.key_capacity > 4096) options.key_capacity = -1;
    if (one_in(fuzzer, 8)) options.clock = (int32_t)number(fuzzer);
    if (one_in(fuzzer, 8)) options.heartbeat = (int32_t)number(fuzzer);
    if (one_in(fuzzer, 8)) options.start_unix_ns = number(fuzzer);
    if (one_in(fuzzer, 8)) options.policy_json = text(fuzzer, memory, sizeof memory);
    if (one_in(fuzzer, 8)) options.policy_path = "/nonexistent";
    if (one_in(fuzzer, 8)) options.store_url = text(fuzzer, memory, sizeof memory);
    status = admission_limiter_open(one_in(fuzzer, 30) ? NULL : &options, &opened);
    count(fuzzer, status);
    if (status == ADMISSION_OK) {
        uintptr_t old = __atomic_exchange_n(&limiters[below(fuzzer, LIMITERS)], (uintptr_t)opened,
                                            __ATOMIC_ACQ_REL);
        if (old != 0) count(fuzzer, admission_limiter_close((admission_limiter *)old));
    }
}

static void reload(struct fuzzer *fuzzer) {
    char document[4096];
    size_t length = strlen(test_policy), changes;
    memcpy(document, test_policy, length + 1);
    for (changes = below(fuzzer, 3); changes > 0; changes--)
        document[below(fuzzer, length)] = (char)next(fuzzer);
    count(fuzzer, admission_limiter_reload(limiter(fuzzer), document));
}

static void look(struct fuzzer *fuzzer) {
    char buffer[9000];
    uint64_t cursor = next(fuzzer) >> below(fuzzer, 64);
    size_t size = one_in(fuzzer, 2) ? sizeof buffer : (size_t)below(fuzzer, 600), needed = 0;
    char *memory = one_in(fuzzer, 20) ? NULL : buffer;
    admission_status status;
    switch (below(fuzzer, 5)) {
    case 0: status = admission_limiter_snapshot(limiter(fuzzer), memory, size, &needed); break;
    case 1: status = admission_limiter_metrics(limiter(fuzzer), memory, size, &needed); break;
    case 2:
        status = admission_limiter_events_read(limiter(fuzzer), one_in(fuzzer, 20) ? NULL : &cursor,
                                               memory, size, &needed);
        break;
    case 3: status = admission_gate_explain(gate(fuzzer), NULL, memory, size, &needed); break;
    default: status = admission_limiter_reclaim(limiter(fuzzer), &needed); memory = NULL; break;
    }
    if (status == ADMISSION_OK && memory != NULL && strlen(memory) + 1 != needed) wrong++;
    count(fuzzer, status);
}

static void step(struct fuzzer *fuzzer) {
    uint64_t what = below(fuzzer, 1000);
    if (what < 450) decide(fuzzer);
    else if (what < 750) end_permit(fuzzer);
    else if (what < 850) open_one_gate(fuzzer);
    else if (what < 854) open_one_limiter(fuzzer);
    else if (what < 880) reload(fuzzer);
    else if (what < 920) look(fuzzer);
    else if (what < 950) count(fuzzer, admission_limiter_advance(limiter(fuzzer), number(fuzzer)));
    else if (what < 970) count(fuzzer, admission_limiter_set_time(limiter(fuzzer), number(fuzzer)));
    else if (what < 976) count(fuzzer, admission_gate_close(gate(fuzzer)));
    else if (what < 977) count(fuzzer, admission_limiter_close(limiter(fuzzer)));
    else if (what < 980) count(fuzzer, admission_completions_open(limiter(fuzzer), 1, NULL));
    else {
        char small[16];
        if (admission_last_error(small, below(fuzzer, sizeof small)) > 20000) wrong++;
        (void)admission_status_name((admission_status)next(fuzzer));
        (void)admission_reason_name((int32_t)next(fuzzer));
        fuzzer->inputs += 3;
    }
}

static long inputs_a_thread;

static void *run(void *argument) {
    struct fuzzer *fuzzer = argument;
    while (fuzzer->inputs < inputs_a_thread) step(fuzzer);
    __atomic_add_fetch(&inputs, fuzzer->inputs, __ATOMIC_RELAXED);
    return NULL;
}

static void close_all(void) {
    int index;
    for (index = 0; index < GATES; index++) {
        admission_gate_close((admission_gate *)gates[index]);
        gates[index] = 0;
    }
    for (index = 0; index < LIMITERS; index++) {
        admission_limiter_close((admission_limiter *)limiters[index]);
        limiters[index] = 0;
    }
}

int main(int argc, char **argv) {
    long total = argc > 1 ? atol(argv[1]) : 1000000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 20260115;
    struct fuzzer fuzzers[THREADS];
    pthread_t threads[THREADS];
    admission_limiter *after;
    admission_gate *gate_after;
    int index, reached = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("fuzz: seed %llu\n", (unsigned long long)seed);
    inputs_a_thread = total / 2;
    fuzzers[0].random = seed | 1;
    fuzzers[0].inputs = 0;
    run(&fuzzers[0]);
    inputs_a_thread = total / 2 / THREADS;
    for (index = 0; index < THREADS; index++) {
        fuzzers[index].random = (seed + 2 * (uint64_t)index + 1) * UINT64_C(0x9E3779B97F4A7C15) | 1;
        fuzzers[index].inputs = 0;
        CHECK(pthread_create(&threads[index], NULL, run, &fuzzers[index]) == 0);
    }
    for (index = 0; index < THREADS; index++) CHECK(pthread_join(threads[index], NULL) == 0);
    close_all();

    printf("fuzz: %ld inputs, %ld admitted, %ld rejected; statuses reached:", inputs, admitted,
           rejected);
    for (index = 0; index < 1000; index++) {
        if (seen[index] == 0) continue;
        printf(" %s %ld", admission_status_name(index), seen[index]);
        reached++;
    }
    printf(" (%d)\n", reached);
    CHECK(wrong == 0);
    CHECK(admitted > 0 && rejected > 0);
    CHECK(reached >= 20);

    /* And the library still does what it should. */
    after = open_manual();
    gate_after = open_gate(after, "project", "acme");
    CHECK_STATUS(admission_permit_complete(after, acquire(gate_after), NULL), ADMISSION_OK);
    CHECK_STATUS(admission_gate_close(gate_after), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(after), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(after), ADMISSION_E_INVALID_HANDLE);
    return finish("fuzz");
}
