/*
 * Admission - decides, before a call is sent, whether it may go now, when it may go, or never.
 *
 * This header is the specification of the C interface: what is not written here is no promise.
 * Everything is prefixed `admission_` or `ADMISSION_`. It compiles alone as C99 and as C++17.
 *
 *
 * Simplest use
 * ------------
 *
 *     admission_options options = ADMISSION_OPTIONS_INIT;
 *     options.policy_path = "policy.json";
 *     admission_limiter *limiter = NULL;
 *     if (admission_limiter_open(&options, &limiter) != ADMISSION_OK) { ... admission_last_error ... }
 *
 *     admission_attribute who[] = {{"project", "acme"}, {"model", "gemini-2.5-flash"}};
 *     admission_gate *gate = NULL;
 *     if (admission_gate_open(limiter, who, 2, &gate) != ADMISSION_OK) { ... }
 *
 *     admission_cost cost = ADMISSION_COST_INIT;
 *     cost.input_tokens = 1200;
 *     admission_decision decision = ADMISSION_DECISION_INIT;
 *     if (admission_try_acquire(gate, &cost, &decision) != ADMISSION_OK) { ... }
 *     if (decision.outcome == ADMISSION_ADMITTED) {
 *         ... make the call ...
 *         admission_usage usage = ADMISSION_USAGE_INIT;
 *         usage.input_tokens = 1187;
 *         admission_permit_complete(limiter, decision.permit, &usage);
 *     } else {
 *         ... come back after decision.retry_after_ns, or never where it is -1 ...
 *     }
 *     admission_gate_close(gate);
 *     admission_limiter_close(limiter);
 *
 * Open a gate once for each set of attributes and keep it: a decision on an open gate allocates
 * nothing and compares no text.
 *
 *
 * Threads
 * -------
 *
 * Any thread may call any function on any handle at any time, closing a handle that others are
 * using included: those calls either finish as if they had come first or return
 * ADMISSION_E_INVALID_HANDLE (ADMISSION_E_CLOSED for a gate whose limiter was closed). No function
 * blocks, apart from `admission_acquire` with a timeout above 0. No function may be called from a
 * signal handler. The library calls no code of the caller's.
 *
 * The structs belong to the caller: two threads must not hand the same one to two calls at once
 * when one of the calls writes to it (a decision, a completion).
 *
 *
 * Handles and lifetimes
 * ---------------------
 *
 * A handle (`admission_limiter *`, `admission_gate *`, `admission_completions *`) looks like a
 * pointer and is none: it holds a slot and a generation, and is looked up in a table. Never
 * dereference it. A handle that was closed, of the wrong kind, or made up is answered
 * ADMISSION_E_INVALID_HANDLE and changes nothing. NULL is ADMISSION_E_INVALID_ARGUMENT, except that
 * closing NULL does nothing and returns ADMISSION_OK.
 *
 * Who opens a handle closes it, once. `admission_limiter_close` does not wait for permits or gates:
 * a closed limiter refuses new work with ADMISSION_E_CLOSED and lives on until its last permit has
 * ended and its last gate is closed, so that finalisers may run in any order. Until then its permits
 * are ended through the same limiter handle; after that the handle is ADMISSION_E_INVALID_HANDLE.
 *
 * A permit is a number of the same kind: ending it a second time is ADMISSION_E_ALREADY_COMPLETED
 * and changes nothing. 0 is never a permit; a number that the limiter never gave out is
 * ADMISSION_E_INVALID_HANDLE (or ALREADY_COMPLETED, where it cannot be told from one that ended).
 *
 * The process may have at most ADMISSION_MAX_HANDLES handles open at once.
 *
 *
 * fork
 * ----
 *
 * Handles stay valid in a forked child, and the counters of a limiter that was opened before the fork
 * are shared with it, `memory:` and `file:` alike: parent and children together stay below the limits. A permit
 * belongs to the process that acquired it; ending it in another is ADMISSION_E_NOT_OWNER.
 * `vfork` and a bare `clone` are not covered.
 *
 *
 * Text
 * ----
 *
 * Text is UTF-8 ended by a NUL and compared as bytes; other bytes are ADMISSION_E_INVALID_UTF8. The
 * library copies what it needs before it returns. It owns what it hands out: a returned `const char *`
 * is never freed by the caller.
 *
 * A function that fills a buffer takes `buffer`, its `size` in bytes and `needed`. Text and NUL are
 * written when they fit. Otherwise the status is ADMISSION_E_BUFFER_TOO_SMALL, and a buffer that has
 * room for it holds the empty text. `needed` (it may be NULL) receives the bytes that the text takes
 * with its NUL, either way. `buffer` may be NULL where `size` is 0.
 *
 *
 * Time
 * ----
 *
 * A name ending in `_ns` counts nanoseconds, one ending in `_unix_ns` nanoseconds since 1970-01-01
 * 00:00:00 UTC without leap seconds. Steady time (`decided_at_ns`) never goes back, and is not moved
 * by steps of the wall clock. Its zero is the store's own: that of a `file:` is shared by all processes
 * and goes on after a reboot. Buckets, rolling windows and leases run on steady time, calendar windows
 * on wall time.
 *
 *
 * Structs and versions
 * --------------------
 *
 * Start every struct with its INIT macro. `struct_size` is the size that the caller was compiled
 * with. Structs grow only at the end; the library reads and writes the fields that both sides know,
 * takes the INIT macro's value for the others, and returns ADMISSION_E_INVALID_STRUCT_SIZE for a size
 * below that of version 1 (ADMISSION_..._SIZE_1) or above 4096. Fields named `reserved` must be 0.
 * In an array of structs the first element's `struct_size`, a multiple of 8, is the distance from
 * each element to the next, and the elements after it carry the same size. Only
 * `admission_attribute` has no `struct_size` and never grows. The layouts hold where pointers have 64
 * bits; nothing else is supported.
 *
 * Status and reason numbers are never reused or given another meaning. Treat one that you do not
 * know as a failure (status) or as a refusal like any other (reason).
 *
 *
 * Statuses
 * --------
 *
 * Each function returns ADMISSION_OK or why it did nothing. A rejection is no failure: the status is
 * ADMISSION_OK and the decision says ADMISSION_REJECTED. `admission_last_error` has the text with the
 * numbers. Unless a function says otherwise, a status other than ADMISSION_OK means that nothing was
 * charged, settled or opened.
 *
 * Each function lists the numbers that it may return. Any may return ADMISSION_E_INTERNAL, which no
 * list repeats. What a gate meets when it looks its keys up, at its opening and again at its first call
 * after a reload or after its keys were reclaimed, are *a gate's statuses*: 202, 300, 306, 501, 502,
 * 601, 604, 605, 606, 610, 611.
 */
