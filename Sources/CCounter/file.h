/* File calls of Linux that the system's C module hides from Swift without _GNU_SOURCE. */
#ifndef ADMISSION_FILE_H
#define ADMISSION_FILE_H

#include <fcntl.h>
#include <unistd.h>
#include <sys/syscall.h>

/* fallocate(2), mode 0: has the file system promise space. 0, or -1 with errno. */
static inline int admission_reserve(int descriptor, long offset, long bytes) {
    return (int)syscall(SYS_fallocate, descriptor, 0, offset, bytes);
}

#endif
