/* Every function with every status that bad input can bring about: the status is the named one, the
 * process lives, and no counter moved. */
#define _GNU_SOURCE
#include "policy.h"

#include <stdlib.h>
#include <unistd.h>

#define TEXT 16384

static char before[TEXT], after[TEXT];

/* Runs a call that is to fail and checks that the gate's counters stay what they were. */
#define CHECK_REFUSED(gate, call, expected)                                                        \
    do {                                                                                           \
        explain(gate, before, TEXT);                                                               \
        CHECK_STATUS(call, expected);                                                              \
        explain(gate, after, TEXT);                                                                \
        CHECK(strcmp(before, after) == 0);                                                         \
    } while (0)

static admission_status open_with(admission_options options) {
    admission_limiter *limiter = (admission_limiter *)&options;
    admission_status status = admission_limiter_open(&options, &limiter);
    CHECK((status == ADMISSION_OK) == (limiter != NULL));
    if (status == ADMISSION_OK) CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_OK);
    return status;
}

static void names_and_texts(void) {
    char small[4];
    int32_t reason;
    CHECK(strcmp(admission_version(), ADMISSION_VERSION_STRING) == 0);
    CHECK(admission_abi_version() == ADMISSION_ABI_VERSION);
    CHECK(strcmp(admission_status_name(ADMISSION_OK), "ok") == 0);
    CHECK(strcmp(admission_status_name(ADMISSION_E_INVALID_HANDLE), "invalid_handle") == 0);
    CHECK(strcmp(admission_status_name(12345), "unknown") == 0);
    CHECK(strcmp(admission_status_name(INT32_MIN), "unknown") == 0);
    CHECK(strcmp(admission_reason_name(ADMISSION_REASON_DEBT), "debt") == 0);
    CHECK(strcmp(admission_reason_name(-1), "unknown") == 0);
    for (reason = ADMISSION_REASON_NONE; reason <= ADMISSION_REASON_STORE_UNAVAILABLE; reason++)
        CHECK(strcmp(admission_reason_name(reason), "unknown") != 0);

    CHECK(admission_last_error(NULL, 0) == 0);
    CHECK_STATUS(admission_limiter_reclaim(NULL, NULL), ADMISSION_E_INVALID_ARGUMENT);
    CHECK(admission_last_error(NULL, 0) == strlen("limiter is NULL"));
    CHECK(admission_last_error(small, sizeof small) == strlen("limiter is NULL"));
    CHECK(strcmp(small, "lim") == 0);
    CHECK(admission_last_error(small, 0) > 0);
    CHECK(strcmp(small, "lim") == 0);
}

