/* Waiting for a descriptor, in nanoseconds: ppoll(2), hidden from Swift without _GNU_SOURCE. */
#ifndef ADMISSION_WAITING_H
#define ADMISSION_WAITING_H

#include <poll.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Waits for `events` of poll(2) on the descriptor, or `timeout_ns`. Those that came; 0 for none, a
 * signal included. */
static inline int admission_poll(int descriptor, int events, int64_t timeout_ns) {
    struct pollfd entry = {.fd = descriptor, .events = (short)events, .revents = 0};
    struct timespec timeout = {
        .tv_sec = (time_t)(timeout_ns / 1000000000), .tv_nsec = (long)(timeout_ns % 1000000000)};
    long count = syscall(SYS_ppoll, &entry, 1, &timeout, (void *)0, 8);
    return count > 0 ? entry.revents : 0;
}

#endif
