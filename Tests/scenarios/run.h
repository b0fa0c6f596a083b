/* One case of the table on one limiter: what it holds, how it compares, and how it asks. A case that
 * fails says why and leaves by longjmp. */
#ifndef SCENARIOS_RUN_H
#define SCENARIOS_RUN_H

#include <setjmp.h>
#include <stdarg.h>

#include "admission.h"
#include "json.h"
#include "servers.h"
#include "table.h"

enum { MAX_GATES = 8, MAX_PERMITS = 1024, MAX_EXTRAS = 8, MAX_ANSWER = 1 << 16 };

typedef struct {
    int64_t instant, units;
} log_entry;

typedef struct {
    char name[32];
    admission_gate *handle;
    log_entry *log; /* what it admitted, by decided_at_ns */
    size_t logged;
} gate_state;

typedef struct {
    char name[32];
    uint64_t id;
} permit_state;

typedef struct {
    const char *line;    /* as it stands in the table */
    char left[MAX_LINE]; /* its part before the arrow */
    int compared;
    int64_t start, elapsed;
    int64_t scale;    /* how long a nanosecond of the case is on this store */
    int64_t tick;     /* the least step of the store's time */
    int64_t rounding; /* how far waits may be from what the case says: cells rounded up to a tick */
    int knows_zero;
    int64_t zero; /* the steady instant at which the case began */
    admission_limiter *limiter;
    gate_state gates[MAX_GATES];
    int gate_count;
    permit_state permits[MAX_PERMITS];
    int permit_count;
    char answer[MAX_ANSWER];
    jmp_buf failed;
} run_state;

/* A value that the table can name: a number, or a text where that is not NULL. */
typedef struct {
    const char *key;
    int64_t number;
    const char *text;
} named_value;

static void fail(run_state *run, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "    %s: ", run->line);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    longjmp(run->failed, 1);
}

static void check(run_state *run, admission_status status) {
    char text[512] = "";
    if (status == ADMISSION_OK) return;
    admission_last_error(text, sizeof text);
    fail(run, "status %d (%s): %s", (int)status, admission_status_name(status), text);
}

static void same(run_state *run, const char *actual, const char *expected) {
    run->compared++;
    if (strcmp(actual, expected) != 0) fail(run, "expected %s, got %s", expected, actual);
}

/* Compares words such as remaining=4 and retry>=1s with the values. */
static void expect(run_state *run, const named_value *values, int count, char **words, int words_count) {
    for (int i = 0; i < words_count; i++) {
        const char *mark = words[i] + strcspn(words[i], "<>="), *text = strchr(mark, '=');
        if (text == NULL) fail(run, "%s compares nothing", words[i]);
        const named_value *value = NULL;
        size_t length = (size_t)(mark - words[i]);
        for (int j = 0; j < count && value == NULL; j++)
            if (strlen(values[j].key) == length && memcmp(values[j].key, words[i], length) == 0)
                value = &values[j];
        if (value == NULL) fail(run, "unknown key in %s", words[i]);
        run->compared++;
        text++;
        if (value->text != NULL) {
            int holds = strcmp(value->key, "text") == 0 ? strstr(value->text, text) != NULL
                                                        : strcmp(value->text, text) == 0;
            if (*mark != '=' || !holds) fail(run, "%s is %s", value->key, value->text);
        } else {
            int64_t wanted = strcmp(text, "none") == 0 ? INT64_MIN : number(text);
            int is_wait = strcmp(value->key, "retry") == 0 || strcmp(value->key, "full_again") == 0;
            int64_t late = is_wait ? run->rounding : 0;
            int holds = *mark == '>'   ? value->number >= wanted
                        : *mark == '<' ? value->number <= wanted
                                       : value->number - late <= wanted && wanted <= value->number + late;
            if (!holds) fail(run, "%s is %lld", value->key, (long long)value->number);
        }
    }
}

static gate_state *gate_named(run_state *run, const char *name) {
    for (int i = 0; i < run->gate_count; i++)
        if (strcmp(run->gates[i].name, name) == 0) return &run->gates[i];
    fail(run, "no gate %s", name);
    return NULL;
}

/* The permit that was last called by that name. */
static uint64_t permit_named(run_state *run, const char *name) {
    for (int i = run->permit_count; i > 0; i--)
        if (strcmp(run->permits[i - 1].name, name) == 0) return run->permits[i - 1].id;
    fail(run, "no permit %s", name);
    return 0;
}

