/* A process under test, in C: takes one command a line on standard input and answers each with one line.
 * worker.py and swift/ speak the same; README.md beside them lists the commands. */
#define _GNU_SOURCE
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drive.h"

enum { MOST_GATES = 64, MOST_WORDS = 16 };

static admission_limiter *limiter;
static struct {
    char name[64];
    admission_gate *gate;
} gates[MOST_GATES];
static int gate_count;

static void reply_status(admission_status status) {
    char text[512];
    if (status == ADMISSION_OK) {
        printf("ok\n");
        return;
    }
    admission_last_error(text, sizeof text);
    printf("error %s %s\n", admission_status_name(status), text);
}

static admission_gate *gate_named(const char *name) {
    int index;
    for (index = 0; index < gate_count; index++)
        if (strcmp(gates[index].name, name) == 0) return gates[index].gate;
    return NULL;
}

static void do_open(char **words, int count) {
    admission_options options = ADMISSION_OPTIONS_INIT;
    options.store_url = words[1];
    options.policy_path = words[2];
    if (count > 3 && strcmp(words[3], "manual") == 0)
        options.heartbeat = ADMISSION_HEARTBEAT_MANUAL;
    reply_status(admission_limiter_open(&options, &limiter));
}

static void do_gate(char **words, int count) {
    admission_attribute attributes[MOST_WORDS];
    admission_status status;
    int index;
    if (gate_count == MOST_GATES) {
        printf("error refused too many gates\n");
        return;
    }
    for (index = 2; index < count; index++) {
        char *value = strchr(words[index], '=');
        if (value != NULL) *value++ = 0;
        attributes[index - 2].name = words[index];
        attributes[index - 2].value = value;
    }
    status = admission_gate_open(limiter, attributes, (size_t)(count - 2), &gates[gate_count].gate);
    if (status == ADMISSION_OK)
        snprintf(gates[gate_count++].name, sizeof gates[0].name, "%s", words[1]);
    reply_status(status);
}

static const char *mode_name(int32_t mode) {
    static const char *const names[] = {"none", "memory", "file", "redis", "outage"};
    return mode >= 0 && mode <= ADMISSION_STORE_OUTAGE ? names[mode] : "unknown";
}

static void do_acquire(char **words) {
    admission_cost cost = ADMISSION_COST_INIT;
    admission_decision decision = ADMISSION_DECISION_INIT;
    admission_status status;
    cost.input_tokens = atoll(words[2]);
    status = admission_try_acquire(gate_named(words[1]), &cost, &decision);
    if (status != ADMISSION_OK) {
        reply_status(status);
    } else if (decision.outcome == ADMISSION_ADMITTED) {
        printf("admitted %" PRIu64 " %" PRId64 " %" PRId64 " %s\n", decision.permit,
               decision.decided_at_ns, decision.decided_at_unix_ns, mode_name(decision.store_mode));
    } else {
        printf("rejected %s %" PRId64 " %s %s\n", admission_reason_name(decision.reason),
               decision.retry_after_ns, decision.limit_name, mode_name(decision.store_mode));
    }
}

static void do_end(char **words, int count) {
    uint64_t permit = strtoull(words[1], NULL, 10);
    admission_usage usage = ADMISSION_USAGE_INIT;
    admission_status status;
    if (strcmp(words[0], "complete") == 0) {
        if (count > 2) usage.input_tokens = atoll(words[2]);
        status = admission_permit_complete(limiter, permit, &usage);
    } else if (strcmp(words[0], "abandon") == 0) {
        status = admission_permit_abandon(limiter, permit);
    } else if (strcmp(words[0], "drop") == 0) {
        status = admission_permit_drop(limiter, permit);
    } else {
        status = admission_permit_renew(limiter, permit);
    }
    printf("status %d\n", (int)status);
}

static void do_text(char **words) {
    static char text[1 << 20];
    admission_status status;
    uint64_t cursor = 0;
    if (strcmp(words[0], "explain") == 0)
        status = admission_gate_explain(gate_named(words[1]), NULL, text, sizeof text, NULL);
    else if (strcmp(words[0], "events") == 0)
        status = admission_limiter_events_read(limiter, &cursor, text, sizeof text, NULL);
    else
        status = admission_limiter_snapshot(limiter, text, sizeof text, NULL);
    if (status == ADMISSION_OK)
        printf("json %s\n", text);
    else
        reply_status(status);
}

/* Prometheus text in one line: a bar stands for each line's end. */
static void do_metrics(void) {
    static char text[1 << 20];
    admission_status status = admission_limiter_metrics(limiter, text, sizeof text, NULL);
    char *end;
    for (end = text; (end = strchr(end, '\n')) != NULL;) *end = '|';
    if (status == ADMISSION_OK)
        printf("text %s\n", text);
    else
        reply_status(status);
}

static void do_close(void) {
    while (gate_count > 0) admission_gate_close(gates[--gate_count].gate);
    reply_status(admission_limiter_close(limiter));
    limiter = NULL;
}

static void do_become(char **words) {
    gid_t group = (gid_t)atoi(words[2]);
    uid_t user = (uid_t)atoi(words[1]);
    if (setgroups(0, NULL) != 0 || setgid(group) != 0 || setuid(user) != 0)
        printf("error refused not possible\n");
    else
        printf("ok\n");
}

/* Returns 0 where the worker is to end. */
static int obey(char **words, int count) {
    const char *verb = words[0];
    int arguments = count - 1;
    if (strcmp(verb, "quit") == 0) return 0;
    if (strcmp(verb, "ready") == 0)
        printf("ok\n");
    else if (strcmp(verb, "open") == 0 && arguments >= 2)
        do_open(words, count);
    else if (strcmp(verb, "gate") == 0 && arguments >= 1)
        do_gate(words, count);
    else if (strcmp(verb, "acquire") == 0 && arguments == 2)
        do_acquire(words);
    else if (strcmp(verb, "drive") == 0 && arguments == 2)
        printf(drive_on(limiter, gate_named(words[1]), words[2]) == 0 ? "ok\n" : "error refused no log\n");
    else if (strcmp(verb, "explain") == 0 || strcmp(verb, "events") == 0 ||
             strcmp(verb, "snapshot") == 0)
        do_text(words);
    else if (strcmp(verb, "metrics") == 0)
        do_metrics();
    else if (strcmp(verb, "close") == 0)
        do_close();
    else if (strcmp(verb, "become") == 0 && arguments == 2)
        do_become(words);
    else if (arguments >= 1)
        do_end(words, count);
    else
        printf("error refused unknown command\n");
    return 1;
}

int main(void) {
    static char line[8192];
    char *words[MOST_WORDS], *word, *rest;
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin) != NULL) {
        int count = 0;
        for (word = strtok_r(line, " \n", &rest); word != NULL && count < MOST_WORDS;
             word = strtok_r(NULL, " \n", &rest))
            words[count++] = word;
        if (count == 0) continue;
        if (!obey(words, count)) break;
    }
    return 0;
}
