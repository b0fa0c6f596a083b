/* What the processor offers and Swift cannot name: the time-stamp counter, the thread pointer and
 * the prefetch.
 * Header only, so that every call is inlined into Swift and no object file is needed. */
#ifndef ADMISSION_COUNTER_H
#define ADMISSION_COUNTER_H

#include <stdint.h>

#if defined(__x86_64__)
#define ADMISSION_HAS_COUNTER 1
/* Reads the time-stamp counter. Not serializing: it may move by a few instructions. */
static inline uint64_t admission_counter_read(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return ((uint64_t)high << 32) | low;
}
#elif defined(__aarch64__)
#define ADMISSION_HAS_COUNTER 1
static inline uint64_t admission_counter_read(void) {
    uint64_t value;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
    return value;
}
#else
#define ADMISSION_HAS_COUNTER 0
static inline uint64_t admission_counter_read(void) { return 0; }
#endif

/* A value that is the same on every call of one thread and differs between live threads. */
static inline uintptr_t admission_thread_pointer(void) {
#if defined(__x86_64__)
    uintptr_t value;
    __asm__("mov %%fs:0, %0" : "=r"(value));
    return value;
#else
    return (uintptr_t)__builtin_thread_pointer();
#endif
}

/* Asks for the line that holds the address, to be written. Any address is allowed. */
static inline void admission_prefetch(const void *address) { __builtin_prefetch(address, 1, 3); }

#endif
