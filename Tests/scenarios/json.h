/* Just enough JSON to look values up in what explain and snapshot write: `member` finds a key's value
 * in an object, `element` the n-th value of an array. Both return NULL where there is none; the text is
 * the library's own, so that it is well formed is taken for granted. */
#ifndef SCENARIOS_JSON_H
#define SCENARIOS_JSON_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char *skip_space(const char *at) { return at + strspn(at, " \t\r\n"); }

/* The character after the string, number, word, object or array that begins at `at`. */
static const char *skip_value(const char *at) {
    int depth = 0;
    do {
        at = skip_space(at);
        if (*at == '"') {
            for (at++; *at != '"' && *at != '\0'; at++)
                if (*at == '\\' && at[1] != '\0') at++;
            if (*at == '"') at++;
        } else if (*at == '{' || *at == '[') {
            depth++, at++;
        } else if (*at == '}' || *at == ']') {
            depth--, at++;
        } else if (*at == ',' || *at == ':') {
            at++;
        } else {
            at += strcspn(at, ",:]} \t\r\n");
        }
    } while (depth > 0 && *at != '\0');
    return at;
}

static const char *member(const char *object, const char *key) {
    if (object == NULL || *object != '{') return NULL;
    const char *at = skip_space(object + 1);
    while (*at == '"') {
        const char *name = at + 1;
        at = skip_value(at);
        size_t length = (size_t)(at - name) - 1;
        at = skip_space(skip_space(at) + 1);
        if (length == strlen(key) && memcmp(name, key, length) == 0) return at;
        at = skip_space(skip_value(at));
        if (*at == ',') at = skip_space(at + 1);
    }
    return NULL;
}

static const char *element(const char *array, int index) {
    if (array == NULL || *array != '[') return NULL;
    const char *at = skip_space(array + 1);
    for (int i = 0; *at != ']' && *at != '\0'; i++) {
        if (i == index) return at;
        at = skip_space(skip_value(at));
        if (*at == ',') at = skip_space(at + 1);
    }
    return NULL;
}

/* Copies a string's characters, or the text of any other value, into `buffer`. */
static void copy_text(const char *value, char *buffer, size_t size) {
    const char *end = skip_value(value);
    if (*value == '"') value++, end--;
    size_t length = (size_t)(end - value);
    if (length >= size) length = size - 1;
    memcpy(buffer, value, length);
    buffer[length] = '\0';
}

#endif
