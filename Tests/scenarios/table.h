/* Reads the shared table of scenarios; README.md beside this file describes it. */
#ifndef SCENARIOS_TABLE_H
#define SCENARIOS_TABLE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CASES = 256, MAX_OPENINGS = 8, MAX_IDS = 128, MAX_WORDS = 128, MAX_LINE = 4096 };

typedef struct {
    const char *id, *title;
    const char *start;
    const char *openings[MAX_OPENINGS];
    int opening_count;
    const char **steps;
    int step_count;
} scenario;

typedef struct {
    char *text;
    char *ids[MAX_IDS];
    int id_count;
    scenario cases[MAX_CASES];
    int case_count;
} scenario_table;

static void table_failed(const char *line, const char *why) {
    fprintf(stderr, "core.cases: %s: %s\n", why, line);
    exit(2);
}

static int begins(const char *line, const char *prefix) {
    return strncmp(line, prefix, strlen(prefix)) == 0;
}

static int split(char *text, char **words) {
    int count = 0;
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        if (count == MAX_WORDS) table_failed(word, "too many words");
        words[count++] = word;
    }
    return count;
}

/* A count, or a duration in nanoseconds. */
static int64_t number(const char *text) {
    static const struct {
        const char *name;
        int64_t factor;
    } units[] = {{"", 1},          {"ns", 1},           {"us", 1000},         {"ms", 1000000},
                 {"s", 1000000000}, {"m", 60000000000}, {"h", 3600000000000}};
    if (strcmp(text, "never") == 0) return -1;
    if (strcmp(text, "unknown") == 0) return -2;
    char *unit;
    int64_t value = strtoll(text, &unit, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units && unit != text; i++)
        if (strcmp(unit, units[i].name) == 0) return value * units[i].factor;
    table_failed(text, "no number");
    return 0;
}

/* The policy document that `limits L` or `policy J` stands for. */
static void document(const char *text, char *buffer, size_t size) {
    if (begins(text, "policy "))
        snprintf(buffer, size, "%s", text + 7);
    else if (begins(text, "limits "))
        snprintf(buffer, size,
                 "{\"admission\":1,\"policies\":[{\"name\":\"p\",\"limits\":[%s]}]}", text + 7);
    else
        table_failed(text, "neither limits nor policy");
}

static char *read_text(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) table_failed(path, "cannot be read");
    size_t size = 0, capacity = 1 << 20;
    char *text = malloc(capacity);
    if (text != NULL) size = fread(text, 1, capacity - 1, file);
    if (text == NULL || size == capacity - 1) table_failed(path, "too long");
    text[size] = '\0';
    fclose(file);
    return text;
}

static void add_step(scenario *each, const char *line) {
    if (each->step_count % 64 == 0) {
        size_t size = (size_t)(each->step_count + 64) * sizeof *each->steps;
        each->steps = realloc(each->steps, size);
        if (each->steps == NULL) table_failed(line, "out of memory");
    }
    each->steps[each->step_count++] = line;
}

/* The steps since `first` are written `times` times in all. */
static void repeat_steps(scenario *each, int first, int64_t times) {
    int last = each->step_count;
    for (int64_t i = 1; i < times; i++)
        for (int step = first; step < last; step++) add_step(each, each->steps[step]);
}

static void read_line(scenario_table *table, char *line, int *first, int64_t *times) {
    scenario *each = table->case_count > 0 ? &table->cases[table->case_count - 1] : NULL;
    if (begins(line, "ids ")) {
        table->id_count = split(line + 4, table->ids);
    } else if (begins(line, "case ")) {
        if (table->case_count == MAX_CASES) table_failed(line, "too many cases");
        each = &table->cases[table->case_count++];
        each->id = line + 5;
        each->start = "1767225600s";
        char *space = strchr(line + 5, ' ');
        if (space == NULL) table_failed(line, "no title");
        *space = '\0';
        each->title = space + 1;
    } else if (each == NULL) {
        table_failed(line, "before the first case");
    } else if (begins(line, "start ")) {
        each->start = line + 6;
    } else if (begins(line, "limits ") || begins(line, "policy ")) {
        if (each->opening_count == MAX_OPENINGS) table_failed(line, "too many of these");
        each->openings[each->opening_count++] = line;
    } else if (begins(line, "repeat ")) {
        *first = each->step_count;
        *times = number(line + 7);
    } else if (strcmp(line, "end") == 0) {
        repeat_steps(each, *first, *times);
    } else {
        add_step(each, line);
    }
}

static void read_table(const char *path, scenario_table *table) {
    int first = 0;
    int64_t times = 1;
    table->text = read_text(path);
    for (char *line = table->text; line != NULL;) {
        char *next = strchr(line, '\n');
        if (next != NULL) *next++ = '\0';
        if (strlen(line) >= MAX_LINE) table_failed(line, "too long");
        if (*line != '\0' && *line != '#') read_line(table, line, &first, &times);
        line = next;
    }
}

#endif
