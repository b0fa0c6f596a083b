/* What a file lies on: fstatfs(2), which Swift's C library module leaves out. */
#ifndef ADMISSION_FILESYSTEM_H
#define ADMISSION_FILESYSTEM_H

#include <stdint.h>
#include <sys/vfs.h>

/* The type number of the file system that a descriptor's file lies on; 0 where it cannot be asked. */
static inline uint32_t admission_file_system_type(int descriptor) {
    struct statfs status;
    return fstatfs(descriptor, &status) == 0 ? (uint32_t)status.f_type : 0;
}

#endif
