/* Statuses of what runs out: too many limits for a gate, no directory for a store, no memory, no place
 * for a handle. The last two in children whose address space is bounded. */
#define _GNU_SOURCE
#include "policy.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLICIES 5
#define LIMITS 52 /* POLICIES * LIMITS is more than ADMISSION_MAX_LIMITS */
#define CHUNK 16384 /* handles whose places the library maps at once */

static char many[64 * POLICIES * LIMITS + 1024];

static void append(const char *text) { strcat(many, text); }

static void write_many_limits(void) {
    int policy, limit;
    char text[128];
    append("{\"admission\":1,\"policies\":[");
    for (policy = 0; policy < POLICIES; policy++) {
        snprintf(text, sizeof text, "%s{\"name\":\"p%d\",\"limits\":[", policy ? "," : "", policy);
        append(text);
        for (limit = 0; limit < LIMITS; limit++) {
            snprintf(text, sizeof text,
                     "%s{\"name\":\"l%d\",\"count\":\"requests\",\"rate\":\"1/s\",\"burst\":9}",
                     limit ? "," : "", limit);
            append(text);
        }
        append("]}");
    }
    append("]}");
}

static void too_many_limits(void) {
    admission_limiter *limiter = open_manual();
    admission_gate *gate = open_gate(limiter, "kind", "pace"), *other = NULL;
    admission_decision decision = ADMISSION_DECISION_INIT;
    char text[64];
    write_many_limits();
    CHECK_STATUS(admission_limiter_reload(limiter, many), ADMISSION_OK);
    CHECK_STATUS(admission_gate_open(limiter, NULL, 0, &other), ADMISSION_E_TOO_MANY_LIMITS);
    CHECK(other == NULL);
    admission_last_error(text, sizeof text);
    CHECK(strstr(text, "260 limits apply to one gate; at most 256") != NULL);
    CHECK_STATUS(admission_try_acquire(gate, NULL, &decision), ADMISSION_E_TOO_MANY_LIMITS);
    CHECK_STATUS(admission_try_charge(gate, NULL, &decision), ADMISSION_E_TOO_MANY_LIMITS);
    CHECK_STATUS(admission_gate_explain(gate, NULL, text, 0, NULL), ADMISSION_E_TOO_MANY_LIMITS);
    CHECK_STATUS(admission_limiter_reload(limiter, test_policy), ADMISSION_OK);
    CHECK_STATUS(admission_try_charge(gate, NULL, &decision), ADMISSION_OK);
    CHECK(decision.remaining == 9);
    CHECK_STATUS(admission_gate_close(gate), ADMISSION_OK);
    CHECK_STATUS(admission_limiter_close(limiter), ADMISSION_OK);
}

static void no_directory(void) {
    admission_options options = manual_options();
    admission_limiter *limiter = (admission_limiter *)&options;
    char text[256];
    options.store_url = "file:/tmp/admission-no-such-directory/quota";
    CHECK_STATUS(admission_limiter_open(&options, &limiter), ADMISSION_E_STORE_UNAVAILABLE);
    CHECK(limiter == NULL);
    admission_last_error(text, sizeof text);
    CHECK(strstr(text, "No such file or directory") != NULL);
}

/* Bounds the address space to what is mapped now, and more where it says so. */
static void bound_memory(size_t more) {
    struct rlimit limit;
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%lu", &pages) == 1);
    if (file != NULL) fclose(file);
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = pages * (size_t)sysconf(_SC_PAGESIZE) + more;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

/* Memory that malloc can give without asking the system. */
static void stock_memory(void) {
    enum { BLOCKS = 8192 };
    static void *blocks[BLOCKS];
    int index;
    for (index = 0; index < BLOCKS; index++) blocks[index] = malloc(4096);
    /* The last one stays: it keeps the heap from being cut. */
    for (index = 0; index < BLOCKS - 1; index++) free(blocks[index]);
}

static void no_memory(void) {
    admission_options options = manual_options();
    admission_limiter *limiter = (admission_limiter *)&options;
    stock_memory();
    bound_memory(8 << 20);
    options.key_capacity = ADMISSION_MAX_KEY_CAPACITY;
    CHECK_STATUS(admission_limiter_open(&options, &limiter), ADMISSION_E_OUT_OF_MEMORY);
    CHECK(limiter == NULL);
}

/* Fills the first chunk of handles and refuses the memory of the next. */
static void no_place(void) {
    static admission_gate *gates[CHUNK];
    admission_limiter *limiter = open_manual(), *other = open_manual();
    admission_attribute pace = {"kind", "pace"};
    admission_gate *gate = NULL;
    int index;
    /* Each limiter has memory of its own for gates of one size: the other one's is not used up. */
    gates[0] = open_gate(other, "kind", "pace");
    for (index = 1; index < CHUNK - 2; index++) gates[index] = open_gate(limiter, "kind", "pace");
    stock_memory();
    bound_memory(0);
    CHECK_STATUS(admission_gate_open(other, &pace, 1, &gate), ADMISSION_E_HANDLE_TABLE_FULL);
    CHECK(gate == NULL);
    /* One that is closed makes place for another. */
    CHECK_STATUS(admission_gate_close(gates[1]), ADMISSION_OK);
    CHECK_STATUS(admission_gate_open(other, &pace, 1, &gate), ADMISSION_OK);
}

/* Runs a part in a child and counts its checks here. */
static void in_child(void (*part)(void)) {
    int pipes[2], counts[2] = {0, 1}, status = -1;
    pid_t child;
    fflush(stdout);
    CHECK(pipe(pipes) == 0);
    child = fork();
    if (child == 0) {
        passed = failed = 0;
        part();
        fflush(stdout);
        counts[0] = passed;
        counts[1] = failed;
        _exit(write(pipes[1], counts, sizeof counts) == sizeof counts ? 0 : 1);
    }
    close(pipes[1]);
    CHECK(read(pipes[0], counts, sizeof counts) == sizeof counts);
    close(pipes[0]);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    passed += counts[0];
    failed += counts[1];
}

int main(void) {
    too_many_limits();
    no_directory();
    in_child(no_memory);
    in_child(no_place);
    return finish("bounds");
}
