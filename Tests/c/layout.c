/* Every struct's size and every field's place, pinned, with no padding between. Compiling is the
 * test. Built as C11, C17 and, with -Wpadded, by which the compiler says so too. */
#include "admission.h"

#define AT(type, field, offset)                                                                    \
    _Static_assert(offsetof(type, field) == (offset), #type "." #field " has moved")
#define SIZE(type, size) _Static_assert(sizeof(type) == (size), #type " has another size")

_Static_assert(sizeof(void *) == 8, "pointers have 64 bits");
_Static_assert(sizeof(admission_status) == 4, "a status has 32 bits");

AT(admission_options, struct_size, 0);
AT(admission_options, clock, 4);
AT(admission_options, policy_json, 8);
AT(admission_options, policy_path, 16);
AT(admission_options, store_url, 24);
AT(admission_options, start_unix_ns, 32);
AT(admission_options, permit_capacity, 40);
AT(admission_options, key_capacity, 48);
AT(admission_options, heartbeat, 56);
AT(admission_options, reserved, 60);
SIZE(admission_options, 64);
SIZE(admission_options, ADMISSION_OPTIONS_SIZE_1);

AT(admission_attribute, name, 0);
AT(admission_attribute, value, 8);
SIZE(admission_attribute, 16);

AT(admission_count, struct_size, 0);
AT(admission_count, reserved, 4);
AT(admission_count, name, 8);
AT(admission_count, value, 16);
SIZE(admission_count, 24);
SIZE(admission_count, ADMISSION_COUNT_SIZE_1);

AT(admission_cost, struct_size, 0);
AT(admission_cost, extra_count, 4);
AT(admission_cost, requests, 8);
AT(admission_cost, input_tokens, 16);
AT(admission_cost, output_tokens, 24);
AT(admission_cost, priority, 32);
AT(admission_cost, extra, 40);
SIZE(admission_cost, 48);
SIZE(admission_cost, ADMISSION_COST_SIZE_1);

AT(admission_usage, struct_size, 0);
AT(admission_usage, exact, 4);
AT(admission_usage, requests, 8);
AT(admission_usage, input_tokens, 16);
AT(admission_usage, output_tokens, 24);
AT(admission_usage, extra, 32);
AT(admission_usage, extra_count, 40);
AT(admission_usage, reserved, 44);
SIZE(admission_usage, 48);
SIZE(admission_usage, ADMISSION_USAGE_SIZE_1);

AT(admission_decision, struct_size, 0);
AT(admission_decision, outcome, 4);
AT(admission_decision, reason, 8);
AT(admission_decision, store_mode, 12);
AT(admission_decision, permit, 16);
AT(admission_decision, retry_after_ns, 24);
AT(admission_decision, predicted_start_unix_ns, 32);
AT(admission_decision, decided_at_ns, 40);
AT(admission_decision, decided_at_unix_ns, 48);
AT(admission_decision, limit, 56);
AT(admission_decision, asked, 64);
AT(admission_decision, remaining, 72);
AT(admission_decision, policy_name, 80);
AT(admission_decision, limit_name, 88);
SIZE(admission_decision, 96);
SIZE(admission_decision, ADMISSION_DECISION_SIZE_1);

AT(admission_completion, struct_size, 0);
AT(admission_completion, status, 4);
AT(admission_completion, user_data, 8);
AT(admission_completion, waiter, 16);
AT(admission_completion, decision, 24);
SIZE(admission_completion, 120);
SIZE(admission_completion, ADMISSION_COMPLETION_SIZE_1);

int main(void) { return 0; }
