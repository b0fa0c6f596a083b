/* hiredis' reply parser with bounds of our own, for 0.14 as well as for 1.x, whose types differ.
 *
 * Both versions size an array by what the other side announces; here a reply has a bound on its
 * elements and on its depth, whichever version reads it. Nothing else of hiredis is used: the
 * sockets are ours (RedisConnection.swift says why). */
#ifndef ADMISSION_HIREDIS_SHIM_H
#define ADMISSION_HIREDIS_SHIM_H

#include <stdlib.h>

#if __has_include(<hiredis/hiredis.h>)
#include <hiredis/hiredis.h>
#else
#error "hiredis is missing (Debian: libhiredis-dev); without it, build with the package trait Redis off"
#endif

#if HIREDIS_MAJOR >= 1
typedef size_t admission_reply_count;
#else
typedef int admission_reply_count;
#endif

/* A parser of replies. One thread at a time; what it hands out is freed with freeReplyObject. */
typedef struct admission_reply_parser {
    redisReader *reader;
    redisReplyObjectFunctions functions;
    void *(*create_array)(const redisReadTask *, admission_reply_count);
    size_t elements;
    size_t maximum_elements;
    int maximum_depth;
} admission_reply_parser;

/* Instead of hiredis' own: NULL, which it takes for a lack of memory, where a bound is passed. */
static inline void *admission_reply_array(const redisReadTask *task, admission_reply_count count) {
    admission_reply_parser *parser = (admission_reply_parser *)task->privdata;
    int depth = 0;
    for (const redisReadTask *outer = task; outer != NULL; outer = outer->parent) depth++;
    if (depth > parser->maximum_depth) return NULL;
    if ((size_t)count > parser->maximum_elements - parser->elements) return NULL;
    parser->elements += (size_t)count;
    return parser->create_array(task, count);
}

/* NULL without memory. */
static inline admission_reply_parser *admission_reply_parser_create(
    size_t maximum_elements, int maximum_depth) {
    admission_reply_parser *parser = (admission_reply_parser *)calloc(1, sizeof *parser);
    redisReader *reader = parser == NULL ? NULL : redisReaderCreate();
    if (reader == NULL) {
        free(parser);
        return NULL;
    }
    parser->reader = reader;
    parser->functions = *reader->fn;
    parser->create_array = parser->functions.createArray;
    parser->functions.createArray = admission_reply_array;
    parser->maximum_elements = maximum_elements;
    parser->maximum_depth = maximum_depth;
    reader->fn = &parser->functions;
    reader->privdata = parser;
    return parser;
}

static inline void admission_reply_parser_free(admission_reply_parser *parser) {
    redisReaderFree(parser->reader);
    free(parser);
}

/* The next whole reply of what was fed, in *reply, or NULL there. 0, or -1 when the bytes are none
 * of the protocol's or a bound was passed: the parser is of no use then. */
static inline int admission_reply_parser_next(admission_reply_parser *parser, redisReply **reply) {
    void *found = NULL;
    int status = redisReaderGetReply(parser->reader, &found);
    if (found != NULL) parser->elements = 0;
    *reply = (redisReply *)found;
    return status == REDIS_OK ? 0 : -1;
}

/* What was wrong, as hiredis says it. */
static inline const char *admission_reply_parser_error(const admission_reply_parser *parser) {
    return parser->reader->errstr;
}

static inline int admission_reply_parser_is_out_of_bounds(const admission_reply_parser *parser) {
    return parser->reader->err == REDIS_ERR_OOM;
}

static inline int admission_hiredis_major(void) { return HIREDIS_MAJOR; }
static inline int admission_hiredis_minor(void) { return HIREDIS_MINOR; }

#endif
