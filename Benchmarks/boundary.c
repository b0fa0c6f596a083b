/* The same decisions as the Swift rows, through the C interface of libadmission.so.
 *
 *     gcc -O2 -pthread -I../include boundary.c -L../build/lib -ladmission -o boundary
 *     LD_LIBRARY_PATH=../build/lib ./boundary bucket-charge 0.5
 *
 * Rows: bucket-charge, bucket-acquire, four-acquire, four-settle, bucket-two-threads,
 * million-charge (a gate each on a million keys, in random order); `version` only starts, calls admission_version and ends: what loading the library costs a program. */
#include "admission.h"
#include "measure.h"

static const char bucket_policy[] =
    "{\"admission\": 1, \"policies\": [{\"name\": \"bench\", \"per\": [\"project\"], \"limits\": ["
    "{\"name\": \"pace\", \"count\": \"requests\", \"rate\": \"1000000000/s\","
    " \"burst\": 1000000000}"
    "]}]}";
static const char four_policy[] =
    "{\"admission\": 1, \"policies\": [{\"name\": \"bench\", "
    "\"match\": {\"model\": \"gemini-2.5-flash\"}, \"per\": [\"project\"], \"limits\": ["
    "{\"name\": \"rpm\", \"count\": \"requests\", \"limit\": 1000000000000,"
    " \"window\": \"1m\"},"
    "{\"name\": \"tpm\", \"count\": \"input_tokens\", \"limit\": 1000000000000,"
    " \"window\": \"1m\"},"
    "{\"name\": \"rpd\", \"count\": \"requests\", \"limit\": 1000000000000, \"window\": \"day\","
    " \"zone\": \"America/Los_Angeles\"},"
    "{\"name\": \"parallel\", \"count\": \"concurrency\", \"limit\": 8, \"lease\": \"30s\"}"
    "]}]}";

struct row {
    admission_limiter *limiter;
    admission_gate *gate;
    int64_t input_tokens;
};

static void demand(int32_t status, const char *call) {
    if (status == ADMISSION_OK) return;
    char text[512];
    admission_last_error(text, sizeof text);
    fprintf(stderr, "boundary: %s: %d %s\n", call, (int)status, text);
    exit(1);
}

static struct row open_row(const char *policy, int64_t input_tokens) {
    struct row row = {NULL, NULL, input_tokens};
    admission_options options = ADMISSION_OPTIONS_INIT;
    options.policy_json = policy;
    options.store_url = "memory:";
    demand(admission_limiter_open(&options, &row.limiter), "admission_limiter_open");
    admission_attribute who[] = {{"project", "acme"}, {"model", "gemini-2.5-flash"}};
    demand(admission_gate_open(row.limiter, who, 2, &row.gate), "admission_gate_open");
    return row;
}

static void refuse(const admission_decision *decision) {
    fprintf(stderr, "boundary: refused, reason %d\n", (int)decision->reason);
    exit(1);
}

static void charge_batch(void *state, long calls) {
    struct row *row = state;
    for (long i = 0; i < calls; i++) {
        admission_cost cost = ADMISSION_COST_INIT;
        admission_decision decision = ADMISSION_DECISION_INIT;
        demand(admission_try_charge(row->gate, &cost, &decision), "admission_try_charge");
        if (decision.outcome != ADMISSION_ADMITTED) refuse(&decision);
    }
}

static void acquire_batch(void *state, long calls) {
    struct row *row = state;
    for (long i = 0; i < calls; i++) {
        admission_cost cost = ADMISSION_COST_INIT;
        cost.input_tokens = row->input_tokens;
        admission_decision decision = ADMISSION_DECISION_INIT;
        demand(admission_try_acquire(row->gate, &cost, &decision), "admission_try_acquire");
        if (decision.outcome != ADMISSION_ADMITTED) refuse(&decision);
        demand(admission_permit_complete(row->limiter, decision.permit, NULL),
               "admission_permit_complete");
    }
}