static void keep_permit(run_state *run, const char *name, uint64_t id) {
    if (run->permit_count == MAX_PERMITS) fail(run, "too many permits");
    permit_state *permit = &run->permits[run->permit_count++];
    snprintf(permit->name, sizeof permit->name, "%s", name);
    permit->id = id;
}

static void advance(run_state *run, int64_t nanoseconds) {
    check(run, admission_limiter_advance(run->limiter, nanoseconds * run->scale));
    run->elapsed += nanoseconds;
}

/* The number after `key=` in a word, or `missing` where the word names something else. */
static int64_t argument(const char *word, const char *key, int64_t missing) {
    size_t length = strlen(key);
    return begins(word, key) && word[length] == '=' ? number(word + length + 1) : missing;
}

/* Splits `images=2` into an extra count; the name stays in the word, ended where the = was. */
static void read_extra(run_state *run, char *word, admission_count *extras, uint32_t *count) {
    char *mark = strchr(word, '=');
    if (mark == NULL || *count == MAX_EXTRAS) fail(run, "no count: %s", word);
    admission_count extra = ADMISSION_COUNT_INIT;
    extra.value = number(mark + 1);
    *mark = '\0';
    extra.name = word;
    extras[(*count)++] = extra;
}

static admission_cost read_cost(run_state *run, char **words, int count, admission_count *extras) {
    admission_cost cost = ADMISSION_COST_INIT;
    for (int i = 0; i < count; i++) {
        if (begins(words[i], "n="))
            cost.requests = number(words[i] + 2);
        else if (begins(words[i], "requests="))
            cost.requests = number(words[i] + 9);
        else if (begins(words[i], "input_tokens="))
            cost.input_tokens = number(words[i] + 13);
        else if (begins(words[i], "output_tokens="))
            cost.output_tokens = number(words[i] + 14);
        else
            read_extra(run, words[i], extras, &cost.extra_count);
    }
    cost.extra = cost.extra_count > 0 ? extras : NULL;
    return cost;
}

static admission_usage read_usage(run_state *run, char **words, int count, admission_count *extras) {
    admission_usage usage = ADMISSION_USAGE_INIT;
    for (int i = 0; i < count; i++) {
        if (begins(words[i], "requests="))
            usage.requests = number(words[i] + 9);
        else if (begins(words[i], "input_tokens="))
            usage.input_tokens = number(words[i] + 13);
        else if (begins(words[i], "output_tokens="))
            usage.output_tokens = number(words[i] + 14);
        else if (begins(words[i], "exact="))
            usage.exact = (int32_t)number(words[i] + 6);
        else
            read_extra(run, words[i], extras, &usage.extra_count);
    }
    usage.extra = usage.extra_count > 0 ? extras : NULL;
    return usage;
}

/* Asks once; with a name, for a permit that is called so. Keeps what was admitted in the gate's log. */
static admission_status ask(run_state *run, gate_state *gate, const admission_cost *cost,
                            const char *permit, admission_decision *decision) {
    *decision = (admission_decision)ADMISSION_DECISION_INIT;
    admission_status status = permit == NULL
                                  ? admission_try_charge(gate->handle, cost, decision)
                                  : admission_try_acquire(gate->handle, cost, decision);
    if (status != ADMISSION_OK) return status;
    decision->decided_at_ns /= run->scale;
    if (decision->retry_after_ns > 0) decision->retry_after_ns /= run->scale;
    if (!run->knows_zero) run->zero = decision->decided_at_ns - run->elapsed;
    run->knows_zero = 1;
    if (decision->decided_at_ns != run->zero + run->elapsed) fail(run, "decided at another instant");
    if (decision->outcome != ADMISSION_ADMITTED) return status;
    if (permit != NULL) keep_permit(run, permit, decision->permit);
    if (gate->logged % 256 == 0) {
        gate->log = realloc(gate->log, (gate->logged + 256) * sizeof *gate->log);
        if (gate->log == NULL) fail(run, "out of memory");
    }
    gate->log[gate->logged++] = (log_entry){decision->decided_at_ns, cost->requests};
    return status;
}

