/* Runs the shared table of scenarios through admission.h: `runner core.cases [ID…]`. Prints the ids
 * that it ran on one line, and how many cases passed and failed. `runner --to-fail refused.cases`
 * passes the cases that do not hold. */
#define _POSIX_C_SOURCE 200809L

#include "law.h"
#include "run.h"
#include "threads.h"

typedef struct {
    const char *verb;
    void (*act)(run_state *run, char **left, int lefts, char **right, int rights);
} step_kind;

#define STEP(name) static void name(run_state *run, char **left, int lefts, char **right, int rights)
#define UNUSED (void)left, (void)lefts, (void)right, (void)rights

static void expect_number(run_state *run, const char *key, int64_t value, char **words, int count) {
    named_value values[] = {{key, value, NULL}};
    expect(run, values, 1, words, count);
}

static void expect_values(run_state *run, const admission_decision *decision, char **words,
                          int count) {
    named_value values[] = {
        {"retry", decision->retry_after_ns, NULL},
        {"remaining", decision->remaining, NULL},
        {"capacity", decision->limit, NULL},
        {"asked", decision->asked, NULL},
        {"start", decision->predicted_start_unix_ns, NULL},
        {"limit", 0, decision->limit_name != NULL ? decision->limit_name : "none"},
        {"policy", 0, decision->policy_name != NULL ? decision->policy_name : "none"},
        {"reason", 0, admission_reason_name(decision->reason)},
    };
    expect(run, values, sizeof values / sizeof *values, words, count);
}

static void decide(run_state *run, gate_state *gate, const admission_cost *cost, const char *permit,
                   char **right, int rights) {
    admission_decision decision;
    admission_status status = ask(run, gate, cost, permit, &decision);
    char *admitted[] = {"retry=0", "reason=none"}, *never[] = {"reason=exceeds_limit"};
    char word[32];
    if (status != ADMISSION_OK) {
        snprintf(word, sizeof word, "status=%d", (int)status);
        same(run, word, rights == 1 ? right[0] : "one word");
        return;
    }
    if (decision.outcome == ADMISSION_ADMITTED) {
        same(run, "ok", right[0]);
        expect_values(run, &decision, admitted, 2);
    } else if (decision.retry_after_ns == -1) {
        same(run, "never", right[0]);
        expect_values(run, &decision, never, 1);
    } else {
        same(run, "no", right[0]);
    }
    expect_values(run, &decision, right + 1, rights - 1);
}

STEP(step_gate) { UNUSED; open_gate(run, left[1], left + 2, lefts - 2); }

STEP(step_at) { UNUSED; advance(run, number(left[1]) - run->elapsed); }

STEP(step_after) {
    (void)lefts;
    if (rights == 0) {
        advance(run, number(left[1]));
        return;
    }
    admission_status status = admission_limiter_advance(run->limiter, number(left[1]) * run->scale);
    expect_number(run, "status", status, right, rights);
}

STEP(step_wall) { UNUSED; check(run, admission_limiter_set_time(run->limiter, number(left[1]))); }

STEP(step_try) {
    admission_count extras[MAX_EXTRAS];
    admission_cost cost = read_cost(run, left + 2, lefts - 2, extras);
    decide(run, gate_named(run, left[1]), &cost, NULL, right, rights);
}

STEP(step_acquire) {
    admission_count extras[MAX_EXTRAS];
    admission_cost cost = read_cost(run, left + 3, lefts - 3, extras);
    decide(run, gate_named(run, left[1]), &cost, left[2], right, rights);
}

STEP(step_settle) {
    admission_count extras[MAX_EXTRAS];
    admission_usage usage = read_usage(run, left + 2, lefts - 2, extras);
    uint64_t permit = permit_named(run, left[1]);
    admission_status status;
    if (strcmp(left[0], "complete") == 0)
        status = admission_permit_complete(run->limiter, permit, &usage);
    else if (strcmp(left[0], "add") == 0)
        status = admission_permit_add(run->limiter, permit, &usage);
    else if (strcmp(left[0], "abandon") == 0)
        status = admission_permit_abandon(run->limiter, permit);
    else
        status = admission_permit_drop(run->limiter, permit);
    char word[32];
    snprintf(word, sizeof word, "status=%d", (int)status);
    const char *name = status == ADMISSION_OK                    ? "settled"
                       : status == ADMISSION_E_ALREADY_COMPLETED ? "already_completed"
                       : status == ADMISSION_E_NOT_OWNER         ? "not_owner"
                       : status == ADMISSION_E_LEASE_EXPIRED     ? "lease_expired"
                                                                 : word;
    same(run, name, rights == 1 ? right[0] : "one word");
}