static void settle_batch(void *state, long calls) {
    struct row *row = state;
    for (long i = 0; i < calls; i++) {
        admission_cost cost = ADMISSION_COST_INIT;
        cost.input_tokens = row->input_tokens;
        admission_decision decision = ADMISSION_DECISION_INIT;
        demand(admission_try_acquire(row->gate, &cost, &decision), "admission_try_acquire");
        if (decision.outcome != ADMISSION_ADMITTED) refuse(&decision);
        admission_usage usage = ADMISSION_USAGE_INIT;
        usage.requests = 1;
        usage.input_tokens = 800;
        usage.output_tokens = 150;
        demand(admission_permit_complete(row->limiter, decision.permit, &usage),
               "admission_permit_complete");
    }
}

enum { MILLION = 1000000 };
struct walk {
    admission_gate **gates;
    long next;
};

static void million_batch(void *state, long calls) {
    struct walk *walk = state;
    for (long i = 0; i < calls; i++) {
        admission_cost cost = ADMISSION_COST_INIT;
        admission_decision decision = ADMISSION_DECISION_INIT;
        demand(admission_try_charge(walk->gates[walk->next], &cost, &decision),
               "admission_try_charge");
        if (decision.outcome != ADMISSION_ADMITTED) refuse(&decision);
        if (++walk->next == MILLION) walk->next = 0;
    }
}

/* The values are those of the Swift row: 24 bytes each. */
static void million(double seconds) {
    struct row row = open_row(bucket_policy, 0);
    struct walk walk = {malloc(MILLION * sizeof(admission_gate *)), 0};
    uint64_t random = 42;
    for (long i = 0; i < MILLION; i++) {
        char value[32];
        snprintf(value, sizeof value, "tenant-%017ld", i);
        admission_attribute who[] = {{"project", value}};
        demand(admission_gate_open(row.limiter, who, 1, &walk.gates[i]), "admission_gate_open");
    }
    for (long i = MILLION - 1; i > 0; i--) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        long other = (long)((random >> 33) % (uint64_t)(i + 1));
        admission_gate *gate = walk.gates[i];
        walk.gates[i] = walk.gates[other];
        walk.gates[other] = gate;
    }
    million_batch(&walk, MILLION);
    report_ns(nanoseconds_per_call(million_batch, &walk, seconds));
    for (long i = 0; i < MILLION; i++) {
        demand(admission_gate_close(walk.gates[i]), "admission_gate_close");
    }
    demand(admission_gate_close(row.gate), "admission_gate_close");
    demand(admission_limiter_close(row.limiter), "admission_limiter_close");
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: boundary ROW SECONDS\n");
        return 2;
    }
    const char *name = arguments[1];
    double seconds = atof(arguments[2]);
    if (!strcmp(name, "version")) return admission_version()[0] == '\0';
    if (!strcmp(name, "million-charge")) {
        million(seconds);
        return 0;
    }
    batch_function *batch;
    struct row row;
    if (!strcmp(name, "bucket-charge") || !strcmp(name, "bucket-two-threads")) {
        batch = charge_batch;
        row = open_row(bucket_policy, 0);
    } else if (!strcmp(name, "bucket-acquire")) {
        batch = acquire_batch;
        row = open_row(bucket_policy, 0);
    } else if (!strcmp(name, "four-acquire")) {
        batch = acquire_batch;
        row = open_row(four_policy, 1200);
    } else if (!strcmp(name, "four-settle")) {
        batch = settle_batch;
        row = open_row(four_policy, 1200);
    } else {
        fprintf(stderr, "boundary: no row \"%s\"\n", name);
        return 2;
    }
    report_ns(strcmp(name, "bucket-two-threads")
                  ? nanoseconds_per_call(batch, &row, seconds)
                  : nanoseconds_per_call_on_two(batch, &row, &row, seconds));
    demand(admission_gate_close(row.gate), "admission_gate_close");
    demand(admission_limiter_close(row.limiter), "admission_limiter_close");
    return 0;
}
