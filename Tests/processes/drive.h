/* The load loop: acquires and ends permits on one gate as a log's header says, until its time is over
 * or the driver says stop. drive.py and Drive.swift do the same, step by step. */
#ifndef DRIVE_H
#define DRIVE_H

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admission.h"
#include "drivelog.h"

struct held {
    uint64_t permit;
    int64_t number;
    int64_t cost;
    int64_t *bin;
};

struct drive {
    admission_limiter *limiter;
    admission_gate *gate;
    volatile int64_t *log;
    size_t bytes;
    uint64_t random;
    int64_t cost;
    int64_t numbers;
    struct held held[LOG_MOST_PERMITS];
};

static inline int64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A caller's pause: the call that it makes, or the time until it asks again. */
static inline void pause_ns(int64_t nanoseconds) {
    struct timespec span;
    span.tv_sec = nanoseconds / 1000000000;
    span.tv_nsec = nanoseconds % 1000000000;
    ppoll(NULL, 0, &span, NULL);
}

/* xorshift64 (Marsaglia 2003). */
static inline uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline void write_record(struct drive *drive, int64_t kind, int64_t at, int64_t at_unix,
                                int64_t cost, int64_t outcome, int64_t permit, int64_t called) {
    volatile int64_t *log = drive->log;
    int64_t slot = log[LOG_WRITTEN] % log[LOG_CAPACITY];
    volatile int64_t *record = log + LOG_HEADER_WORDS + log[LOG_BINS] + slot * RECORD_WORDS;
    record[RECORD_KIND] = kind;
    record[RECORD_AT] = at;
    record[RECORD_AT_UNIX] = at_unix;
    record[RECORD_COST] = cost;
    record[RECORD_OUTCOME] = outcome;
    record[RECORD_PERMIT] = permit;
    record[RECORD_CALLED] = called;
    record[RECORD_RETURNED] = monotonic_ns();
    log[LOG_WRITTEN]++;
}

static inline int64_t *bin_of(struct drive *drive, int64_t at) {
    int64_t bins = drive->log[LOG_BINS], bin;
    if (bins == 0) return NULL;
    bin = (at - drive->log[LOG_ORIGIN_NS]) / drive->log[LOG_BIN_NS];
    if (bin < 0 || bin >= bins) {
        drive->log[LOG_ERRORS]++;
        return NULL;
    }
    return (int64_t *)drive->log + LOG_HEADER_WORDS + bin;
}

static inline void note_error(struct drive *drive, admission_status status) {
    drive->log[LOG_ERRORS]++;
    drive->log[LOG_LAST_ERROR] = status;
}

/* One decision. Admitted: the permit is held and what it took is in its bin. */
static inline void drive_acquire(struct drive *drive) {
    volatile int64_t *log = drive->log;
    admission_cost cost = ADMISSION_COST_INIT;
    admission_decision decision = ADMISSION_DECISION_INIT;
    admission_status status;
    int64_t called = monotonic_ns();
    struct held *held;
    cost.input_tokens = drive->cost;
    log[LOG_MARK] = OPERATION_ACQUIRE;
    status = admission_try_acquire(drive->gate, &cost, &decision);
    log[LOG_MARK] = OPERATION_NONE;
    log[LOG_OPERATIONS]++;
    if (status != ADMISSION_OK) {
        note_error(drive, status);
        pause_ns(1000000);
        return;
    }
    if (decision.outcome != ADMISSION_ADMITTED) {
        log[LOG_REFUSED]++;
        if (log[LOG_EVERY])
            write_record(drive, RECORD_DECISION, decision.decided_at_ns, decision.decided_at_unix_ns,
                         drive->cost, ADMISSION_REJECTED, decision.reason, called);
        if (log[LOG_RENEWS] && log[LOG_HELD] > 0) {
            log[LOG_MARK] = OPERATION_RENEW;
            admission_permit_renew(drive->limiter, drive->held[0].permit);
            log[LOG_MARK] = OPERATION_NONE;
            log[LOG_OPERATIONS]++;
        }
        if (log[LOG_POLL_NS] > 0) pause_ns(log[LOG_POLL_NS]);
        return;
    }
    held = &drive->held[log[LOG_HELD]];
    held->permit = decision.permit;
    held->number = ++drive->numbers;
    held->cost = drive->cost;
    held->bin = bin_of(drive, decision.decided_at_ns);
    if (held->bin) *held->bin += drive->cost;
    write_record(drive, RECORD_DECISION, decision.decided_at_ns, decision.decided_at_unix_ns,
                 drive->cost, ADMISSION_ADMITTED, held->number, called);
    log[LOG_ADMITTED]++;
    log[LOG_UNITS] += drive->cost;
    log[LOG_HELD]++;
    drive->cost = 1 + (int64_t)(next_random(&drive->random) % (uint64_t)log[LOG_LARGEST]);
    if (log[LOG_HOLD_NS] > 0)
        pause_ns(monotonic_ns() - log[LOG_STARTED_NS] < log[LOG_RAMP_NS] ? log[LOG_RAMP_HOLD_NS]
                                                                         : log[LOG_HOLD_NS]);
}

