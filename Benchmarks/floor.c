/* The floor that every figure is a multiple of: one reading of the time-stamp counter and one
 * compare-and-swap on one warm word. What decides by a clock and books atomically is not faster.
 *
 *     gcc -O2 -pthread floor.c -o floor && ./floor floor 0.5
 *
 * Rows: floor, rdtsc and cas (each alone), floor-two-threads (both on the one word), and
 * million-bare: the access pattern of a million keys with a gate each in random order. */
#include "measure.h"

#if defined(__x86_64__)
#include <x86intrin.h>
static inline uint64_t counter(void) { return __rdtsc(); }
#else
static inline uint64_t counter(void) {
    uint64_t value;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
    return value;
}
#endif

static _Alignas(128) _Atomic uint64_t word;
static volatile uint64_t sink;

/* One decision at its cheapest: the instant goes into the word, or the swap is tried again. */
static inline void decide(_Atomic uint64_t *cell) {
    uint64_t now = counter();
    uint64_t seen = atomic_load_explicit(cell, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(cell, &seen, seen + (now | 1),
                                                  memory_order_acq_rel, memory_order_relaxed)) {
    }
}

static void floor_batch(void *state, long calls) {
    for (long i = 0; i < calls; i++) decide(state);
}

static void rdtsc_batch(void *state, long calls) {
    (void)state;
    uint64_t sum = 0;
    for (long i = 0; i < calls; i++) sum += counter();
    sink = sum;
}

static void cas_batch(void *state, long calls) {
    _Atomic uint64_t *cell = state;
    for (long i = 0; i < calls; i++) {
        uint64_t seen = atomic_load_explicit(cell, memory_order_relaxed);
        atomic_compare_exchange_strong_explicit(cell, &seen, seen + 1, memory_order_acq_rel,
                                                memory_order_relaxed);
    }
}

/* A gate that points to its key's record, as a caller that keeps a million gates holds them. */
struct bare_gate {
    uint64_t header[2];
    struct bare_record *record;
    uint64_t parameters;
};
struct bare_record {
    uint64_t identity;
    _Atomic uint64_t cell;
    uint64_t rest[6];
};

enum { MILLION = 1000000 };
struct walk {
    struct bare_gate **gates;
    long next;
};

static void million_batch(void *state, long calls) {
    struct walk *walk = state;
    for (long i = 0; i < calls; i++) {
        decide(&walk->gates[walk->next]->record->cell);
        if (++walk->next == MILLION) walk->next = 0;
    }
}

static struct walk million_walk(void) {
    struct walk walk = {malloc(MILLION * sizeof(struct bare_gate *)), 0};
    struct bare_record *records = aligned_alloc(64, MILLION * sizeof(struct bare_record));
    memset(records, 0, MILLION * sizeof(struct bare_record));
    uint64_t random = 42;
    for (long i = 0; i < MILLION; i++) {
        walk.gates[i] = malloc(sizeof(struct bare_gate));
        walk.gates[i]->record = &records[i];
    }
    for (long i = MILLION - 1; i > 0; i--) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        long other = (long)((random >> 33) % (uint64_t)(i + 1));
        struct bare_gate *gate = walk.gates[i];
        walk.gates[i] = walk.gates[other];
        walk.gates[other] = gate;
    }
    /* The records of a hash table lie in no order that the gates know. */
    for (long i = MILLION - 1; i > 0; i--) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        long other = (long)((random >> 33) % (uint64_t)(i + 1));
        struct bare_record *record = walk.gates[i]->record;
        walk.gates[i]->record = walk.gates[other]->record;
        walk.gates[other]->record = record;
    }
    return walk;
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: floor ROW SECONDS\n");
        return 2;
    }
    const char *row = arguments[1];
    double seconds = atof(arguments[2]);
    if (!strcmp(row, "floor")) {
        report_ns(nanoseconds_per_call(floor_batch, &word, seconds));
    } else if (!strcmp(row, "rdtsc")) {
        report_ns(nanoseconds_per_call(rdtsc_batch, NULL, seconds));
    } else if (!strcmp(row, "cas")) {
        report_ns(nanoseconds_per_call(cas_batch, &word, seconds));
    } else if (!strcmp(row, "floor-two-threads")) {
        report_ns(nanoseconds_per_call_on_two(floor_batch, &word, &word, seconds));
    } else if (!strcmp(row, "million-bare")) {
        struct walk walk = million_walk();
        report_ns(nanoseconds_per_call(million_batch, &walk, seconds));
    } else {
        fprintf(stderr, "floor: no row \"%s\"\n", row);
        return 2;
    }
    return 0;
}
