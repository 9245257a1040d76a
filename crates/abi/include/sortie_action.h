/* The boundary between the sortie host and an action library, for actions written in C.
 *
 * Read the documentation of the Rust crate beside this file for the rules; in short:
 *   - export one function, sortie_action_v1, that returns a static table;
 *   - everything is JSON text (UTF-8) or raw bytes in a sortie_slice;
 *   - what you pass is read or copied before the call returns; what you receive stays the host's;
 *   - free nothing, keep nothing beyond its stated life, let no exception or longjmp cross.
 * The layout is frozen: fields are only ever added at the end of a table, and struct_size tells how far it
 * reaches. */
#ifndef SORTIE_ACTION_H
#define SORTIE_ACTION_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SORTIE_MAGIC UINT64_C(0x4341454954524f53) /* "SORTIEAC" as a little-endian number */
#define SORTIE_ABI_MAJOR UINT32_C(1)
#define SORTIE_ABI_MINOR UINT32_C(0)

/* What every function answers. */
typedef int32_t sortie_status;
#define SORTIE_OK 0
#define SORTIE_CANCELLED 1 /* the run was cancelled or its deadline passed: return soon */
#define SORTIE_FAILED 2    /* invoke: the reply is an error; a service: the arguments were not usable */
#define SORTIE_REFUSED 3   /* a cap is reached */
#define SORTIE_END 4       /* exchange_read: nothing is left */

/* Log levels. */
#define SORTIE_ERROR 1
#define SORTIE_WARN 2
#define SORTIE_INFO 3
#define SORTIE_DEBUG 4
#define SORTIE_TRACE 5

typedef struct sortie_slice {
    const uint8_t *pointer; /* may be null when length is 0 */
    size_t length;
} sortie_slice;

typedef uint64_t sortie_exchange; /* an open answer, until exchange_release */

typedef struct sortie_request {
    sortie_slice head; /* JSON: {"call":...,"path":{...},"query":[[name,value]],"headers":{...}} */
    sortie_slice body; /* JSON, or empty */
} sortie_request;

typedef struct sortie_host_v1 {
    uint32_t abi_major;
    uint32_t abi_minor;
    size_t struct_size;
    void *context; /* the first argument of every service */
    sortie_status (*invocation)(void *context, sortie_slice *out);
    sortie_status (*request)(void *context, sortie_slice head, sortie_slice body, sortie_exchange *out);
    sortie_status (*request_many)(void *context, const sortie_request *requests, size_t count, sortie_exchange *out);
    sortie_status (*exchange_head)(void *context, sortie_exchange exchange, sortie_slice *out);
    sortie_status (*exchange_read)(void *context, sortie_exchange exchange, sortie_slice *out);
    sortie_status (*exchange_release)(void *context, sortie_exchange exchange);
    sortie_status (*emit)(void *context, sortie_slice record);
    sortie_status (*reply)(void *context, sortie_slice chunk);
    sortie_status (*log)(void *context, uint32_t level, sortie_slice message, sortie_slice fields);
    sortie_status (*progress)(void *context, sortie_slice message);
    sortie_status (*sleep)(void *context, uint64_t milliseconds);
    sortie_status (*cancelled)(void *context);
    sortie_status (*now)(void *context, int64_t *out); /* milliseconds since 1970-01-01T00:00:00Z */
} sortie_host_v1;

typedef struct sortie_action_table_v1 {
    uint64_t magic; /* SORTIE_MAGIC */
    uint32_t abi_major;
    uint32_t abi_minor;
    size_t struct_size; /* sizeof(sortie_action_table_v1) */
    sortie_status (*describe)(const sortie_host_v1 *host);
    sortie_status (*invoke)(const sortie_host_v1 *host, sortie_slice input);
} sortie_action_table_v1;

/* The one symbol that a library exports. */
const sortie_action_table_v1 *sortie_action_v1(void);

#ifdef __cplusplus
}
#endif

#endif
