/* Sleeping until a word of memory changes: futex(2), numbered as in linux/futex.h. */
#ifndef ADMISSION_FUTEX_H
#define ADMISSION_FUTEX_H

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* FUTEX_WAIT and FUTEX_WAKE of this process alone. */
#define ADMISSION_FUTEX_WAIT_PRIVATE (0 | 128)
#define ADMISSION_FUTEX_WAKE_PRIVATE (1 | 128)

/* Sleeps while the word holds `seen`, so many nanoseconds of the monotonic clock at most; it may wake
 * for no reason. */
static inline void admission_sleep(const void *word, uint32_t seen, int64_t nanoseconds) {
    struct timespec time = {(time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
    syscall(SYS_futex, word, ADMISSION_FUTEX_WAIT_PRIVATE, seen, &time, (void *)0, 0);
}

/* Wakes one that sleeps on the word. */
static inline void admission_wake(const void *word) {
    syscall(SYS_futex, word, ADMISSION_FUTEX_WAKE_PRIVATE, 1, (void *)0, (void *)0, 0);
}

#endif