/* A field of an explained limit: a number, a text, or `none` where it is null. */
static named_value field(const char *limit, const char *key, const char *name, char text[64]) {
    const char *value = member(limit, name);
    named_value found = {key, INT64_MIN, NULL};
    if (value == NULL || *value == 'n') return found;
    if (*value == 't' || *value == 'f') {
        found.number = *value == 't';
    } else if (*value == '"') {
        copy_text(value, text, 64);
        found.text = text;
    } else {
        found.number = strtoll(value, NULL, 10);
    }
    return found;
}

STEP(step_peek) {
    admission_count extras[MAX_EXTRAS];
    const char *wanted = NULL;
    if (lefts > 2 && begins(left[lefts - 1], "limit=")) wanted = left[--lefts] + 6;
    admission_cost cost = read_cost(run, left + 2, lefts - 2, extras);
    check(run, admission_gate_explain(gate_named(run, left[1])->handle, &cost, run->answer,
                                      sizeof run->answer, NULL));
    const char *limits = member(run->answer, "limits"), *limit = element(limits, 0);
    char name[64];
    for (int i = 0; wanted != NULL && limit != NULL; limit = element(limits, ++i)) {
        copy_text(member(limit, "limit"), name, sizeof name);
        if (strcmp(name, wanted) == 0) break;
    }
    if (limit == NULL) fail(run, "no such limit in %s", run->answer);
    char texts[2][64];
    named_value values[] = {
        field(limit, "remaining", "remaining", texts[0]),
        field(limit, "used", "used", texts[0]),
        field(limit, "capacity", "capacity", texts[0]),
        field(limit, "full_again", "full_again_in_ns", texts[0]),
        field(limit, "reset", "reset_unix_ns", texts[0]),
        field(limit, "retry", "retry_after_ns", texts[0]),
        field(limit, "binds", "binds", texts[0]),
        field(limit, "outcome", "outcome", texts[0]),
        field(limit, "reason", "reason", texts[1]),
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        int is_wait = strcmp(values[i].key, "full_again") == 0 || strcmp(values[i].key, "retry") == 0;
        if (is_wait && values[i].number > 0) values[i].number /= run->scale;
    }
    expect(run, values, sizeof values / sizeof *values, right, rights);
}

STEP(step_keys) {
    (void)lefts;
    size_t reclaimed = 0;
    if (strcmp(left[0], "reclaim") == 0) check(run, admission_limiter_reclaim(run->limiter, &reclaimed));
    check(run, admission_limiter_snapshot(run->limiter, run->answer, sizeof run->answer, NULL));
    const char *keys = member(run->answer, "keys");
    if (keys == NULL) fail(run, "no keys in %s", run->answer);
    named_value values[] = {{"reclaimed", (int64_t)reclaimed, NULL},
                            {"keys", strtoll(keys, NULL, 10), NULL}};
    expect(run, values, 2, right, rights);
}

STEP(step_reload) {
    UNUSED;
    char text[2 * MAX_LINE];
    read_document(run, run->left + strlen("reload "), text, sizeof text);
    check(run, admission_limiter_reload(run->limiter, text));
    same(run, "loaded", rights == 1 ? right[0] : "one word");
}

STEP(step_refused) {
    (void)left, (void)lefts;
    admission_status status;
    char text[512] = "";
    open_limiter(run, run->left + strlen("refused "), &status);
    if (status != ADMISSION_OK) admission_last_error(text, sizeof text);
    else close_limiter(run);
    named_value values[] = {{"status", status, NULL}, {"text", 0, text}};
    expect(run, values, 2, right, rights);
}

STEP(step_run) {
    admission_count extras[MAX_EXTRAS];
    admission_decision decision;
    int64_t count = argument(left[2], "count", 0), every = argument(left[3], "every", 0);
    admission_cost cost = read_cost(run, left + 4, lefts - 4, extras);
    gate_state *gate = gate_named(run, left[1]);
    int64_t admitted = 0;
    for (int64_t i = 0; i < count; i++) {
        if (i > 0) advance(run, every);
        admitted += charge(run, gate, &cost, &decision);
    }
    expect_number(run, "ok", admitted, right, rights);
}