#ifndef ADMISSION_H
#define ADMISSION_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version --------------------------------------------------------------------------------- */

#define ADMISSION_VERSION_MAJOR 0
#define ADMISSION_VERSION_MINOR 1
#define ADMISSION_VERSION_PATCH 0
#define ADMISSION_VERSION_STRING "0.1.0"

/* The N of libadmission.so.N: libraries with the same N can replace each other. */
#define ADMISSION_ABI_VERSION 0

/* The version of the library that is loaded, as "major.minor.patch". Static text. Since 0.1. */
const char *admission_version(void);

/* The ADMISSION_ABI_VERSION of the library that is loaded. A binding compares it with the one that it
 * was written for before it calls anything else. Since 0.1. */
uint32_t admission_abi_version(void);

/* ---- Statuses and other numbers -------------------------------------------------------------- */

/* One of the numbers below. */
typedef int32_t admission_status;

/* Done. For a decision: it was made, and `outcome` says which. */
#define ADMISSION_OK 0

/* The call itself: 100 to 199. */
#define ADMISSION_E_INVALID_ARGUMENT 100    /* NULL, a reserved field or number out of range */
#define ADMISSION_E_INVALID_STRUCT_SIZE 101 /* struct_size below version 1 */
#define ADMISSION_E_INVALID_UTF8 102        /* text is not UTF-8 */
#define ADMISSION_E_INVALID_HANDLE 103      /* closed, of another kind, or never one; no permit */
#define ADMISSION_E_CLOSED 104              /* the limiter was closed and takes no new work */
#define ADMISSION_E_BUFFER_TOO_SMALL 105    /* `needed` says how much it takes */
#define ADMISSION_E_NOT_SUPPORTED 106       /* this version cannot do it yet */
#define ADMISSION_E_INVALID_TIMEOUT 107     /* below 0 */

