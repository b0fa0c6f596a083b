/* The smallest test frame: a program makes checks, prints those that fail, and closes with
 * "name: N passed, N failed". */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <string.h>

#include "admission.h"

static int passed, failed;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (condition) {                                                                           \
            passed++;                                                                              \
        } else {                                                                                   \
            failed++;                                                                              \
            printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                         \
        }                                                                                          \
    } while (0)

/* Checks a status and, where it is another, prints both and the library's text. */
#define CHECK_STATUS(call, expected)                                                               \
    do {                                                                                           \
        admission_status got_ = (call);                                                            \
        if (got_ == (expected)) {                                                                  \
            passed++;                                                                              \
        } else {                                                                                   \
            char text_[512];                                                                       \
            failed++;                                                                              \
            admission_last_error(text_, sizeof text_);                                             \
            printf("%s:%d: failed: %s is %d (%s), expected %d; last error: %s\n", __FILE__,        \
                   __LINE__, #call, (int)got_, admission_status_name(got_), (int)(expected),       \
                   text_);                                                                         \
        }                                                                                          \
    } while (0)

static int finish(const char *name) {
    printf("%s: %d passed, %d failed\n", name, passed, failed);
    return failed == 0 ? 0 : 1;
}

#endif
