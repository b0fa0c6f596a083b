/* The two halves of an asymmetric barrier: nothing but an order for the compiler on the side that
 * runs all the time, one system call on the side that runs seldom (membarrier(2)). */
#ifndef ADMISSION_BARRIER_H
#define ADMISSION_BARRIER_H

#include <sys/syscall.h>
#include <unistd.h>

/* Keeps the compiler from moving memory accesses across; no instruction. */
static inline void admission_compiler_barrier(void) { __asm__ volatile("" ::: "memory"); }

/* membarrier(2) with these commands, numbered as in linux/membarrier.h, which old systems lack. */
#define ADMISSION_MEMBARRIER_PRIVATE_EXPEDITED (1 << 3)
#define ADMISSION_MEMBARRIER_REGISTER_PRIVATE_EXPEDITED (1 << 4)

/* 0 when done, -1 where the kernel does not know it or a filter forbids it. */
static inline int admission_membarrier(int command) {
#ifdef SYS_membarrier
    return (int)syscall(SYS_membarrier, command, 0, 0);
#else
    (void)command;
    return -1;
#endif
}

#endif
