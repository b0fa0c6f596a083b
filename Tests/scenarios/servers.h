/* Cases on a Redis server, which keeps whole microseconds: those that tell of nanoseconds run a thousand
 * times slower, their limits' times with them; the others are looked at a microsecond before their edges. */
#ifndef SCENARIOS_SERVERS_H
#define SCENARIOS_SERVERS_H

#include <regex.h>

#include "table.h"

static int is_on_server(void) { return getenv("ADMISSION_TEST_REDIS") != NULL; }

static int matches(const char *text, const char *pattern) {
    regex_t expression;
    if (regcomp(&expression, pattern, REG_EXTENDED | REG_NOSUB) != 0) table_failed(pattern, "no pattern");
    int found = regexec(&expression, text, 0, NULL, 0) == 0;
    regfree(&expression);
    return found;
}

/* How long a nanosecond of the case is. Boundaries of the calendar stay where they are, and a window above
 * an hour has other cells. */
static int64_t scale_of(const scenario *each) {
    int tells = 0;
    if (!is_on_server()) return 1;
    for (int i = 0; i < each->step_count; i++)
        tells |= begins(each->steps[i], "law") || matches(each->steps[i], "[0-9]ns");
    for (int i = 0; i < each->opening_count; i++)
        if (matches(each->openings[i],
                    "\"window\":\"(minute|hour|day|week|month|year|[4-9]s|[0-9]+[mh])\""))
            return 1;
    return tells ? 1000 : 1;
}

/* Keys of a server expire by themselves: there is nothing to reclaim. */
static int is_for_store(const scenario *each) {
    for (int i = 0; is_on_server() && i < each->step_count; i++)
        if (begins(each->steps[i], "reclaim")) return 0;
    return 1;
}

/* Writes the document with every "5s" and "7/3m" of it so much longer. */
static void scale_times(const char *text, int64_t scale, char *buffer, size_t size) {
    regex_t expression;
    regmatch_t part[4];
    size_t used = 0;
    *buffer = '\0';
    if (regcomp(&expression, "\"([0-9]+/)?([0-9]*)(ms|s|m|h)\"", REG_EXTENDED) != 0)
        table_failed(text, "no pattern");
    while (regexec(&expression, text, 4, part, 0) == 0 && used < size) {
        int has_number = part[2].rm_eo > part[2].rm_so;
        int64_t value = has_number ? strtoll(text + part[2].rm_so, NULL, 10) : 1;
        used += (size_t)snprintf(buffer + used, size - used, "%.*s%lld", (int)part[2].rm_so, text,
                                 (long long)(value * scale));
        text += part[2].rm_eo;
        if (used >= size) break;
        /* The unit and the quote behind it, so that they do not match again. */
        int rest = (int)(part[0].rm_eo - part[2].rm_eo);
        used += (size_t)snprintf(buffer + used, size - used, "%.*s", rest, text);
        text += rest;
    }
    regfree(&expression);
    if (used < size) used += (size_t)snprintf(buffer + used, size - used, "%s", text);
    if (used >= size) table_failed(text, "too long");
}

#endif