/* Policy documents: 200 to 299. */
#define ADMISSION_E_INVALID_POLICY 200    /* the text names the path, the value and what is accepted */
#define ADMISSION_E_POLICY_UNREADABLE 201 /* the file could not be read */
#define ADMISSION_E_ZONE_UNAVAILABLE 202  /* no such time zone in the system's database */

/* Attributes, costs and usage: 300 to 399. */
#define ADMISSION_E_MISSING_ATTRIBUTE 300        /* a policy's `per` names one that the gate lacks */
#define ADMISSION_E_DUPLICATE_ATTRIBUTE 301      /* the same name twice in one gate */
#define ADMISSION_E_INVALID_ATTRIBUTE 302        /* empty name, too long, or too many */
#define ADMISSION_E_NEGATIVE_COST 303            /* an amount of a cost below 0 */
#define ADMISSION_E_NEGATIVE_USAGE 304           /* an amount of a usage below -1 */
#define ADMISSION_E_CONCURRENCY_NEEDS_PERMIT 305 /* try_charge on a gate with a concurrency limit */
#define ADMISSION_E_TOO_MANY_LIMITS 306          /* more than ADMISSION_MAX_LIMITS apply to a gate */
#define ADMISSION_E_INVALID_COUNT 307            /* a named extra count that cannot stand there */

/* Permits: 400 to 499. */
#define ADMISSION_E_ALREADY_COMPLETED 400 /* the permit has ended before */
#define ADMISSION_E_NOT_OWNER 401         /* another process acquired the permit */
#define ADMISSION_E_LEASE_EXPIRED 402     /* usage was settled; the slot had been given up before */

/* Bounds: 500 to 599. */
#define ADMISSION_E_PERMIT_TABLE_FULL 500 /* options.permit_capacity permits are open */
#define ADMISSION_E_KEY_TABLE_FULL 501    /* options.key_capacity keys are in use, none idle */
#define ADMISSION_E_OUT_OF_MEMORY 502
#define ADMISSION_E_HANDLE_TABLE_FULL 503 /* ADMISSION_MAX_HANDLES are open */

/* Stores: 600 to 699. */
#define ADMISSION_E_UNSUPPORTED_STORE 600 /* this build has no store for that URL */
#define ADMISSION_E_STORE_UNAVAILABLE 601 /* the store could not be opened, made or reached */
#define ADMISSION_E_STORE_FOREIGN 602     /* the file is not a store of this library */
#define ADMISSION_E_STORE_VERSION 603     /* the store has a layout that this version does not know */
#define ADMISSION_E_STORE_CORRUPTED 604   /* truncated, or holding what no version writes */
#define ADMISSION_E_STORE_FULL 605        /* no room on the file system for more of the store */
#define ADMISSION_E_STORE_NOT_PERMITTED 606  /* this user may not read and write the store */
#define ADMISSION_E_NETWORK_FILE_SYSTEM 607  /* other hosts may write there: use a local one */
#define ADMISSION_E_OTHER_TIME_NAMESPACE 608 /* made in another time namespace of the kernel */
#define ADMISSION_E_CLOCK_MISMATCH 609       /* made for a manual clock, opened on the system's, or reverse */
#define ADMISSION_E_STORE_REPLACED 610       /* the file was deleted or replaced: open the limiter anew */
#define ADMISSION_E_OWNER_TABLE_FULL 611     /* 4,095 processes use the store */
#define ADMISSION_E_STORE_IN_USE 612         /* live processes use the store: a reset must be forced;
                                                of the command and of Swift, no function here returns it */

/* Clocks: 700 to 799. */
#define ADMISSION_E_NOT_MANUAL_CLOCK 700 /* advance or set_time on the system clock */
#define ADMISSION_E_CLOCK_BACKWARDS 701  /* advance by less than 0 */

/* A fault in the library: 900 to 999. */
#define ADMISSION_E_INTERNAL 900

/* admission_decision.outcome. 0: no decision was made. */
#define ADMISSION_ADMITTED 1
#define ADMISSION_REJECTED 2