/* As ask, by charging; whether it was admitted. */
static int charge(run_state *run, gate_state *gate, const admission_cost *cost,
                  admission_decision *decision) {
    check(run, ask(run, gate, cost, NULL, decision));
    return decision->outcome == ADMISSION_ADMITTED;
}

/* Refused now, refused a tick before the wait that this reports, admitted at it. */
static admission_decision edge(run_state *run, gate_state *gate, const admission_cost *cost) {
    admission_decision first, last;
    if (charge(run, gate, cost, &first) || first.retry_after_ns <= 0)
        fail(run, "not refused for a time");
    advance(run, first.retry_after_ns - run->tick);
    if (charge(run, gate, cost, &last) || last.retry_after_ns != run->tick)
        fail(run, "%lld left a tick before", (long long)last.retry_after_ns);
    advance(run, run->tick);
    if (!charge(run, gate, cost, &last)) fail(run, "refused at the reported instant");
    return first;
}

/* How long a plain log of what the gate admitted would let n units wait. */
static int64_t wait_in_log(const gate_state *gate, int64_t now, int64_t n, int64_t limit,
                           int64_t window) {
    int64_t used = 0;
    for (size_t i = gate->logged; i > 0; i--) {
        used += gate->log[i - 1].units;
        if (used > limit - n) {
            int64_t wait = gate->log[i - 1].instant + window - now;
            return wait > 0 ? wait : 0;
        }
    }
    return 0;
}

static const char *store_name(void) {
    if (is_on_server()) return "redis";
    return getenv("ADMISSION_TEST_DIRECTORY") == NULL ? "memory" : "file";
}

/* "memory:", a new file of the directory that ADMISSION_TEST_DIRECTORY names, or a new database of the
 * server that ADMISSION_TEST_REDIS names. */
static const char *next_store(void) {
    static char url[1024];
    static int files = 0;
    const char *directory = getenv("ADMISSION_TEST_DIRECTORY"), *server = getenv("ADMISSION_TEST_REDIS");
    if (server != NULL) {
        snprintf(url, sizeof url, "%s/%d?clock=manual", server, ++files);
        return url;
    }
    if (directory == NULL) return "memory:";
    snprintf(url, sizeof url, "file:%s/c-%d", directory, ++files);
    return url;
}

static void read_document(const run_state *run, const char *opening, char *buffer, size_t size) {
    char text[MAX_LINE + 128];
    document(opening, text, sizeof text);
    scale_times(text, run->scale, buffer, size);
}

static void open_limiter(run_state *run, const char *opening, admission_status *status) {
    char text[2 * MAX_LINE];
    read_document(run, opening, text, sizeof text);
    admission_options options = ADMISSION_OPTIONS_INIT;
    options.clock = ADMISSION_CLOCK_MANUAL;
    options.policy_json = text;
    options.store_url = next_store();
    options.start_unix_ns = run->start;
    *status = admission_limiter_open(&options, &run->limiter);
}

static gate_state *open_gate(run_state *run, const char *name, char **words, int count) {
    admission_attribute attributes[MAX_WORDS];
    for (int i = 0; i < count; i++) {
        char *mark = strchr(words[i], '=');
        if (mark == NULL) fail(run, "no attribute: %s", words[i]);
        *mark = '\0';
        attributes[i] = (admission_attribute){words[i], mark + 1};
    }
    if (run->gate_count == MAX_GATES) fail(run, "too many gates");
    gate_state *gate = &run->gates[run->gate_count];
    memset(gate, 0, sizeof *gate);
    snprintf(gate->name, sizeof gate->name, "%s", name);
    check(run, admission_gate_open(run->limiter, count > 0 ? attributes : NULL, (size_t)count,
                                   &gate->handle));
    run->gate_count++;
    return gate;
}

/* Ends what is still open; the next case, or the law's next round, begins from nothing. */
static void close_limiter(run_state *run) {
    for (int i = 0; i < run->permit_count; i++)
        admission_permit_drop(run->limiter, run->permits[i].id);
    for (int i = 0; i < run->gate_count; i++) {
        admission_gate_close(run->gates[i].handle);
        free(run->gates[i].log);
    }
    admission_limiter_close(run->limiter);
    run->limiter = NULL;
    run->permit_count = run->gate_count = 0;
    run->elapsed = run->knows_zero = 0;
}

#endif
