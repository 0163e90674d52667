/* SPDX-License-Identifier: Apache-2.0 */
/* dormouse search: asks who is a gateway here (SEARCHGW), and lists those that answer. */
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <event2/event.h>

#include "command.h"
#include "device.h"
#include "human.h"
#include "options.h"
#include "table.h"

#define GATEWAYS_MAX 256
#define FIRST_INTERVAL_MS 1000 /* then twice as long each time (R11: one answer a second) */

struct gateway {
    uint8_t id;
    uint16_t duration_s; /* it advertises so often; 0: not heard */
    char address[DEVICE_SENDER_MAX];
};

struct search {
    const struct options *options;
    struct device device;
    struct event *ask;
    struct event *end;
    uint32_t interval_ms;
    struct gateway gateways[GATEWAYS_MAX];
    size_t count;
    bool overflow;
};

static struct timeval
interval(uint32_t milliseconds)
{
    return (struct timeval){.tv_sec = (time_t)(milliseconds / 1000),
                            .tv_usec = (suseconds_t)(milliseconds % 1000) * 1000};
}

static void
on_ask(evutil_socket_t fd, short what, void *ctx)
{
    struct search *search = ctx;
    struct timeval wait = interval(search->interval_ms);

    (void)fd;
    (void)what;
    device_check(
        &search->device, "SEARCHGW",
        client_search(&search->device.client, device_now_ms(), (uint8_t)search->options->radius));
    evtimer_add(search->ask, &wait);
    if (search->interval_ms < UINT32_MAX / 2)
        search->interval_ms *= 2;
}

static void
on_end(evutil_socket_t fd, short what, void *ctx)
{
    struct search *search = ctx;

    (void)fd;
    (void)what;
    device_stop(&search->device, EXIT_STATUS_OK);
}

/* One that another client tells of is known by the octets of its address, in hex: what they mean is
 * the network's business. */
static void
address_text(const struct search *search, const struct client_event *event, char *text, size_t size)
{
    if (event->data.len == 0) {
        device_link_sender(&search->device.link, text, size);
        return;
    }
    text[0] = '\0';
    for (size_t i = 0; i < event->data.len && 2 * i + 2 < size; i++)
        snprintf(text + 2 * i, size - 2 * i, "%02x", event->data.data[i]);
}

/* NULL: no room. */
static struct gateway *
find_or_add(struct search *search, uint8_t id, const char *address)
{
    for (size_t i = 0; i < search->count; i++)
        if (search->gateways[i].id == id && strcmp(search->gateways[i].address, address) == 0)
            return &search->gateways[i];
    if (search->count == GATEWAYS_MAX)
        return NULL;
    struct gateway *gateway = &search->gateways[search->count++];
    *gateway = (struct gateway){.id = id};
    snprintf(gateway->address, sizeof gateway->address, "%s", address);
    return gateway;
}

static void
on_event(void *ctx, const struct client_event *event)
{
    struct search *search = ctx;
    char address[DEVICE_SENDER_MAX];

    if (event->type != CLIENT_EVENT_GATEWAY)
        return;
    address_text(search, event, address, sizeof address);
    struct gateway *gateway = find_or_add(search, event->gateway_id, address);
    if (gateway == NULL) {
        search->overflow = true;
        return;
    }
    if (event->duration_s != 0)
        gateway->duration_s = event->duration_s;
    if (search->count == search->options->count)
        device_stop(&search->device, EXIT_STATUS_OK);
}

static enum dm_result
print_json(const struct gateway *gateway)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *period =
        gateway->duration_s != 0 ? cJSON_CreateNumber(gateway->duration_s) : cJSON_CreateNull();
    char *text = NULL;

    if (cJSON_AddNumberToObject(object, "gateway_id", gateway->id) != NULL &&
        cJSON_AddStringToObject(object, "address", gateway->address) != NULL &&
        cJSON_AddItemToObject(object, "advertise_s", period)) {
        period = NULL; /* the object's now */
        text = cJSON_PrintUnformatted(object);
    }
    if (text != NULL)
        puts(text);
    cJSON_free(text);
    cJSON_Delete(period);
    cJSON_Delete(object);
    return text != NULL ? DM_OK : DM_NO_MEMORY;
}

static enum dm_result
add_row(struct table *table, const struct gateway *gateway)
{
    char id[8];
    char period[HUMAN_TEXT_MAX] = "-";

    snprintf(id, sizeof id, "%u", gateway->id);
    if (gateway->duration_s != 0)
        human_duration(period, gateway->duration_s * UINT64_C(1000));
    if (table_add(table, id) != DM_OK || table_add(table, gateway->address) != DM_OK)
        return DM_NO_MEMORY;
    return table_add(table, period);
}

static enum dm_result
print_table(const struct search *search)
{
    static const struct table_column columns[] = {
        {"GATEWAY", true}, {"ADDRESS", false}, {"ADVERTISES EVERY", false}};
    struct table table;
    enum dm_result result = DM_OK;

    table_init(&table, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < search->count && result == DM_OK; i++)
        result = add_row(&table, &search->gateways[i]);
    if (result == DM_OK)
        table_print(&table, table_terminal_width(stdout), stdout);
    table_fini(&table);
    return result;
}

/* Returns the exit status. */
static int
print_found(const struct search *search)
{
    enum dm_result result = DM_OK;

    if (search->count == 0) {
        device_report(&search->device, "no gateway answered");
        return EXIT_STATUS_USAGE;
    }
    if (search->overflow)
        device_report(&search->device, "there are more than %d", GATEWAYS_MAX);
    for (size_t i = 0; search->options->json && i < search->count && result == DM_OK; i++)
        result = print_json(&search->gateways[i]);
    if (!search->options->json)
        result = print_table(search);
    if (result == DM_OK && fflush(stdout) == 0)
        return EXIT_STATUS_OK;
    device_report(&search->device, "cannot write to standard output");
    return EXIT_STATUS_USAGE;
}

static int
listen_for_gateways(struct search *search)
{
    struct timeval wait = interval(search->options->search_ms);

    search->ask = evtimer_new(search->device.base, on_ask, search);
    search->end = evtimer_new(search->device.base, on_end, search);
    if (search->ask == NULL || search->end == NULL || evtimer_add(search->end, &wait) != 0)
        return EXIT_STATUS_USAGE;
    if (search->device.link.udp.deaf)
        device_report(&search->device, "port %lu is taken here: only direct answers are heard",
                      (unsigned long)search->options->port);
    on_ask(-1, 0, search);
    return device_run(&search->device);
}

int
search_run(struct command_globals *globals, int argc, char **argv)
{
    struct options options;
    struct search search = {.options = &options, .interval_ms = FIRST_INTERVAL_MS};
    int status = EXIT_STATUS_OK;

    (void)globals;
    if (!options_read(&options, OPTIONS_SEARCH, argc, argv, &status))
        return status;
    status = device_open(&search.device, &options, on_event, &search);
    if (status == EXIT_STATUS_OK)
        status = listen_for_gateways(&search);
    if (status == EXIT_STATUS_OK)
        status = print_found(&search);
    if (search.ask != NULL)
        event_free(search.ask);
    if (search.end != NULL)
        event_free(search.end);
    device_close(&search.device);
    return status;
}