/* admission_decision.reason. */
#define ADMISSION_REASON_NONE 0           /* admitted */
#define ADMISSION_REASON_EXCEEDS_LIMIT 1  /* never: the cost is above the limit itself */
#define ADMISSION_REASON_CONCURRENCY 2    /* every slot is taken; when one comes back is unknown */
#define ADMISSION_REASON_EXHAUSTED 3      /* the bucket or window has not enough left */
#define ADMISSION_REASON_DEBT 4           /* settled usage is above the limit */
#define ADMISSION_REASON_BOUNDARY_GUARD 5 /* too soon after a calendar boundary */
#define ADMISSION_REASON_STORE_UNAVAILABLE 6 /* no answer from the store, and on_outage is reject */

/* admission_decision.store_mode: how the decision was made. */
#define ADMISSION_STORE_MEMORY 1 /* in this process' shared mapping */
#define ADMISSION_STORE_FILE 2   /* in a file that the processes of the host share */
#define ADMISSION_STORE_REDIS 3  /* in a Redis or Valkey server */
#define ADMISSION_STORE_OUTAGE 4 /* without the store, which gave no answer: as on_outage says */
#define ADMISSION_STORE_SLICE 5  /* by a part of the limits that this process took in advance */

/* admission_options.clock. */
#define ADMISSION_CLOCK_SYSTEM 0
#define ADMISSION_CLOCK_MANUAL 1 /* stands still until admission_limiter_advance moves it */

/* admission_options.heartbeat. */
#define ADMISSION_HEARTBEAT_AUTOMATIC 0 /* a thread of the library renews leases */
#define ADMISSION_HEARTBEAT_MANUAL 1    /* the caller renews each permit itself */

/* Bounds; beyond them the status in brackets. */
#define ADMISSION_MAX_HANDLES 16777216             /* handles open in a process at once (503) */
#define ADMISSION_MAX_ATTRIBUTES 64                /* attributes of a gate (302) */
#define ADMISSION_MAX_ATTRIBUTE_BYTES 4096         /* bytes of a name or of a value (302) */
#define ADMISSION_MAX_LIMITS 256                   /* limits that apply to a gate (306) */
#define ADMISSION_MAX_EXTRA_COUNTS 32              /* named extra counts of a cost or usage (307) */
#define ADMISSION_MAX_COUNT_NAME_BYTES 255         /* bytes of a count's name (307) */
#define ADMISSION_MAX_COUNT_NAMES 4096             /* different count names in a process' life (307) */
#define ADMISSION_MAX_POLICY_BYTES 16777216        /* bytes of a policy document (200) */
#define ADMISSION_MAX_PERMIT_CAPACITY 4194304      /* options.permit_capacity (100) */
#define ADMISSION_MAX_KEY_CAPACITY 67108864        /* options.key_capacity (100) */

/* The status' name in lower case, as in "invalid_handle" for ADMISSION_E_INVALID_HANDLE; "ok" for
 * ADMISSION_OK; "unknown" for a number that this library does not know. Static text. Since 0.1. */
const char *admission_status_name(admission_status status);

/* The reason's name, as in "exhausted"; "none" for 0; "unknown" for a number that this library does
 * not know. Static text. Since 0.1. */
const char *admission_reason_name(int32_t reason);

/* Copies the text of the calling thread's last status other than ADMISSION_OK into `buffer`, cut at a
 * character so that it fits with its NUL, and returns its full length in bytes without the NUL.
 * `buffer` may be NULL where `size` is 0. A thread that never failed has the empty text. The text
 * stays until the thread's next failure: look at it only after one. It is for people; programs look
 * at the status. Since 0.1. */
size_t admission_last_error(char *buffer, size_t size);

/* ---- Types ----------------------------------------------------------------------------------- */

/* A set of policies on a store, with its clock. */
typedef struct admission_limiter admission_limiter;

/* The prepared form of one attribute set: what is acquired from. */
typedef struct admission_gate admission_gate;

/* A queue of finished waits. */
typedef struct admission_completions admission_completions;

/* How to open a limiter. The store's URL is one of
 *   memory:                      this process, and children forked after it was opened
 *   file:/var/lib/app/quota      every process of the host that opens the file (also file:///…, or a
 *                                path relative to the working directory; percent-decoded)
 *   file:/…?group=NAME           the same; a new file is the group's too (mode 0660, else 0600)
 * A file is made where there is none. Its own key capacity and clock count where it exists. */
