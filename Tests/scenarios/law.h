/* The law of the table: at random limits every instant before the reported wait is refused, and the
 * wait itself admitted. README.md spells out how the numbers are drawn. */
#ifndef SCENARIOS_LAW_H
#define SCENARIOS_LAW_H

#include "run.h"

typedef struct {
    int is_rolling;
    uint64_t state;
    int64_t admitted, refused;
    char text[256];
    int64_t capacity, stride, window;
} law_state;

static int64_t draw(law_state *law, int64_t below) {
    law->state += 0x9E3779B97F4A7C15u;
    uint64_t z = law->state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (int64_t)((z ^ (z >> 31)) % (uint64_t)below);
}

static void draw_limit(law_state *law) {
    static const char *const names[] = {"ms", "s", "m", "h"};
    static const int64_t lengths[] = {1000000, 1000000000, 60000000000, 3600000000000};
    char bound[160];
    if (law->is_rolling) {
        law->capacity = 1 + draw(law, 20);
        int64_t multiple = 1 + draw(law, 60), unit = draw(law, 3);
        snprintf(bound, sizeof bound, "\"limit\":%lld,\"window\":\"%lld%s\"",
                 (long long)law->capacity, (long long)multiple, names[unit]);
        law->window = multiple * lengths[unit];
        law->stride = law->window / law->capacity + 1;
    } else {
        int64_t units = 1 + draw(law, 1000), multiple = 1 + draw(law, 100), unit = draw(law, 4);
        law->capacity = 1 + draw(law, 100);
        snprintf(bound, sizeof bound, "\"rate\":\"%lld/%lld%s\",\"burst\":%lld", (long long)units,
                 (long long)multiple, names[unit], (long long)law->capacity);
        law->stride = multiple * lengths[unit] / units + 1;
    }
    snprintf(law->text, sizeof law->text,
             "limits {\"name\":\"law\",\"count\":\"requests\",%s}", bound);
}

static void law_step(run_state *run, law_state *law, gate_state *gate) {
    admission_decision decision, again;
    admission_cost cost = ADMISSION_COST_INIT;
    cost.requests = 1 + draw(law, law->capacity);
    if (charge(run, gate, &cost, &decision)) {
        law->admitted++;
        if (draw(law, 2) == 1) advance(run, draw(law, law->stride));
        return;
    }
    law->refused++;
    int64_t wait = decision.retry_after_ns;
    if (wait <= 0) fail(run, "%s: refused, wait %lld", law->text, (long long)wait);
    if (law->is_rolling) {
        int64_t least = wait_in_log(gate, decision.decided_at_ns, cost.requests, law->capacity,
                                    law->window);
        int64_t slack = 61 * ((law->window + 59) / 60) - law->window;
        if (wait < least || wait > least + slack)
            fail(run, "%s: wait %lld, a log's %lld", law->text, (long long)wait, (long long)least);
    }
    int64_t x = draw(law, wait);
    advance(run, x);
    if (charge(run, gate, &cost, &again) || again.retry_after_ns != wait - x)
        fail(run, "%s: wait %lld, after %lld %lld", law->text, (long long)wait, (long long)x,
             (long long)again.retry_after_ns);
    advance(run, wait - run->tick - x);
    edge(run, gate, &cost);
    law->admitted++;
}

static void law_round(run_state *run, law_state *law, int64_t steps) {
    admission_status status;
    draw_limit(law);
    open_limiter(run, law->text, &status);
    check(run, status);
    gate_state *gate = open_gate(run, "law", NULL, 0);
    for (int64_t step = 0; step < steps; step++) law_step(run, law, gate);
    close_limiter(run);
}

#endif
