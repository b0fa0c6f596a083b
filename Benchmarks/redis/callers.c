/* Callers who wait for each decision, on one Redis server.
 *
 *     callers bare PORT SECONDS < command       hiredis alone sends that RESP command, one at a time
 *     callers charge URL POLICY THREADS SECONDS   admission_try_charge on a gate with project=acme
 *     callers acquire URL POLICY THREADS SECONDS  admission_try_acquire and _permit_complete
 *
 * Prints calls a second, then the nanoseconds of the median call and of the 99th percentile.
 */
#include <admission.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SAMPLES = 1 << 20 };

static atomic_int is_over;
static admission_gate *gate;
static admission_limiter *limiter;
static int takes_permit;

struct caller {
    pthread_t thread;
    uint64_t calls;
    uint32_t *samples;
};

static void fail(const char *what) {
    char text[512] = "";
    admission_last_error(text, sizeof text);
    fprintf(stderr, "%s: %s\n", what, text);
    exit(1);
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static void note(struct caller *caller, int64_t nanoseconds) {
    caller->samples[caller->calls++ % SAMPLES] = (uint32_t)nanoseconds;
}

static void report(struct caller *callers, int count, double seconds) {
    uint64_t calls = 0, kept = 0;
    for (int i = 0; i < count; i++) {
        calls += callers[i].calls;
        kept += callers[i].calls < SAMPLES ? callers[i].calls : SAMPLES;
    }
    uint32_t *all = malloc((kept + 1) * sizeof *all);
    kept = 0;
    for (int i = 0; i < count; i++) {
        uint64_t own = callers[i].calls < SAMPLES ? callers[i].calls : SAMPLES;
        memcpy(all + kept, callers[i].samples, own * sizeof *all);
        kept += own;
    }
    if (kept == 0) fail("no call ended");
    qsort(all, kept, sizeof *all, by_size);
    printf("%.0f %u %u\n", (double)calls / seconds, all[kept / 2], all[kept * 99 / 100]);
}

static void *call(void *argument) {
    struct caller *caller = argument;
    admission_cost cost = ADMISSION_COST_INIT;
    admission_usage usage = ADMISSION_USAGE_INIT;
    cost.input_tokens = 1;
    while (!is_over) {
        admission_decision decision = ADMISSION_DECISION_INIT;
        int64_t start = now();
        int32_t status = takes_permit ? admission_try_acquire(gate, &cost, &decision)
                                      : admission_try_charge(gate, &cost, &decision);
        if (status != 0 || decision.outcome != ADMISSION_ADMITTED) fail("not admitted");
        if (takes_permit && admission_permit_complete(limiter, decision.permit, &usage) != 0)
            fail("not completed");
        note(caller, now() - start);
    }
    return NULL;
}

static void sleep_for(double seconds) {
    struct timespec time = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

static void bare(int port, double seconds) {
    static char command[1 << 16];
    size_t length = fread(command, 1, sizeof command, stdin);
    redisContext *redis = redisConnect("127.0.0.1", port);
    if (redis == NULL || redis->err) fail("no connection");
    struct caller caller = {.samples = calloc(SAMPLES, sizeof(uint32_t))};
    int64_t begin = now(), end = begin + (int64_t)(seconds * 1e9);
    for (int64_t start = begin; start < end;) {
        redisReply *reply;
        redisAppendFormattedCommand(redis, command, length);
        if (redisGetReply(redis, (void **)&reply) != REDIS_OK) fail("no reply");
        if (reply->type == REDIS_REPLY_ERROR) fail(reply->str);
        freeReplyObject(reply);
        int64_t finish = now();
        note(&caller, finish - start);
        start = finish;
    }
    report(&caller, 1, (double)(now() - begin) / 1e9);
}

static void many(const char *url, const char *policy, int count, double seconds) {
    admission_options options = ADMISSION_OPTIONS_INIT;
    options.store_url = url;
    options.policy_json = policy;
    if (admission_limiter_open(&options, &limiter) != 0) fail("open");
    admission_attribute attribute = {"project", "acme"};
    if (admission_gate_open(limiter, &attribute, 1, &gate) != 0) fail("gate");
    struct caller *callers = calloc((size_t)count, sizeof *callers);
    int64_t begin = now();
    for (int i = 0; i < count; i++) {
        callers[i].samples = calloc(SAMPLES, sizeof(uint32_t));
        if (pthread_create(&callers[i].thread, NULL, call, &callers[i])) fail("thread");
    }
    sleep_for(seconds);
    is_over = 1;
    for (int i = 0; i < count; i++) pthread_join(callers[i].thread, NULL);
    report(callers, count, (double)(now() - begin) / 1e9);
}

int main(int count, char **words) {
    if (count == 4 && strcmp(words[1], "bare") == 0) {
        bare(atoi(words[2]), atof(words[3]));
    } else if (count == 6) {
        takes_permit = strcmp(words[1], "acquire") == 0;
        many(words[2], words[3], atoi(words[4]), atof(words[5]));
    } else {
        fprintf(stderr, "usage: see the top of callers.c\n");
        return 2;
    }
    return 0;
}