typedef struct admission_options {
    uint32_t struct_size;
    int32_t clock;           /* ADMISSION_CLOCK_... */
    const char *policy_json; /* the document itself; either this or policy_path is set */
    const char *policy_path; /* a regular file with it; an edit is put in force within a second */
    const char *store_url;   /* NULL: the environment's ADMISSION_STORE, then "memory:" */
    int64_t start_unix_ns;   /* manual clock: wall time at the start, 0 or more; else 0 */
    int64_t permit_capacity; /* permits open at once; 0: 65,536; untouched ones cost nothing */
    int64_t key_capacity;    /* limit keys at once; 0: 1,048,576; untouched ones cost nothing */
    int32_t heartbeat;       /* ADMISSION_HEARTBEAT_... */
    uint32_t reserved;
} admission_options;

#define ADMISSION_OPTIONS_INIT                                                                     \
    {sizeof(admission_options), ADMISSION_CLOCK_SYSTEM, NULL, NULL, NULL, 0, 0, 0,                 \
     ADMISSION_HEARTBEAT_AUTOMATIC, 0}
#define ADMISSION_OPTIONS_SIZE_1 64

/* One fact about a request: {"model", "gemini-2.5-flash"}. Both are UTF-8; the name is not empty, and
 * an empty value counts as present. */
typedef struct admission_attribute {
    const char *name;
    const char *value;
} admission_attribute;

/* An amount of a count that the structs below have no field for: {"images", 2}. The name is not empty
 * and none of requests, input_tokens, output_tokens, tokens and concurrency. A name that no policy
 * counts is ignored; the library remembers each name that it ever saw, so never take one from user
 * input. */
typedef struct admission_count {
    uint32_t struct_size;
    uint32_t reserved;
    const char *name;
    int64_t value;
} admission_count;

#define ADMISSION_COUNT_INIT {sizeof(admission_count), 0, NULL, 0}
#define ADMISSION_COUNT_SIZE_1 24

/* What a request is expected to use. Each amount is 0 or more. */
typedef struct admission_cost {
    uint32_t struct_size;
    uint32_t extra_count; /* elements at `extra`, up to ADMISSION_MAX_EXTRA_COUNTS */
    int64_t requests;     /* INIT: 1 */
    int64_t input_tokens;
    int64_t output_tokens;
    const char *priority;         /* its name, or NULL; without effect before waiting exists */
    const admission_count *extra; /* not NULL where extra_count is above 0 */
} admission_cost;

#define ADMISSION_COST_INIT {sizeof(admission_cost), 0, 1, 0, 0, NULL, NULL}
#define ADMISSION_COST_SIZE_1 48

/* What a request really used. Each amount is 0 or more, or -1: as charged. An extra count that is
 * left out is as charged. */
typedef struct admission_usage {
    uint32_t struct_size;
    int32_t exact;                /* 1: the whole usage. 0: a lower bound: nothing is given back */
    int64_t requests;             /* INIT: -1 */
    int64_t input_tokens;         /* INIT: -1 */
    int64_t output_tokens;        /* INIT: -1 */
    const admission_count *extra; /* not NULL where extra_count is above 0 */
    uint32_t extra_count;         /* elements at `extra`, up to ADMISSION_MAX_EXTRA_COUNTS */
    uint32_t reserved;
} admission_usage;

#define ADMISSION_USAGE_INIT {sizeof(admission_usage), 1, -1, -1, -1, NULL, 0, 0}
#define ADMISSION_USAGE_SIZE_1 48

/* What was decided, and which limit it speaks of: when admitted, the one with the smallest remaining
 * share; when rejected, the one that bound. Where no limit applies the names are NULL and the numbers
 * 0. When a function does not return ADMISSION_OK and `struct_size` is right, `outcome`, `reason` and
 * `permit` are 0 and the other fields say nothing. Of what is in it before a call only `struct_size`
 * is read, so that one struct serves any number of decisions without being cleared for each. */