STEP(step_greedy) {
    admission_count extras[MAX_EXTRAS];
    admission_decision decision;
    int64_t until = argument(left[2], "until", 0), admitted = 0;
    admission_cost cost = read_cost(run, left + 3, lefts - 3, extras);
    gate_state *gate = gate_named(run, left[1]);
    for (;;) {
        if (charge(run, gate, &cost, &decision)) {
            if (++admitted == 1000000) fail(run, "no end in sight");
            continue;
        }
        if (decision.retry_after_ns <= 0) fail(run, "no wait to advance by");
        if (run->elapsed + decision.retry_after_ns > until) break;
        advance(run, decision.retry_after_ns);
    }
    expect_number(run, "ok", admitted, right, rights);
}

STEP(step_threads) {
    admission_count extras[MAX_EXTRAS];
    admission_cost cost = read_cost(run, left + 5, lefts - 5, extras);
    int takes_permits = strcmp(left[3], "acquire") == 0;
    if (!takes_permits && strcmp(left[3], "try") != 0) fail(run, "unknown verb %s", left[3]);
    /* A call to a server takes a thousand times one in memory: but in the soak, a million calls are ten
     * thousand there, each of a hundred of its units. */
    int64_t times = argument(left[2], "times", 0);
    int64_t divisor = is_on_server() && times >= 1000000 && getenv("ADMISSION_SOAK") == NULL ? 100 : 1;
    cost.requests *= divisor;
    int64_t admitted = run_threads(run, gate_named(run, left[4]), &cost, number(left[1]),
                                   times / divisor, takes_permits);
    expect_number(run, "ok", admitted * divisor, right, rights);
}

STEP(step_edge) {
    admission_count extras[MAX_EXTRAS];
    admission_cost cost = read_cost(run, left + 2, lefts - 2, extras);
    admission_decision first = edge(run, gate_named(run, left[1]), &cost);
    expect_values(run, &first, right, rights);
}

STEP(step_log) {
    (void)lefts;
    if (!run->knows_zero) fail(run, "nothing was decided yet");
    int64_t wait = wait_in_log(gate_named(run, left[1]), run->zero + run->elapsed,
                               argument(left[2], "n", 0), argument(left[3], "limit", 0),
                               argument(left[4], "window", 0));
    expect_number(run, "wait", wait, right, rights);
}

STEP(step_maxwindow) {
    (void)lefts;
    const gate_state *gate = gate_named(run, left[1]);
    int64_t window = number(left[2]), used = 0, most = 0;
    for (size_t last = 0, first = 0; last < gate->logged; last++) {
        used += gate->log[last].units;
        while (gate->log[first].instant <= gate->log[last].instant - window)
            used -= gate->log[first++].units;
        if (used > most) most = used;
    }
    expect_number(run, "units", most, right, rights);
}

STEP(step_law) {
    (void)lefts;
    law_state law = {.is_rolling = strcmp(left[1], "rolling") == 0,
                     .state = (uint64_t)argument(left[2], "seed", 0)};
    if (!law.is_rolling && strcmp(left[1], "bucket") != 0) fail(run, "unknown law");
    int64_t rounds = argument(left[3], "rounds", 0), steps = argument(left[4], "steps", 0);
    for (int64_t round = 0; round < rounds; round++) law_round(run, &law, steps);
    named_value values[] = {{"ok", law.admitted, NULL}, {"refused", law.refused, NULL}};
    expect(run, values, 2, right, rights);
}

static const step_kind step_kinds[] = {
    {"gate", step_gate},     {"at", step_at},           {"after", step_after},
    {"wall", step_wall},     {"try", step_try},         {"acquire", step_acquire},
    {"add", step_settle},    {"complete", step_settle}, {"abandon", step_settle},
    {"drop", step_settle},   {"peek", step_peek},       {"reclaim", step_keys},
    {"keys", step_keys},     {"reload", step_reload},   {"refused", step_refused},
    {"run", step_run},       {"greedy", step_greedy},   {"threads", step_threads},
    {"edge", step_edge},     {"log", step_log},         {"maxwindow", step_maxwindow},
    {"law", step_law},
};

/* Whether the step is for this language; `line` is moved behind `in c,python: `. */
static int is_for_c(const char **line) {
    if (!begins(*line, "in ")) return 1;
    const char *end = strstr(*line, ": ");
    if (end == NULL) table_failed(*line, "no languages");
    int found = 0;
    for (const char *at = *line + 3; at < end; at += strcspn(at, ",:") + 1)
        if (*at == 'c' && (at[1] == ',' || at[1] == ':')) found = 1;
    *line = end + 2;
    return found;
}

