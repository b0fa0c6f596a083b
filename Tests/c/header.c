/* The header compiles alone, and its macros are constants a C99 and a C++17 compiler accepts. Built as
 * C99, C11, C17 and C++17 with every warning an error. */
#include "admission.h"

static const admission_options options = ADMISSION_OPTIONS_INIT;
static const admission_count extra = ADMISSION_COUNT_INIT;
static const admission_cost cost = ADMISSION_COST_INIT;
static const admission_usage usage = ADMISSION_USAGE_INIT;
static const admission_decision decision = ADMISSION_DECISION_INIT;
static const admission_completion completion = ADMISSION_COMPLETION_INIT;

#if ADMISSION_OK != 0 || ADMISSION_E_INVALID_HANDLE != 103 || ADMISSION_REJECTED != 2
#error "the numbers are usable in #if"
#endif

int main(void) {
    int right = options.struct_size == ADMISSION_OPTIONS_SIZE_1 &&
                extra.struct_size == ADMISSION_COUNT_SIZE_1 &&
                cost.struct_size == ADMISSION_COST_SIZE_1 && cost.requests == 1 &&
                usage.struct_size == ADMISSION_USAGE_SIZE_1 && usage.exact == 1 &&
                usage.requests == -1 && usage.input_tokens == -1 && usage.output_tokens == -1 &&
                decision.struct_size == ADMISSION_DECISION_SIZE_1 && decision.outcome == 0 &&
                completion.struct_size == ADMISSION_COMPLETION_SIZE_1 &&
                completion.decision.struct_size == ADMISSION_DECISION_SIZE_1;
    return right ? 0 : 1;
}