typedef struct admission_decision {
    uint32_t struct_size;
    int32_t outcome;                 /* ADMISSION_ADMITTED or ADMISSION_REJECTED */
    int32_t reason;                  /* ADMISSION_REASON_... */
    int32_t store_mode;              /* ADMISSION_STORE_... */
    uint64_t permit;                 /* admitted by an acquire: not 0, to be ended once; else 0 */
    int64_t retry_after_ns;          /* 0 admitted, -1 never, -2 unknown, else from decided_at_ns on */
    int64_t predicted_start_unix_ns; /* decided_at_unix_ns when admitted, -1 never, -2 unknown */
    int64_t decided_at_ns;           /* steady */
    int64_t decided_at_unix_ns;      /* the same instant on the wall clock */
    int64_t limit;                   /* the most that one request could be admitted with */
    int64_t asked;                   /* what this cost asks of that limit */
    int64_t remaining;               /* left after the decision, rounded down, never below 0 */
    const char *policy_name;         /* valid until the limiter is gone */
    const char *limit_name;          /* likewise */
} admission_decision;

#define ADMISSION_DECISION_INIT                                                                    \
    {sizeof(admission_decision), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL}
#define ADMISSION_DECISION_SIZE_1 96

/* The end of one wait. */
typedef struct admission_completion {
    uint32_t struct_size;
    admission_status status; /* what admission_acquire would have returned */
    uint64_t user_data;      /* as submitted */
    uint64_t waiter;         /* as returned by the submission */
    admission_decision decision;
} admission_completion;

#define ADMISSION_COMPLETION_INIT                                                                  \
    {sizeof(admission_completion), ADMISSION_OK, 0, 0, ADMISSION_DECISION_INIT}
#define ADMISSION_COMPLETION_SIZE_1 120

/* ---- Limiters -------------------------------------------------------------------------------- */

/* Opens a limiter. Loads the policy and maps the counters; for `memory:` the counters live until the
 * limiter is gone in this process and in every child forked meanwhile; those of `file:` stay.
 *   options  not NULL; exactly one of policy_json and policy_path set
 *   limiter  receives the handle, NULL on failure; the caller closes it
 * Statuses: 100, 101, 102, 200, 201, 202, 501, 502, 503, 600 to 609, 611. Allocates; reads files.
 * Since 0.1. */
admission_status admission_limiter_open(const admission_options *options,
                                        admission_limiter **limiter);

/* Closes a limiter; NULL does nothing. Never waits. With open permits or gates it lives on, closed,
 * until the last has ended (see "Handles and lifetimes"); closing it again meanwhile is
 * ADMISSION_E_CLOSED. Statuses: 103, 104. Since 0.1. */
admission_status admission_limiter_close(admission_limiter *limiter);

/* Replaces the policies. Counters of limits whose policy, name, key and kind are unchanged keep what
 * was used; open permits settle into the limits that still exist; gates resolve anew at their next
 * call. A document that is refused changes nothing and leaves an event.
 *   policy_json  the whole document, not NULL
 * Statuses: 100, 102, 103, 104, 200, 202, 501, 601, 604, 605, 606, 610. Allocates; concurrent reloads
 * take turns. Since 0.1. */
admission_status admission_limiter_reload(admission_limiter *limiter, const char *policy_json);

/* Manual clock: moves steady and wall time forward by `ns`, 0 or more, and renews the leases of open
 * permits first, unless the heartbeat is manual. Steady time ends at 2^62 ns (100).
 * Statuses: 100, 103, 104, 610, 700, 701. Since 0.1. */
admission_status admission_limiter_advance(admission_limiter *limiter, int64_t ns);

/* Manual clock: sets the wall time alone, 0 or more, forward or back; steady time stays.
 * Statuses: 100, 103, 104, 610, 700. Since 0.1. */
admission_status admission_limiter_set_time(admission_limiter *limiter, int64_t unix_ns);

/* Writes what the limiter holds at the moment as one JSON object: version, store, clock and why this
 * clock source, keys, open permits and gates, and counters of rejections and races. Fields may be
 * added. Buffer as in "Text". Statuses: 100, 103, 104, 105. Allocates; not for every request. Since
 * 0.1. */
admission_status admission_limiter_snapshot(admission_limiter *limiter, char *buffer, size_t size,
                                            size_t *needed);

/* The same figures as Prometheus text, version 0.0.4. Buffer as in "Text".
 * Statuses: 100, 103, 104, 105. Allocates. Since 0.1. */
admission_status admission_limiter_metrics(admission_limiter *limiter, char *buffer, size_t size,
                                           size_t *needed);

