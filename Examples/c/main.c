/* Enforces a policy live, on the system clock, and prints each decision.
 *
 *     cc -std=c99 -Wall -Wextra -o live Examples/c/main.c $(pkg-config --cflags --libs admission)
 *     ./live Examples/policies/gemini.json
 */
#include <admission.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the program with the library's own words unless a call went well. */
static void expect_ok(admission_status status) {
    if (status == ADMISSION_OK) return;
    char text[512];
    admission_last_error(text, sizeof text);
    fprintf(stderr, "%s: %s\n", admission_status_name(status), text);
    exit(1);
}

static void print_retry(const admission_decision *decision) {
    if (decision->retry_after_ns == -1) {
        printf(", again never\n");
    } else if (decision->retry_after_ns == -2) {
        printf(", again when a call ends\n");
    } else {
        printf(", again in %" PRId64 " ms\n", decision->retry_after_ns / 1000000);
    }
}

int main(int argc, char **argv) {
    admission_options options = ADMISSION_OPTIONS_INIT;
    options.policy_path = argc > 1 ? argv[1] : "Examples/policies/gemini.json";
    admission_limiter *limiter = NULL;
    expect_ok(admission_limiter_open(&options, &limiter));

    const admission_attribute who[] = {
        {"provider", "gemini"}, {"model", "gemini-2.5-flash"}, {"project", "acme"}};
    admission_gate *gate = NULL;
    expect_ok(admission_gate_open(limiter, who, sizeof who / sizeof *who, &gate));

    printf("call  input tokens  decision    left of the limit that binds\n");
    for (int call = 1; call <= 20; call++) {
        /* Long prompts, every fourth a short one; the last is longer than the limit itself. */
        admission_cost cost = ADMISSION_COST_INIT;
        cost.input_tokens = call == 20 ? 1200000 : call % 4 == 0 ? 8000 : 90000;
        admission_decision decision = ADMISSION_DECISION_INIT;
        expect_ok(admission_try_acquire(gate, &cost, &decision));

        int admitted = decision.outcome == ADMISSION_ADMITTED;
        const char *limit = decision.limit_name ? decision.limit_name : "no limit";
        printf("%4d  %12" PRId64 "  %s    %s: %" PRId64 " of %" PRId64, call, cost.input_tokens,
               admitted ? "admitted" : "rejected", limit, decision.remaining, decision.limit);
        if (!admitted) {
            print_retry(&decision);
            continue;
        }
        printf("\n");
        /* The call is made here; then its permit is completed with what it really used. */
        admission_usage usage = ADMISSION_USAGE_INIT;
        usage.input_tokens = cost.input_tokens * 9 / 10;
        usage.output_tokens = 250;
        expect_ok(admission_permit_complete(limiter, decision.permit, &usage));
    }

    expect_ok(admission_gate_close(gate));
    expect_ok(admission_limiter_close(limiter));
    return 0;
}
