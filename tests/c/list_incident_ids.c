/* An action written in C from the header alone: lists incidents with one request, emits the id of each raw record
 * it finds, and replies with how many bytes it read. It shows that the boundary needs nothing of Rust. */
#include "sortie_action.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define OFFSET(table, field, wanted) _Static_assert(offsetof(table, field) == (wanted), #field " has moved")
OFFSET(sortie_action_table_v1, struct_size, 16);
OFFSET(sortie_action_table_v1, describe, 24);
OFFSET(sortie_action_table_v1, invoke, 32);
OFFSET(sortie_host_v1, struct_size, 8);
OFFSET(sortie_host_v1, context, 16);
OFFSET(sortie_host_v1, invocation, 24);
OFFSET(sortie_host_v1, request, 32);
OFFSET(sortie_host_v1, request_many, 40);
OFFSET(sortie_host_v1, exchange_head, 48);
OFFSET(sortie_host_v1, exchange_read, 56);
OFFSET(sortie_host_v1, exchange_release, 64);
OFFSET(sortie_host_v1, emit, 72);
OFFSET(sortie_host_v1, reply, 80);
OFFSET(sortie_host_v1, log, 88);
OFFSET(sortie_host_v1, progress, 96);
OFFSET(sortie_host_v1, sleep, 104);
OFFSET(sortie_host_v1, cancelled, 112);
OFFSET(sortie_host_v1, now, 120);
_Static_assert(sizeof(sortie_host_v1) == 128, "the table has another size");
_Static_assert(sizeof(sortie_slice) == 16, "the slice has another size");

static const char MANIFEST[] =
    "{\"manifest\":1,\"name\":\"list-incident-ids\",\"version\":\"1.0.0\",\"title\":\"List incident ids\","
    "\"description\":\"Lists the ids of the newest incidents.\",\"kind\":\"Enrichment\",\"effect\":\"read\","
    "\"idempotent\":true,\"surfaces\":[],\"streams\":true,\"columns\":[{\"title\":\"Id\",\"path\":\"/id\"}],"
    "\"calls\":[{\"id\":\"graph.incidents.list\",\"api\":\"graph\",\"method\":\"GET\",\"path\":\"/security/incidents\","
    "\"effect\":\"read\",\"role\":\"base\",\"permissions\":[\"SecurityIncident.Read.All\"],\"limit\":\"graph-security\"}],"
    "\"examples\":[],\"input\":{\"type\":\"object\",\"additionalProperties\":false},\"output\":{\"type\":\"object\"},"
    "\"built\":{\"language\":\"C\"}}";

static sortie_slice text(const char *characters) {
    sortie_slice slice = {(const uint8_t *)characters, strlen(characters)};
    return slice;
}

static sortie_status describe(const sortie_host_v1 *host) {
    return host->reply(host->context, text(MANIFEST));
}

static sortie_status fail(const sortie_host_v1 *host, const char *message) {
    char error[256];
    snprintf(error, sizeof error, "{\"kind\":\"failed\",\"message\":\"%s\",\"retryable\":false}", message);
    host->reply(host->context, text(error));
    return SORTIE_FAILED;
}

/* Emits the value of every "id" that stands directly in an incident. */
static sortie_status emit_ids(const sortie_host_v1 *host, sortie_slice page) {
    static const char KEY[] = "\"id\":\"";
    const char *at = (const char *)page.pointer;
    const char *end = at + page.length;
    int depth = 0;
    for (; at < end; at++) {
        if (*at == '{' || *at == '[') depth++;
        if (*at == '}' || *at == ']') depth--;
        if (*at != '"') continue;
        if (depth == 3 && end - at > (ptrdiff_t)sizeof KEY && memcmp(at, KEY, sizeof KEY - 1) == 0) {
            const char *value = at + sizeof KEY - 1;
            const char *close = memchr(value, '"', (size_t)(end - value));
            char record[128];
            if (close == NULL || close - value > 64) return SORTIE_FAILED;
            snprintf(record, sizeof record, "{\"id\":\"%.*s\"}", (int)(close - value), value);
            sortie_status status = host->emit(host->context, text(record));
            if (status != SORTIE_OK) return status;
        }
        for (at++; at < end && *at != '"'; at++) {
            if (*at == '\\') at++;
        }
    }
    return SORTIE_OK;
}

static sortie_status invoke(const sortie_host_v1 *host, sortie_slice input) {
    (void)input;
    if (host->struct_size < sizeof(sortie_host_v1)) return SORTIE_FAILED;
    sortie_exchange exchange;
    sortie_status status = host->request(
        host->context, text("{\"call\":\"graph.incidents.list\",\"query\":[[\"$top\",\"5\"]]}"), text(""), &exchange);
    if (status != SORTIE_OK) return status;
    sortie_slice head, chunk;
    status = host->exchange_head(host->context, exchange, &head);
    if (status != SORTIE_OK) return status;
    host->log(host->context, SORTIE_DEBUG, text("answered"), head);
    size_t bytes = 0;
    while ((status = host->exchange_read(host->context, exchange, &chunk)) == SORTIE_OK) {
        bytes += chunk.length;
        status = emit_ids(host, chunk);
        if (status != SORTIE_OK) return status == SORTIE_CANCELLED ? status : fail(host, "the page was not understood");
    }
    host->exchange_release(host->context, exchange);
    if (status != SORTIE_END) return status;
    if (bytes == 0) return fail(host, "the answer was empty");
    char reply[64];
    snprintf(reply, sizeof reply, "{\"bytes\":%zu,\"warnings\":[]}", bytes);
    return host->reply(host->context, text(reply));
}

static const sortie_action_table_v1 TABLE = {
    SORTIE_MAGIC, SORTIE_ABI_MAJOR, SORTIE_ABI_MINOR, sizeof TABLE, describe, invoke,
};

const sortie_action_table_v1 *sortie_action_v1(void) {
    return &TABLE;
}