/* Gives back the space of keys that are indistinguishable from ones never used.
 *   reclaimed  receives how many keys went; may be NULL
 * Statuses: 100, 103, 104. O(keys); decisions go on meanwhile. Since 0.1. */
admission_status admission_limiter_reclaim(admission_limiter *limiter, size_t *reclaimed);

/* Writes the events after *cursor, oldest first, as a JSON array ("[]" when there is none): what an
 * operator should know. Each has a "sequence", counted from 1; the ring is bounded, so a gap in the
 * sequence means that older ones were overwritten. Each has a "kind", a "unix_ns", a "pid" (another
 * process' where the store is shared) and a "text". The kinds, to which later versions add:
 *   loaded                a document was put in force
 *   loaded_elsewhere      by another process: its limits count here too
 *   reload_refused        admission_limiter_reload was refused; the document in force stays
 *   policy_broken         the file at policy_path cannot be read, or its document was refused; the one
 *                         in force stays. Told again when the reason is another
 *   policy_mended         after policy_broken: the file's document is in force
 *   owner_died            a process is gone, and the leases that it held came back
 *   damaged_window        a stored calendar window lay ahead of time; it counts as full
 *   heartbeat_failed      the system refuses the thread that renews leases, which run out therefore; it
 *                         is tried again with each lease and once a second
 *   store_lost            the server behind the store gives no answer: decisions follow on_outage
 *   store_back            it answers again
 *   state_lost            the server has lost counters: what follows is on_loss
 *   store_unsafe          the server is set up so that it may lose counters
 *   store_replaced        the store's file was deleted or replaced: see ADMISSION_E_STORE_REPLACED
 *   file_system_unproven  the store lies on a file system that nobody has tried
 *   closed                the limiter was closed
 *   cursor  the sequence seen last, 0 at first; moved to the last one written when all of it fits,
 *           and left alone otherwise
 * More events can come between asking for the size and reading: ask again on
 * ADMISSION_E_BUFFER_TOO_SMALL. Buffer as in "Text".
 * Statuses: 100, 103, 104, 105. Allocates. Since 0.1. */
admission_status admission_limiter_events_read(admission_limiter *limiter, uint64_t *cursor,
                                               char *buffer, size_t size, size_t *needed);

/* ---- Gates ----------------------------------------------------------------------------------- */

/* Opens a gate: finds the policies that match and the keys they name.
 *   attributes  `count` elements, in any order; may be NULL where `count` is 0
 *   gate        receives the handle, NULL on failure; the caller closes it
 * Statuses: 100, 102, 103, 104, 301, 302, 503, and a gate's. Allocates. Since 0.1. */
admission_status admission_gate_open(admission_limiter *limiter,
                                     const admission_attribute *attributes, size_t count,
                                     admission_gate **gate);

/* Closes a gate; NULL does nothing. Counters and permits are not touched. Statuses: 103. Since 0.1. */
admission_status admission_gate_close(admission_gate *gate);

/* Writes as JSON what each limit of the gate holds and would answer to this cost, charging nothing:
 * policy, limit, kind, key, capacity, used, remaining, when it is full again, the next reset, and
 * which would bind; and which limits nothing ever met.
 *   cost  NULL: ADMISSION_COST_INIT
 * Buffer as in "Text". Statuses: 100, 101, 102, 103, 104, 105, 303, 307, and a gate's. Allocates.
 * Since 0.1. */
admission_status admission_gate_explain(admission_gate *gate, const admission_cost *cost,
                                        char *buffer, size_t size, size_t *needed);

/* ---- Decisions ------------------------------------------------------------------------------- */

/* Decides now. Admitted: everything is charged and `permit` has to be ended. Rejected: nothing is.
 *   cost      NULL: ADMISSION_COST_INIT
 *   decision  not NULL, its struct_size set
 * Statuses: 100, 101, 102, 103, 104, 303, 307, 500, and a gate's. No allocation, no lock, no system
 * call, but in five cases: a thread's first call notes the thread, a count name's first use keeps the
 * name, a gate's first call after a reload or a reclaimed key resolves it anew, a claim that finds no
 * slot looks, at most ten times a second, whether a process died that held some, and one call a second
 * looks after the clock. Since 0.1. */
