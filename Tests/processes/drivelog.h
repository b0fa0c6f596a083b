/* What a worker under load shares with its driver: one mapped file of 64-bit words, made by the driver.
 * A header with the parameters and the live figures, bins that add up what was admitted by the
 * decisions' own instants, and a ring of records. What a killed worker wrote stays readable.
 *
 * The same layout stands in drivelog.py and in DriveLog.swift. */
#ifndef DRIVELOG_H
#define DRIVELOG_H

#include <stdint.h>

enum {
    LOG_MAGIC = 0, /* 0x474f4c4d4441: made by the driver */
    /* Parameters, written by the driver. */
    LOG_CAPACITY = 1,      /* records that the ring holds */
    LOG_BINS = 2,          /* bins, 0: none */
    LOG_BIN_NS = 3,        /* width of a bin */
    LOG_ORIGIN_NS = 4,     /* steady time at which bin 0 begins */
    LOG_SEED = 5,          /* of costs and choices, not 0 */
    LOG_FOR_NS = 6,        /* how long to go on */
    LOG_HOLD_NS = 7,       /* how long a call takes; 0: no pause anywhere */
    LOG_POLL_NS = 8,       /* the pause after a refusal: not until retry_after, when all would come
                            * at once and the quickest language first */
    LOG_MOST = 9,          /* permits held at once, 1 ... LOG_MOST_PERMITS */
    LOG_LARGEST = 10,      /* costs are 1 ... this, in input tokens */
    LOG_MIXED_ENDS = 11,   /* 0: complete as charged; 1: also with less, abandoned, dropped */
    LOG_EVERY = 12,        /* 1: refusals are recorded too */
    LOG_RENEWS = 13,       /* 1: after a refusal a held permit is renewed */
    LOG_RAMP_NS = 14,      /* for so long at first, a call takes ... */
    LOG_RAMP_HOLD_NS = 15, /* ... this instead of LOG_HOLD_NS */
    /* Live: STOP is the driver's to write, the others are the worker's. */
    LOG_STOP = 16,
    LOG_MARK = 17,    /* the operation under way, OPERATION_... */
    LOG_WRITTEN = 18, /* records written; record n is at n % capacity */
    LOG_ADMITTED = 19,
    LOG_REFUSED = 20,
    LOG_HELD = 21,
    LOG_ERRORS = 22,
    LOG_LAST_ERROR = 23, /* a status; 1 in Swift, which has names for them */
    LOG_UNITS = 24,      /* input tokens admitted */
    LOG_EXPIRED = 25,    /* permits that ended with 402 */
    LOG_STARTED_NS = 26, /* monotonic */
    LOG_ENDED_NS = 27,
    LOG_PID = 28,
    LOG_OPERATIONS = 29,
    LOG_HEADER_WORDS = 64,
    LOG_MOST_PERMITS = 16
};

enum {
    OPERATION_NONE = 0,
    OPERATION_ACQUIRE = 1,
    OPERATION_COMPLETE = 2,
    OPERATION_ABANDON = 3,
    OPERATION_DROP = 4,
    OPERATION_RENEW = 5
};

/* Eight words. A decision, or the end of a permit. */
enum {
    RECORD_KIND = 0,    /* RECORD_DECISION, RECORD_END */
    RECORD_AT = 1,      /* decision: decided_at_ns; end: units given back */
    RECORD_AT_UNIX = 2, /* decision: decided_at_unix_ns; end: the operation */
    RECORD_COST = 3,
    RECORD_OUTCOME = 4,  /* decision: 1 admitted, 2 rejected; end: the status */
    RECORD_PERMIT = 5,   /* the number of the permit's decision in this log, from 1; refused: the reason */
    RECORD_CALLED = 6,   /* monotonic, before the call */
    RECORD_RETURNED = 7, /* monotonic, after the call */
    RECORD_WORDS = 8,
    RECORD_DECISION = 1,
    RECORD_END = 2
};

#endif
