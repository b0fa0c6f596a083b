/* The policies that the C tests share, and limiters and gates on them. */
#ifndef POLICY_H
#define POLICY_H

#include "check.h"

/* 2026-01-15 12:00:00 UTC. */
#define START_UNIX_NS INT64_C(1768478400000000000)
#define SECOND_NS INT64_C(1000000000)

static const char *const test_policy =
    "{\"admission\":1,\"policies\":["
    "{\"name\":\"main\",\"match\":{\"project\":\"*\"},\"per\":[\"project\"],\"limits\":["
    "{\"name\":\"rpm\",\"count\":\"requests\",\"limit\":10,\"window\":\"1m\"},"
    "{\"name\":\"tpm\",\"count\":\"input_tokens\",\"limit\":1000,\"window\":\"1m\"},"
    "{\"name\":\"images\",\"count\":\"images\",\"limit\":5,\"window\":\"1m\"},"
    "{\"name\":\"rpd\",\"count\":\"requests\",\"limit\":100,\"window\":\"day\"},"
    "{\"name\":\"parallel\",\"count\":\"concurrency\",\"limit\":3,\"lease\":\"30s\"}]},"
    "{\"name\":\"pace\",\"match\":{\"kind\":\"pace\"},\"limits\":["
    "{\"name\":\"bucket\",\"count\":\"requests\",\"rate\":\"5/s\",\"burst\":10}]},"
    "{\"name\":\"tiered\",\"match\":{\"tier\":\"*\"},\"per\":[\"tenant\"],\"limits\":["
    "{\"name\":\"tier\",\"count\":\"requests\",\"rate\":\"5/s\",\"burst\":10}]}]}";

/* A limiter on a manual clock, with a manual heartbeat. */
static inline admission_options manual_options(void) {
    admission_options options = ADMISSION_OPTIONS_INIT;
    options.policy_json = test_policy;
    options.store_url = "memory:";
    options.clock = ADMISSION_CLOCK_MANUAL;
    options.start_unix_ns = START_UNIX_NS;
    options.heartbeat = ADMISSION_HEARTBEAT_MANUAL;
    return options;
}

static inline admission_limiter *open_manual(void) {
    admission_options options = manual_options();
    admission_limiter *limiter = NULL;
    CHECK_STATUS(admission_limiter_open(&options, &limiter), ADMISSION_OK);
    return limiter;
}

static inline admission_gate *open_gate(admission_limiter *limiter, const char *name,
                                        const char *value) {
    admission_attribute attribute;
    admission_gate *gate = NULL;
    attribute.name = name;
    attribute.value = value;
    CHECK_STATUS(admission_gate_open(limiter, &attribute, 1, &gate), ADMISSION_OK);
    return gate;
}

/* Acquires with the INIT cost; the permit, or 0. */
static inline uint64_t acquire(admission_gate *gate) {
    admission_decision decision = ADMISSION_DECISION_INIT;
    CHECK_STATUS(admission_try_acquire(gate, NULL, &decision), ADMISSION_OK);
    return decision.permit;
}

/* What a gate's explanation says of its limits at the moment: two equal ones mean that no counter
 * moved. Which limits no cost has met yet, its second part, is left out. */
static inline void explain(admission_gate *gate, char *text, size_t size) {
    char *unused;
    CHECK_STATUS(admission_gate_explain(gate, NULL, text, size, NULL), ADMISSION_OK);
    unused = strstr(text, "\"unused\":");
    CHECK(unused != NULL);
    if (unused != NULL) *unused = 0;
}

#endif