static void run_step(run_state *run, const char *line) {
    char words_left[MAX_LINE], words_right[MAX_LINE] = "", *left[MAX_WORDS], *right[MAX_WORDS];
    run->line = line;
    if (!is_for_c(&line)) return;
    snprintf(run->left, sizeof run->left, "%s", line);
    char *arrow = NULL;
    for (char *at = strstr(run->left, " -> "); at != NULL; at = strstr(at + 1, " -> ")) arrow = at;
    if (arrow != NULL) {
        snprintf(words_right, sizeof words_right, "%s", arrow + 4);
        *arrow = '\0';
    }
    snprintf(words_left, sizeof words_left, "%s", run->left);
    int lefts = split(words_left, left), rights = split(words_right, right), before = run->compared;
    for (int i = lefts; i < MAX_WORDS; i++) left[i] = ""; /* a step asks for what it needs */
    for (int i = rights; i < MAX_WORDS; i++) right[i] = "";
    for (size_t i = 0; i < sizeof step_kinds / sizeof *step_kinds; i++) {
        if (strcmp(step_kinds[i].verb, left[0]) != 0) continue;
        step_kinds[i].act(run, left, lefts, right, rights);
        if ((rights > 0) != (run->compared > before)) fail(run, "nothing was compared");
        return;
    }
    fail(run, "unknown step");
}

/* Whether the case holds with that opening, NULL for a case without a limiter. */
static int run_case(const scenario *each, const char *opening) {
    static run_state run;
    memset(&run, 0, sizeof run);
    run.line = opening != NULL ? opening : "";
    run.start = number(each->start);
    run.scale = scale_of(each);
    run.tick = is_on_server() && run.scale == 1 ? 1000 : 1;
    run.rounding = is_on_server() && run.scale == 1 ? 97000 : 0;
    int holds = 0;
    if (setjmp(run.failed) == 0) {
        admission_status status = ADMISSION_OK;
        if (opening != NULL) open_limiter(&run, opening, &status);
        check(&run, status);
        for (int i = 0; i < each->step_count; i++) run_step(&run, each->steps[i]);
        if (run.compared == 0) fail(&run, "nothing was compared");
        holds = 1;
    }
    close_limiter(&run);
    return holds;
}

typedef struct {
    int passed, failed;
    char ran[MAX_IDS]; /* by the id's place in the table */
} outcome;

/* Runs the cases, or only those with the wanted ids. Where they are to fail, one that holds does not
 * pass. */
static outcome run_table(const scenario_table *table, char **wanted, int wanted_count, int to_fail) {
    outcome result = {0};
    for (int i = 0; i < table->case_count; i++) {
        const scenario *each = &table->cases[i];
        int listed = -1, is_wanted = wanted_count == 0, holds = 1;
        for (int id = 0; id < table->id_count; id++)
            if (strcmp(table->ids[id], each->id) == 0) listed = id;
        for (int j = 0; j < wanted_count; j++) is_wanted |= strcmp(wanted[j], each->id) == 0;
        if (listed < 0) table_failed(each->id, "not among the ids");
        if (!is_wanted || !is_for_store(each)) continue;
        for (int j = 0; j == 0 || j < each->opening_count; j++)
            holds &= run_case(each, each->opening_count > 0 ? each->openings[j] : NULL);
        if (holds == to_fail) {
            fprintf(stderr, "%s: %s %s\n", holds ? "holds" : "failed", each->id, each->title);
            result.failed++;
        } else {
            result.passed++;
        }
        result.ran[listed] = 1;
    }
    return result;
}

int main(int count, char **arguments) {
    static scenario_table table;
    int to_fail = count > 1 && strcmp(arguments[1], "--to-fail") == 0;
    int first = to_fail ? 2 : 1, wanted_count = count > first + 1 ? count - first - 1 : 0;
    const char *path = getenv("ADMISSION_SCENARIOS");
    if (count > first) path = arguments[first];
    read_table(path != NULL ? path : "core.cases", &table);
    outcome result = run_table(&table, arguments + first + 1, wanted_count, to_fail);
    int missing = 0;
    printf("scenarios %s (c, %s):", to_fail ? "to fail" : "core", store_name());
    for (int id = 0; id < table.id_count; id++) {
        if (result.ran[id]) printf(" %s", table.ids[id]);
        else missing++;
    }
    printf("\n%d passed, %d failed\n", result.passed, result.failed);
    if (wanted_count > 0 || is_on_server()) missing = 0;
    if (missing > 0) fprintf(stderr, "%d ids have no case\n", missing);
    return result.failed > 0 || missing > 0 || result.passed == 0;
}