static void options(void) {
    admission_options good = manual_options(), bad;
    admission_limiter *limiter = NULL;
    CHECK_STATUS(open_with(good), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_open(NULL, &limiter), ADMISSION_E_INVALID_ARGUMENT);
    CHECK_STATUS(admission_limiter_open(&good, NULL), ADMISSION_E_INVALID_ARGUMENT);

#define CHECK_OPTION(change, expected)                                                             \
    bad = good;                                                                                    \
    change;                                                                                        \
    CHECK_STATUS(open_with(bad), expected)

    CHECK_OPTION(bad.struct_size = 0, ADMISSION_E_INVALID_STRUCT_SIZE);
    CHECK_OPTION(bad.struct_size = ADMISSION_OPTIONS_SIZE_1 - 1, ADMISSION_E_INVALID_STRUCT_SIZE);
    CHECK_OPTION(bad.struct_size = UINT32_MAX, ADMISSION_E_INVALID_STRUCT_SIZE);
    CHECK_OPTION(bad.struct_size = ADMISSION_OPTIONS_SIZE_1 + 64, ADMISSION_OK);
    CHECK_OPTION(bad.clock = 2, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_OPTION(bad.clock = -1, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_OPTION(bad.clock = ADMISSION_CLOCK_SYSTEM, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_OPTION(bad.start_unix_ns = -1, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_OPTION(bad.start_unix_ns = INT64_MIN, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_OPTION(bad.heartbeat = 7, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_OPTION(bad.reserved = 1, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_OPTION(bad.permit_capacity = -1, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_OPTION(bad.permit_capacity = INT64_MAX, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_OPTION(bad.permit_capacity = 1, ADMISSION_OK);
    CHECK_OPTION(bad.key_capacity = -1, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_OPTION(bad.key_capacity = INT64_MAX, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_OPTION(bad.policy_json = NULL, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_OPTION(bad.policy_path = "both", ADMISSION_E_INVALID_ARGUMENT);
    CHECK_OPTION(bad.policy_json = "", ADMISSION_E_INVALID_POLICY);
    CHECK_OPTION(bad.policy_json = "{\"admission\":2}", ADMISSION_E_INVALID_POLICY);
    CHECK_OPTION(bad.policy_json = "\xff{}", ADMISSION_E_INVALID_UTF8);
    CHECK_OPTION(bad.policy_json = NULL; bad.policy_path = "/nonexistent/policy.json",
                 ADMISSION_E_POLICY_UNREADABLE);
    CHECK_OPTION(bad.store_url = "nosuch:", ADMISSION_E_UNSUPPORTED_STORE);
    CHECK_OPTION(bad.store_url = "", ADMISSION_E_UNSUPPORTED_STORE);
    CHECK_OPTION(bad.store_url = "memory:\xc0", ADMISSION_E_INVALID_UTF8);
    CHECK_OPTION(bad.policy_json = "{\"admission\":1,\"policies\":[{\"name\":\"p\",\"limits\":[{"
                                   "\"name\":\"d\",\"count\":\"requests\",\"limit\":1,\"window\":"
                                   "\"day\",\"zone\":\"Nowhere/Nothing\"}]}]}",
                 ADMISSION_E_ZONE_UNAVAILABLE);
}

/* A file counts on the clock that it was made for, and each limiter on it too. */
static void other_clock(void) {
    char folder[] = "/tmp/admission-clock-XXXXXX", path[64], url[80];
    admission_options manual = manual_options(), system = manual_options();
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/quota", folder);
    snprintf(url, sizeof url, "file:%s", path);
    manual.store_url = system.store_url = url;
    system.clock = ADMISSION_CLOCK_SYSTEM;
    system.start_unix_ns = 0;
    CHECK_STATUS(open_with(manual), ADMISSION_OK);
    CHECK_STATUS(open_with(system), ADMISSION_E_CLOCK_MISMATCH);
    CHECK_STATUS(open_with(manual), ADMISSION_OK);
    CHECK(unlink(path) == 0);
    CHECK_STATUS(open_with(system), ADMISSION_OK);
    CHECK_STATUS(open_with(manual), ADMISSION_E_CLOCK_MISMATCH);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

static void limiters(admission_limiter *limiter, admission_gate *gate) {
    char text[TEXT];
    size_t needed = 0, again = 0, reclaimed = 99;
    uint64_t cursor = 0;

    CHECK_REFUSED(gate, admission_limiter_reload(limiter, NULL), ADMISSION_E_INVALID_ARGUMENT);
    CHECK_REFUSED(gate, admission_limiter_reload(limiter, "\xff"), ADMISSION_E_INVALID_UTF8);
    CHECK_REFUSED(gate, admission_limiter_reload(limiter, "{}"), ADMISSION_E_INVALID_POLICY);
    CHECK_REFUSED(gate, admission_limiter_advance(limiter, -1), ADMISSION_E_CLOCK_BACKWARDS);
    CHECK_REFUSED(gate, admission_limiter_advance(limiter, INT64_MIN),
                  ADMISSION_E_CLOCK_BACKWARDS);
    CHECK_REFUSED(gate, admission_limiter_advance(limiter, INT64_MAX),
                  ADMISSION_E_INVALID_ARGUMENT);
    CHECK_REFUSED(gate, admission_limiter_set_time(limiter, -1), ADMISSION_E_INVALID_ARGUMENT);
    CHECK_STATUS(admission_limiter_advance(limiter, 0), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_set_time(limiter, START_UNIX_NS), ADMISSION_OK);

    CHECK_STATUS(admission_limiter_snapshot(limiter, NULL, 5, &needed),
                 ADMISSION_E_INVALID_ARGUMENT);
    CHECK_STATUS(admission_limiter_snapshot(limiter, NULL, 0, &needed),
                 ADMISSION_E_BUFFER_TOO_SMALL);
    CHECK(needed > 2);
    text[0] = 'x';
    CHECK_STATUS(admission_limiter_snapshot(limiter, text, 1, &again),
                 ADMISSION_E_BUFFER_TOO_SMALL);
    CHECK(text[0] == 0);
    CHECK_STATUS(admission_limiter_snapshot(limiter, text, sizeof text, &again), ADMISSION_OK);
    CHECK(strlen(text) + 1 == again && text[0] == '{');
    CHECK_STATUS(admission_limiter_snapshot(limiter, text, strlen(text), NULL),
                 ADMISSION_E_BUFFER_TOO_SMALL);
    CHECK_STATUS(admission_limiter_snapshot(limiter, text, SIZE_MAX, NULL), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_metrics(limiter, text, sizeof text, &again), ADMISSION_OK);
    CHECK(strlen(text) + 1 == again);
    CHECK_STATUS(admission_limiter_metrics(limiter, text, 1, NULL), ADMISSION_E_BUFFER_TOO_SMALL);
    CHECK_STATUS(admission_limiter_reclaim(limiter, NULL), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_reclaim(limiter, &reclaimed), ADMISSION_OK);
    CHECK(reclaimed == 0);

    CHECK_STATUS(admission_limiter_events_read(limiter, NULL, text, sizeof text, NULL),
                 ADMISSION_E_INVALID_ARGUMENT);
    CHECK_STATUS(admission_limiter_events_read(limiter, &cursor, NULL, 0, &needed),
                 ADMISSION_E_BUFFER_TOO_SMALL);
    CHECK(cursor == 0);
    CHECK_STATUS(admission_limiter_events_read(limiter, &cursor, text, sizeof text, &needed),
                 ADMISSION_OK);
    /* The refused reloads above. */
    CHECK(cursor > 0 && strstr(text, "reload_refused") != NULL);
    CHECK_STATUS(admission_limiter_events_read(limiter, &cursor, text, sizeof text, &needed),
                 ADMISSION_OK);
    CHECK(strcmp(text, "[]") == 0 && needed == 3);
    cursor = UINT64_MAX;
    CHECK_STATUS(admission_limiter_events_read(limiter, &cursor, text, sizeof text, &needed),
                 ADMISSION_OK);
    CHECK(cursor == UINT64_MAX);
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* A policy file is watched; a broken edit is told once, and so is that it was mended. */
static void watched(void) {
    char path[] = "/tmp/admission-policy-XXXXXX", text[TEXT], *first;
    admission_options options = manual_options();
    admission_limiter *limiter = NULL;
    uint64_t cursor = 0;
    int index;
    CHECK(mkstemp(path) >= 0);
    write_file(path, test_policy);
    options.policy_json = NULL;
    options.policy_path = path;
    CHECK_STATUS(admission_limiter_open(&options, &limiter), ADMISSION_OK);
    write_file(path, "{");
    for (index = 0; index < 4; index++)
        CHECK_STATUS(admission_limiter_advance(limiter, SECOND_NS), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_events_read(limiter, &cursor, text, TEXT, NULL), ADMISSION_OK);
    first = strstr(text, "policy_broken");
    CHECK(first != NULL && strstr(first + 1, "policy_broken") == NULL && cursor == 1);
    CHECK(strstr(text, "invalid_policy") != NULL && strstr(text, path) != NULL);
    CHECK_STATUS(admission_limiter_metrics(limiter, text, TEXT, NULL), ADMISSION_OK);
    CHECK(strstr(text, "\nadmission_policy_broken 1\n") != NULL);
    CHECK_STATUS(admission_limiter_snapshot(limiter, text, TEXT, NULL), ADMISSION_OK);
    CHECK(strstr(text, "\"policy_broken\":true") != NULL);
    write_file(path, test_policy);
    CHECK_STATUS(admission_limiter_advance(limiter, SECOND_NS), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_events_read(limiter, &cursor, text, TEXT, NULL), ADMISSION_OK);
    CHECK(strstr(text, "policy_mended") != NULL && cursor == 2);
    CHECK_STATUS(admission_limiter_metrics(limiter, text, TEXT, NULL), ADMISSION_OK);
    CHECK(strstr(text, "\nadmission_policy_broken 0\n") != NULL);
    CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_OK);
    remove(path);
    options.policy_path = "/tmp";
    CHECK_STATUS(open_with(options), ADMISSION_E_POLICY_UNREADABLE);
}

static void system_clock(void) {
    admission_options options = ADMISSION_OPTIONS_INIT;
    admission_limiter *limiter = NULL;
    options.policy_json = test_policy;
    options.store_url = "memory:";
    CHECK_STATUS(admission_limiter_open(&options, &limiter), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_advance(limiter, 1), ADMISSION_E_NOT_MANUAL_CLOCK);
    CHECK_STATUS(admission_limiter_set_time(limiter, 1), ADMISSION_E_NOT_MANUAL_CLOCK);
    CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_OK);
}

static admission_status gate_with(admission_limiter *limiter, const admission_attribute *attributes,
                                  size_t count) {
    admission_gate *gate = (admission_gate *)&count;
    admission_status status = admission_gate_open(limiter, attributes, count, &gate);
    CHECK((status == ADMISSION_OK) == (gate != NULL));
    if (status == ADMISSION_OK) CHECK_STATUS(admission_gate_close(gate), ADMISSION_OK);
    return status;
}

static void gates(admission_limiter *limiter, admission_gate *gate) {
    admission_attribute one[2] = {{"project", "acme"}, {"model", ""}};
    admission_attribute many[ADMISSION_MAX_ATTRIBUTES + 1];
    static char names[ADMISSION_MAX_ATTRIBUTES + 1][8], huge[ADMISSION_MAX_ATTRIBUTE_BYTES + 2];
    size_t index;
    for (index = 0; index <= ADMISSION_MAX_ATTRIBUTES; index++) {
        snprintf(names[index], sizeof names[index], "n%d", (int)index);
        many[index].name = names[index];
        many[index].value = "v";
    }
    memset(huge, 'h', sizeof huge - 1);

    CHECK_STATUS(gate_with(limiter, one, 2), ADMISSION_OK);
    CHECK_STATUS(gate_with(limiter, NULL, 0), ADMISSION_OK);
    CHECK_STATUS(gate_with(limiter, many, ADMISSION_MAX_ATTRIBUTES), ADMISSION_OK);
    CHECK_REFUSED(gate, admission_gate_open(limiter, one, 1, NULL), ADMISSION_E_INVALID_ARGUMENT);
    CHECK_REFUSED(gate, gate_with(limiter, NULL, 1), ADMISSION_E_INVALID_ARGUMENT);
    CHECK_REFUSED(gate, gate_with(limiter, many, ADMISSION_MAX_ATTRIBUTES + 1),
                  ADMISSION_E_INVALID_ATTRIBUTE);
    CHECK_REFUSED(gate, gate_with(limiter, one, SIZE_MAX), ADMISSION_E_INVALID_ATTRIBUTE);
    CHECK_REFUSED(gate, gate_with(NULL, one, 1), ADMISSION_E_INVALID_ARGUMENT);
    CHECK_REFUSED(gate, gate_with((admission_limiter *)gate, one, 1), ADMISSION_E_INVALID_HANDLE);

#define CHECK_ATTRIBUTE(name_text, value_text, expected)                                           \
    one[1].name = name_text;                                                                       \
    one[1].value = value_text;                                                                     \
    CHECK_REFUSED(gate, gate_with(limiter, one, 2), expected)

    CHECK_ATTRIBUTE(NULL, "v", ADMISSION_E_INVALID_ARGUMENT);
    CHECK_ATTRIBUTE("n", NULL, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_ATTRIBUTE("", "v", ADMISSION_E_INVALID_ATTRIBUTE);
    CHECK_ATTRIBUTE("project", "other", ADMISSION_E_DUPLICATE_ATTRIBUTE);
    CHECK_ATTRIBUTE(huge, "v", ADMISSION_E_INVALID_ATTRIBUTE);
    CHECK_ATTRIBUTE("n", huge, ADMISSION_E_INVALID_ATTRIBUTE);
    CHECK_ATTRIBUTE("n\xff", "v", ADMISSION_E_INVALID_UTF8);
    CHECK_ATTRIBUTE("n", "\xed\xa0\x80", ADMISSION_E_INVALID_UTF8); /* a surrogate */
    CHECK_ATTRIBUTE("n", "\xc0\xaf", ADMISSION_E_INVALID_UTF8);     /* overlong */
    CHECK_ATTRIBUTE("n", "\xf4\x90\x80\x80", ADMISSION_E_INVALID_UTF8); /* above U+10FFFF */
    CHECK_ATTRIBUTE("n", "\xe2\x82", ADMISSION_E_INVALID_UTF8);     /* cut short */
    CHECK_ATTRIBUTE("tier", "gold", ADMISSION_E_MISSING_ATTRIBUTE);
    CHECK_ATTRIBUTE("n", "\xe2\x82\xac", ADMISSION_OK);
}

static admission_status cost_with(admission_gate *gate, admission_cost cost) {
    admission_decision decision = ADMISSION_DECISION_INIT;
    admission_status status;
    decision.outcome = 77;
    decision.permit = 77;
    status = admission_try_acquire(gate, &cost, &decision);
    CHECK(status == ADMISSION_OK || (decision.outcome == 0 && decision.permit == 0));
    CHECK(admission_gate_explain(gate, &cost, after, 0, NULL) ==
          (status == ADMISSION_OK ? ADMISSION_E_BUFFER_TOO_SMALL : status));
    CHECK(status != ADMISSION_OK || decision.outcome == ADMISSION_REJECTED);
    return status;
}

static void costs(admission_gate *gate) {
    admission_cost good = ADMISSION_COST_INIT, bad;
    admission_count counts[40];
    static char name[ADMISSION_MAX_COUNT_NAME_BYTES + 2];
    int index;
    memset(name, 'n', sizeof name - 1);
    for (index = 0; index < 40; index++) {
        admission_count count = ADMISSION_COUNT_INIT;
        count.name = "images";
        count.value = 1;
        counts[index] = count;
    }

#define CHECK_COST(change, expected)                                                               \
    bad = good;                                                                                    \
    change;                                                                                        \
    CHECK_REFUSED(gate, cost_with(gate, bad), expected)

    CHECK_COST(bad.struct_size = 0, ADMISSION_E_INVALID_STRUCT_SIZE);
    CHECK_COST(bad.struct_size = ADMISSION_COST_SIZE_1 - 1, ADMISSION_E_INVALID_STRUCT_SIZE);
    CHECK_COST(bad.struct_size = UINT32_MAX, ADMISSION_E_INVALID_STRUCT_SIZE);
    CHECK_COST(bad.requests = -1, ADMISSION_E_NEGATIVE_COST);
    CHECK_COST(bad.input_tokens = INT64_MIN, ADMISSION_E_NEGATIVE_COST);
    CHECK_COST(bad.output_tokens = -5, ADMISSION_E_NEGATIVE_COST);
    CHECK_COST(bad.priority = "\xff", ADMISSION_E_INVALID_UTF8);
    CHECK_COST(bad.extra_count = 1, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_COST(bad.extra_count = ADMISSION_MAX_EXTRA_COUNTS + 1; bad.extra = counts,
               ADMISSION_E_INVALID_COUNT);
    CHECK_COST(bad.extra_count = UINT32_MAX; bad.extra = counts, ADMISSION_E_INVALID_COUNT);
    CHECK_COST(bad.extra_count = 2; bad.extra = counts, ADMISSION_E_INVALID_COUNT); /* twice */
    /* Above the limit is a rejection, at any size. */
    CHECK_COST(bad.requests = 11, ADMISSION_OK);
    CHECK_COST(bad.input_tokens = INT64_MAX, ADMISSION_OK);
    CHECK_COST(bad.requests = INT64_MAX; bad.input_tokens = INT64_MAX;
               bad.output_tokens = INT64_MAX, ADMISSION_OK);
    CHECK_COST(bad.requests = 11; bad.struct_size = ADMISSION_COST_SIZE_1 + 16, ADMISSION_OK);

#define CHECK_COUNT(change, expected)                                                              \
    change;                                                                                        \
    CHECK_COST(bad.extra_count = 1; bad.extra = counts, expected);                                 \
    counts[0] = counts[39]

    CHECK_COUNT(counts[0].struct_size = 0, ADMISSION_E_INVALID_STRUCT_SIZE);
    CHECK_COUNT(counts[0].struct_size = 25, ADMISSION_E_INVALID_STRUCT_SIZE);
    CHECK_COUNT(counts[0].reserved = 1, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_COUNT(counts[0].name = NULL, ADMISSION_E_INVALID_ARGUMENT);
    CHECK_COUNT(counts[0].name = "", ADMISSION_E_INVALID_COUNT);
    CHECK_COUNT(counts[0].name = name, ADMISSION_E_INVALID_COUNT);
    CHECK_COUNT(counts[0].name = "tokens", ADMISSION_E_INVALID_COUNT);
    CHECK_COUNT(counts[0].name = "\xfe", ADMISSION_E_INVALID_UTF8);
    CHECK_COUNT(counts[0].value = -1, ADMISSION_E_NEGATIVE_COST);
    CHECK_COUNT(counts[0].value = 6, ADMISSION_OK);
    CHECK_COUNT(counts[0].value = INT64_MAX, ADMISSION_OK);
}

static void decisions(admission_gate *gate, admission_gate *pace) {
    admission_decision decision = ADMISSION_DECISION_INIT;
    CHECK_REFUSED(gate, admission_try_acquire(gate, NULL, NULL), ADMISSION_E_INVALID_ARGUMENT);
    CHECK_REFUSED(gate, admission_try_charge(gate, NULL, NULL), ADMISSION_E_INVALID_ARGUMENT);
    CHECK_REFUSED(gate, admission_acquire(gate, NULL, 0, NULL), ADMISSION_E_INVALID_ARGUMENT);
    CHECK_REFUSED(gate, admission_acquire(gate, NULL, -1, NULL), ADMISSION_E_INVALID_TIMEOUT);
    CHECK_REFUSED(gate, admission_acquire(gate, NULL, INT64_MIN, &decision),
                  ADMISSION_E_INVALID_TIMEOUT);
    CHECK_REFUSED(gate, admission_try_charge(gate, NULL, &decision),
                  ADMISSION_E_CONCURRENCY_NEEDS_PERMIT);
    CHECK(decision.outcome == 0 && decision.permit == 0);
    decision.struct_size = ADMISSION_DECISION_SIZE_1 - 1;
    decision.outcome = 5;
    CHECK_REFUSED(gate, admission_try_acquire(gate, NULL, &decision),
                  ADMISSION_E_INVALID_STRUCT_SIZE);
    CHECK_REFUSED(pace, admission_try_charge(pace, NULL, &decision),
                  ADMISSION_E_INVALID_STRUCT_SIZE);
    CHECK_REFUSED(pace, admission_acquire(pace, NULL, -1, &decision),
                  ADMISSION_E_INVALID_TIMEOUT);
    CHECK(decision.outcome == 5); /* not written: who knows how much there is of it */
    CHECK_STATUS(admission_try_acquire(NULL, NULL, &decision), ADMISSION_E_INVALID_STRUCT_SIZE);
    decision.struct_size = ADMISSION_DECISION_SIZE_1;
    CHECK_STATUS(admission_try_acquire(NULL, NULL, &decision), ADMISSION_E_INVALID_ARGUMENT);
    CHECK(decision.outcome == 0);
}

static void waiting(admission_limiter *limiter, admission_gate *gate) {
    admission_completions *completions = (admission_completions *)gate;
    admission_completion completion = ADMISSION_COMPLETION_INIT;
    int descriptor = 5;
    size_t count = 5;
    uint64_t waiter = 5;
    CHECK_STATUS(admission_completions_open(limiter, 10, &completions), ADMISSION_E_NOT_SUPPORTED);
    CHECK(completions == NULL);
    CHECK_STATUS(admission_completions_open(NULL, 0, NULL), ADMISSION_E_NOT_SUPPORTED);
    CHECK_STATUS(admission_completions_close(NULL), ADMISSION_OK);
    CHECK_STATUS(admission_completions_close((admission_completions *)gate),
                 ADMISSION_E_INVALID_HANDLE);
    CHECK_STATUS(admission_completions_fd(NULL, &descriptor), ADMISSION_E_NOT_SUPPORTED);
    CHECK(descriptor == -1);
    CHECK_STATUS(admission_completions_fd(NULL, NULL), ADMISSION_E_NOT_SUPPORTED);
    CHECK_STATUS(admission_completions_read(NULL, &completion, 1, &count),
                 ADMISSION_E_NOT_SUPPORTED);
    CHECK(count == 0);
    CHECK_STATUS(admission_completions_read(NULL, NULL, 0, NULL), ADMISSION_E_NOT_SUPPORTED);
    CHECK_STATUS(admission_acquire_submit(gate, NULL, 1, NULL, 7, &waiter),
                 ADMISSION_E_NOT_SUPPORTED);
    CHECK(waiter == 0);
    CHECK_STATUS(admission_acquire_submit(NULL, NULL, -1, NULL, 7, NULL),
                 ADMISSION_E_NOT_SUPPORTED);
    CHECK_STATUS(admission_acquire_cancel(NULL, 7), ADMISSION_E_NOT_SUPPORTED);
}

int main(void) {
    admission_limiter *limiter;
    admission_gate *gate, *pace;
    names_and_texts();
    options();
    system_clock();
    watched();
    other_clock();
    limiter = open_manual();
    gate = open_gate(limiter, "project", "acme");
    pace = open_gate(limiter, "kind", "pace");
    limiters(limiter, gate);
    gates(limiter, gate);
    costs(gate);
    decisions(gate, pace);
    waiting(limiter, gate);
    CHECK_STATUS(admission_gate_close(gate), ADMISSION_OK);
    CHECK_STATUS(admission_gate_close(pace), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_OK);
    return finish("statuses");
}
