/* What a store asks of files that the system's C module hides from Swift: fallocate(2), which needs
 * _GNU_SOURCE there, and fstatfs(2), which it leaves out. */
#ifndef ADMISSION_FILE_H
#define ADMISSION_FILE_H

#include <stdint.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* fallocate(2), mode 0: has the file system promise space. 0, or -1 with errno. */
static inline int admission_reserve(int descriptor, long offset, long bytes) {
    return (int)syscall(SYS_fallocate, descriptor, 0, offset, bytes);
}

/* The type number of the file system that a descriptor's file lies on; 0 where it cannot be asked. */
static inline uint32_t admission_file_system_type(int descriptor) {
    struct statfs status;
    return fstatfs(descriptor, &status) == 0 ? (uint32_t)status.f_type : 0;
}

#endif
