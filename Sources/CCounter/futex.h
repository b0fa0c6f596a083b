/* Sleeping until a word of memory changes: futex(2), numbered as in linux/futex.h. */
#ifndef ADMISSION_FUTEX_H
#define ADMISSION_FUTEX_H

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Private to the process; the deadline of the bitset form is absolute, by CLOCK_MONOTONIC. */
#define ADMISSION_FUTEX_WAKE_PRIVATE (1 | 128)
#define ADMISSION_FUTEX_WAIT_BITSET_PRIVATE (9 | 128)

/* Sleeps while *word is `expected`, until it is woken or `deadline_ns` of CLOCK_MONOTONIC. It may
 * return at any time: look at the word again. */
static inline void admission_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns) {
    struct timespec deadline = {
        .tv_sec = (time_t)(deadline_ns / 1000000000), .tv_nsec = (long)(deadline_ns % 1000000000)};
    syscall(
        SYS_futex, word, ADMISSION_FUTEX_WAIT_BITSET_PRIVATE, expected, &deadline, (void *)0,
        0xffffffffu);
}

/* Wakes one thread that sleeps on the word. */
static inline void admission_futex_wake(uint32_t *word) {
    syscall(SYS_futex, word, ADMISSION_FUTEX_WAKE_PRIVATE, 1, (void *)0, (void *)0, 0);
}

#endif