/* Ends the permit held longest. What goes back leaves its bin before the call: a worker that dies in
 * between is counted as having used less, never more. */
static inline void drive_end(struct drive *drive, uint64_t choice) {
    volatile int64_t *log = drive->log;
    struct held held = drive->held[0];
    admission_usage usage = ADMISSION_USAGE_INIT;
    admission_status status;
    int64_t operation = OPERATION_COMPLETE, back = 0, called;
    int index;
    for (index = 1; index < log[LOG_HELD]; index++) drive->held[index - 1] = drive->held[index];
    log[LOG_HELD]--;
    if (log[LOG_MIXED_ENDS]) {
        if (choice % 8 < 2) {
            usage.input_tokens = held.cost / 2;
            back = held.cost - usage.input_tokens;
        } else if (choice % 8 == 2) {
            operation = OPERATION_ABANDON;
            back = held.cost;
        } else if (choice % 8 == 3) {
            operation = OPERATION_DROP;
        }
    }
    if (held.bin) *held.bin -= back;
    called = monotonic_ns();
    log[LOG_MARK] = operation;
    if (operation == OPERATION_ABANDON)
        status = admission_permit_abandon(drive->limiter, held.permit);
    else if (operation == OPERATION_DROP)
        status = admission_permit_drop(drive->limiter, held.permit);
    else
        status = admission_permit_complete(drive->limiter, held.permit, &usage);
    log[LOG_MARK] = OPERATION_NONE;
    log[LOG_OPERATIONS]++;
    if (status == ADMISSION_E_LEASE_EXPIRED)
        log[LOG_EXPIRED]++;
    else if (status != ADMISSION_OK)
        note_error(drive, status);
    write_record(drive, RECORD_END, back, operation, held.cost, status, held.number, called);
}

static inline void drive_loop(struct drive *drive) {
    volatile int64_t *log = drive->log;
    int64_t end = monotonic_ns() + log[LOG_FOR_NS];
    uint64_t choice;
    log[LOG_PID] = getpid();
    log[LOG_STARTED_NS] = monotonic_ns();
    drive->random = (uint64_t)log[LOG_SEED];
    drive->cost = 1 + (int64_t)(next_random(&drive->random) % (uint64_t)log[LOG_LARGEST]);
    while (!log[LOG_STOP] && monotonic_ns() < end) {
        choice = next_random(&drive->random) >> 8;
        if (log[LOG_HELD] == log[LOG_MOST] || (log[LOG_HELD] > 0 && choice % 4 == 0))
            drive_end(drive, choice >> 8);
        else
            drive_acquire(drive);
    }
    while (log[LOG_HELD] > 0) drive_end(drive, 7);
    log[LOG_ENDED_NS] = monotonic_ns();
}

/* Returns 0, or -1 where the log is none. */
static inline int drive_on(admission_limiter *limiter, admission_gate *gate, const char *path) {
    struct drive drive = {0};
    struct stat status;
    void *address;
    int file = open(path, O_RDWR);
    if (file < 0) return -1;
    if (fstat(file, &status) != 0 || status.st_size < LOG_HEADER_WORDS * 8) return -1;
    address = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (address == MAP_FAILED) return -1;
    drive.limiter = limiter;
    drive.gate = gate;
    drive.log = address;
    if (drive.log[LOG_MAGIC] != 0x474f4c4d4441) return -1;
    drive_loop(&drive);
    munmap(address, (size_t)status.st_size);
    return 0;
}

#endif