admission_status admission_try_acquire(admission_gate *gate, const admission_cost *cost,
                                       admission_decision *decision);

/* Decides now and forgets: as admission_try_acquire, without a permit; for pure pacing. A gate with a
 * concurrency limit is 305, since nobody would give the slot back.
 * Statuses: those of admission_try_acquire but 500, and 305. Since 0.1. */
admission_status admission_try_charge(admission_gate *gate, const admission_cost *cost,
                                      admission_decision *decision);

/* Decides, waiting up to `timeout_ns` for its turn. 0 is admission_try_acquire; below 0 is 107. This
 * version cannot wait: where the request would have to, the status is 106 and nothing is charged.
 * A request that is admitted at once or never will be is answered with any timeout.
 * Statuses: those of admission_try_acquire, 106, 107. Since 0.1. */
admission_status admission_acquire(admission_gate *gate, const admission_cost *cost,
                                   int64_t timeout_ns, admission_decision *decision);

/* ---- Completion queues ----------------------------------------------------------------------- */

/* Opens a queue through which waits on this limiter are finished, one for each event loop.
 *   capacity     waits that may be under way at once, 1 or more
 *   completions  receives the handle, NULL on failure; the caller closes it
 * This version: always 106. Since 0.1. */
admission_status admission_completions_open(admission_limiter *limiter, uint32_t capacity,
                                            admission_completions **completions);

/* Closes a queue; NULL does nothing. This version: 103 for everything else. Since 0.1. */
admission_status admission_completions_close(admission_completions *completions);

/* The descriptor to poll for reading; the queue owns it.
 *   descriptor  receives it, -1 on failure
 * This version: always 106. Since 0.1. */
admission_status admission_completions_fd(admission_completions *completions, int *descriptor);

/* Takes up to `max` finished waits, never waiting for one.
 *   array  `max` elements, the first one's struct_size set
 *   count  receives how many were taken
 * This version: always 106. Since 0.1. */
admission_status admission_completions_read(admission_completions *completions,
                                            admission_completion *array, size_t max, size_t *count);

/* Begins to wait; exactly one completion follows.
 *   user_data  comes back in the completion
 *   waiter     receives the number to cancel it by
 * This version: always 106. Since 0.1. */
admission_status admission_acquire_submit(admission_gate *gate, const admission_cost *cost,
                                          int64_t timeout_ns, admission_completions *completions,
                                          uint64_t user_data, uint64_t *waiter);

/* Ends a wait; its completion says whether a grant came first. This version: always 106. Since 0.1. */
admission_status admission_acquire_cancel(admission_completions *completions, uint64_t waiter);

/* ---- Permits --------------------------------------------------------------------------------- */

/* Each of these takes the limiter that the permit came from (a closed one too) and ends the permit
 * once, except `add` and `renew`, which leave it open. Statuses of all: 100, 103, 400, 401, 402. After
 * 402 the usage is settled and the permit has ended as asked; only the slot, given up when its lease ran
 * out, was no longer there to be freed. None of them allocates or takes a lock, but for what
 * admission_try_acquire says of threads and count names. */

/* The call was made and this is what it used in all, what was added included. Less than charged is
 * given back, more is charged now, beyond the limit if need be.
 *   usage  NULL: as charged
 * Statuses: 101, 102, 304, 307, 502 as well. Since 0.1. */
admission_status admission_permit_complete(admission_limiter *limiter, uint64_t permit,
                                           const admission_usage *usage);

/* Charges an increment as a stream goes; the permit stays open. An amount of -1 adds nothing.
 *   usage  not NULL
 * Statuses: 101, 102, 304, 307, 502 as well. Since 0.1. */
admission_status admission_permit_add(admission_limiter *limiter, uint64_t permit,
                                      const admission_usage *usage);

/* The call was never sent: everything is given back. Since 0.1. */
admission_status admission_permit_abandon(admission_limiter *limiter, uint64_t permit);

/* What became of the call is not known: charges stay, the concurrency slot is freed. Since 0.1. */
admission_status admission_permit_drop(admission_limiter *limiter, uint64_t permit);

/* Renews the permit's lease; for a manual heartbeat, at least every third of the lease. Since 0.1. */
admission_status admission_permit_renew(admission_limiter *limiter, uint64_t permit);

#ifdef __cplusplus
}
#endif

#endif
