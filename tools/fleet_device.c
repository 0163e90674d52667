/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a simulated device: connect, subscribe, publish each period. A sleeping one connects
 * to publish, goes to sleep at once, and gets its message back when it wakes.
 */
#include "fleet_device.h"

#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include <dormouse/mqttsn.h>

#include "device_link.h"

#define HEAD_LEN 12       /* run, device and number of a message, 4 octets each */
#define DATAGRAM_MAX 2048 /* octets */
#define RECEIVE_BURST 32  /* datagrams before the others get their turn */
#define HOLD_MS 2000      /* after a refusal or a lost connection */
#define DRAIN_WAKE_MS                                                                              \
    1000 /* between two wakes of a sleeping device that still misses something                     \
          */

uint64_t
fleet_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t
now_ms(void)
{
    return fleet_now_us() / 1000;
}

/* splitmix64 */
uint32_t
fleet_chance(struct fleet_plan *plan, uint32_t below)
{
    uint64_t z = plan->chance += UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return (uint32_t)((z >> 32) * below >> 32);
}

static bool
is_lost(struct fleet_plan *plan)
{
    uint32_t loss = plan->options->loss_percent;

    return loss > 0 && fleet_chance(plan, 100) < loss;
}

static void
write_number(uint8_t *octets, uint32_t number)
{
    for (int i = 0; i < 4; i++)
        octets[i] = (uint8_t)(number >> (24 - 8 * i));
}

static uint32_t
read_number(const uint8_t *octets)
{
    return (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 | (uint32_t)octets[2] << 8 |
           octets[3];
}

/* Nodes are counted from 1. */
static void
send_on_line(struct fleet_device *device, const uint8_t *datagram, size_t len)
{
    uint8_t wrapped[DATAGRAM_MAX];
    const uint8_t node_id[FLEET_NODE_ID_LEN] = {(uint8_t)((device->index + 1) >> 8),
                                                (uint8_t)(device->index + 1)};
    size_t size = 0;

    if (mqttsn_wrap(dm_span(node_id, sizeof node_id), 0, dm_span(datagram, len), wrapped,
                    sizeof wrapped, &size) == DM_OK)
        (void)device_link_send(device->plan->line, wrapped, size);
}

unsigned
fleet_node_index(struct dm_span node_id)
{
    if (node_id.len != FLEET_NODE_ID_LEN || (node_id.data[0] == 0 && node_id.data[1] == 0))
        return UINT_MAX;
    return ((unsigned)node_id.data[0] << 8 | node_id.data[1]) - 1;
}

static void
send_datagram(void *ctx, const uint8_t *datagram, size_t len)
{
    struct fleet_device *device = ctx;

    /* What fails is lost like any other datagram: the client repeats. A full buffer of the socket,
     * or the answer that nobody listens, which an earlier datagram met. */
    if (is_lost(device->plan))
        return;
    if (device->plan->line != NULL)
        send_on_line(device, datagram, len);
    else
        (void)send(device->fd, datagram, len, 0);
}

static void
take_message(struct fleet_device *device, struct dm_span data)
{
    if (data.len < HEAD_LEN || read_number(data.data) != device->plan->run ||
        read_number(data.data + 4) != device->index)
        return;
    fleet_window_returned(&device->window, read_number(data.data + 8), fleet_now_us());
}

static void
request_done(struct fleet_device *device, const struct client_event *event)
{
    struct fleet_tally *tally = &device->plan->tally;
    uint64_t now = fleet_now_us();

    switch (event->request) {
    case MQTTSN_CONNECT:
        tally->connects++;
        if (device->plan->options->clean_session) {
            device->topic_id = 0;
            fleet_window_void(&device->window);
        }
        break;
    case MQTTSN_SUBSCRIBE:
        device->topic_id = event->topic_id;
        break;
    case MQTTSN_PUBLISH:
        fleet_window_acknowledged(&device->window);
        break;
    case MQTTSN_PINGREQ:
        fleet_times_add(&tally->awake, now - device->awake_since_us);
        /* fall through */
    case MQTTSN_DISCONNECT:
        device->wake_ms = now / 1000 + device->plan->options->sleep_s * UINT64_C(800);
        device->finished = client_state(&device->client) == CLIENT_DISCONNECTED;
        break;
    default:
        break;
    }
}

static void
request_refused(struct fleet_device *device, const struct client_event *event)
{
    if (event->request == MQTTSN_PUBLISH) {
        fleet_window_refused(&device->window);
        if (event->return_code == MQTTSN_INVALID_TOPIC_ID)
            device->topic_id = 0;
        return;
    }
    if (event->request == MQTTSN_CONNECT)
        device->plan->tally.connects_refused++;
    device->hold_ms = now_ms() + HOLD_MS;
}

static void
on_event(void *ctx, const struct client_event *event)
{
    struct fleet_device *device = ctx;
    struct fleet_tally *tally = &device->plan->tally;

    switch (event->type) {
    case CLIENT_EVENT_DONE:
        device->busy = false;
        request_done(device, event);
        break;
    case CLIENT_EVENT_REFUSED:
        /* QoS 0 is no open request. */
        if (event->request != MQTTSN_PUBLISH || device->window.qos > 0)
            device->busy = false;
        request_refused(device, event);
        break;
    case CLIENT_EVENT_TIMEOUT:
    case CLIENT_EVENT_DISCONNECTED:
        device->busy = false;
        if (event->type == CLIENT_EVENT_TIMEOUT && event->request == MQTTSN_CONNECT)
            tally->connects_unanswered++;
        else if (device->plan->phase != FLEET_LEAVE)
            tally->disconnected++;
        device->hold_ms = now_ms() + HOLD_MS;
        if (client_state(&device->client) == CLIENT_ASLEEP) /* PINGREQ: ask again soon */
            device->wake_ms = device->hold_ms;
        break;
    case CLIENT_EVENT_MESSAGE:
        take_message(device, event->data);
        break;
    case CLIENT_EVENT_GATEWAY:
        break;
    }
}

static void
publish(struct fleet_device *device, uint64_t now)
{
    const struct options *options = device->plan->options;
    uint8_t message[DATAGRAM_MAX];
    uint64_t sent_us = fleet_now_us();

    memset(message, '.', sizeof message);
    uint32_t number = fleet_window_sent(&device->window, sent_us);
    write_number(message, device->plan->run);
    write_number(message + 4, device->index);
    write_number(message + 8, number);
    enum dm_result result =
        client_publish(&device->client, now, MQTTSN_TOPIC_NORMAL, device->topic_id,
                       (int8_t)device->window.qos, false, dm_span(message, options->size));
    if (result == DM_OK)
        device->busy = device->window.qos > 0;
    device->due_ms += options->period_ms;
    while (device->due_ms <= now) {
        device->due_ms += options->period_ms;
        device->plan->tally.skipped++;
    }
}

static bool
is_due(const struct fleet_device *device, uint64_t now)
{
    return device->plan->phase == FLEET_RUN && now >= device->due_ms;
}

static enum dm_result
step_active(struct fleet_device *device, uint64_t now)
{
    const struct options *options = device->plan->options;

    if (device->plan->phase == FLEET_LEAVE)
        return client_disconnect(&device->client, now);
    if (device->topic_id == 0)
        return client_subscribe(&device->client, now, MQTTSN_TOPIC_NORMAL,
                                dm_span_text(device->topic), 0, (int8_t)device->window.qos);
    if (is_due(device, now)) {
        publish(device, now);
        if (device->busy || options->sleep_s == 0)
            return DM_INVALID;
    }
    if (options->sleep_s > 0)
        return client_sleep(&device->client, now, (uint16_t)options->sleep_s);
    return DM_INVALID;
}

static enum dm_result
step_asleep(struct fleet_device *device, uint64_t now)
{
    if (device->plan->phase == FLEET_LEAVE)
        return client_disconnect(&device->client, now);
    if (is_due(device, now))
        return client_connect(&device->client, now);
    if (now < device->wake_ms)
        return DM_INVALID;
    device->awake_since_us = fleet_now_us();
    return client_wake(&device->client, now);
}

static enum dm_result
step_disconnected(struct fleet_device *device, uint64_t now)
{
    /* What was not connected when the run ended has nothing to say; but it may miss something. */
    if (device->plan->phase == FLEET_LEAVE ||
        (device->plan->phase == FLEET_DRAIN && fleet_window_owed(&device->window) == 0)) {
        device->finished = true;
        return DM_INVALID;
    }
    return client_connect(&device->client, now);
}

/* When a step has something to do although nothing comes. */
static uint64_t
next_step(const struct fleet_device *device)
{
    uint64_t next = UINT64_MAX;

    if (device->busy || device->finished)
        return UINT64_MAX;
    switch (client_state(&device->client)) {
    case CLIENT_DISCONNECTED:
        return device->hold_ms;
    case CLIENT_ACTIVE:
        if (device->topic_id == 0)
            return device->hold_ms;
        next = device->due_ms;
        break;
    case CLIENT_ASLEEP:
        next = device->due_ms < device->wake_ms ? device->due_ms : device->wake_ms;
        if (device->plan->phase != FLEET_RUN)
            next = device->wake_ms;
        break;
    default:
        break;
    }
    if (device->plan->phase != FLEET_RUN && client_state(&device->client) == CLIENT_ACTIVE)
        return UINT64_MAX;
    return next > device->hold_ms ? next : device->hold_ms;
}

static void
arm_timer(struct fleet_device *device)
{
    uint64_t now = now_ms();
    uint64_t next = next_step(device);
    uint64_t deadline = client_next_deadline(&device->client);

    if (deadline < next)
        next = deadline;
    if (device->finished || next == UINT64_MAX) {
        event_del(device->timer);
        return;
    }
    uint64_t wait = next > now ? next - now : 0;
    struct timeval time = {.tv_sec = (time_t)(wait / 1000),
                           .tv_usec = (suseconds_t)(wait % 1000 * 1000)};
    evtimer_add(device->timer, &time);
}

void
fleet_device_step(struct fleet_device *device)
{
    uint64_t now = now_ms();
    enum dm_result result = DM_INVALID;

    /* In the end nobody waits for a hold; a sleeper that misses something wakes for it. */
    if (device->plan->phase == FLEET_DRAIN && fleet_window_missing(&device->window) > 0 &&
        device->wake_ms > now + DRAIN_WAKE_MS)
        device->wake_ms = now + DRAIN_WAKE_MS;
    if (device->plan->phase == FLEET_LEAVE && client_state(&device->client) == CLIENT_CONNECTING)
        device->finished = true; /* nobody answers: there is no session to end */
    bool held = now < device->hold_ms && device->plan->phase != FLEET_LEAVE;

    if (!device->busy && !device->finished && !held) {
        switch (client_state(&device->client)) {
        case CLIENT_DISCONNECTED:
            result = step_disconnected(device, now);
            break;
        case CLIENT_ACTIVE:
            result = step_active(device, now);
            break;
        case CLIENT_ASLEEP:
            result = step_asleep(device, now);
            break;
        default:
            break;
        }
        if (result == DM_OK)
            device->busy = true;
    }
    arm_timer(device);
}

void
fleet_device_receive(struct fleet_device *device, const uint8_t *message, size_t len)
{
    if (!is_lost(device->plan))
        client_datagram(&device->client, now_ms(), message, len);
}

static void
on_input(evutil_socket_t fd, short what, void *ctx)
{
    struct fleet_device *device = ctx;
    uint8_t datagram[DATAGRAM_MAX];

    (void)what;
    for (int i = 0; i < RECEIVE_BURST; i++) {
        ssize_t got = recv(fd, datagram, sizeof datagram, 0);
        if (got < 0)
            break;
        fleet_device_receive(device, datagram, (size_t)got);
    }
    fleet_device_step(device);
}

static void
on_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct fleet_device *device = ctx;

    (void)fd;
    (void)what;
    client_time(&device->client, now_ms());
    fleet_device_step(device);
}

enum dm_result
fleet_device_open(struct fleet_device *device, struct fleet_plan *plan, unsigned index, int fd,
                  uint32_t delay_ms)
{
    const struct options *options = plan->options;
    char client_id[OPTIONS_PREFIX_MAX + 16];
    size_t mix = strlen(options->qos_mix) / 2 + 1;

    *device = (struct fleet_device){.plan = plan, .index = index, .fd = fd};
    device->window.tally = &plan->tally;
    device->window.qos = (unsigned)(options->qos_mix[2 * (index % mix)] - '0');
    device->hold_ms = now_ms() + delay_ms;
    device->due_ms = device->hold_ms + fleet_chance(plan, options->period_ms);
    snprintf(device->topic, sizeof device->topic, "%s/%u", options->prefix, index + 1);
    snprintf(client_id, sizeof client_id, "%s-%u", options->prefix, index + 1);
    enum dm_result result =
        client_init(&device->client, &(struct client_options){
                                         .client_id = dm_span_text(client_id),
                                         .clean_session = options->clean_session,
                                         .keepalive_s = (uint16_t)options->keepalive_s,
                                         .retry_ms = options->retry_ms,
                                         .retry_count = options->retry_count,
                                         .ctx = device,
                                         .send = send_datagram,
                                         .on_event = on_event,
                                     });
    if (fd >= 0)
        device->input = event_new(plan->base, fd, EV_READ | EV_PERSIST, on_input, device);
    device->timer = evtimer_new(plan->base, on_timer, device);
    if (result != DM_OK || (fd >= 0 && device->input == NULL) || device->timer == NULL)
        return DM_NO_MEMORY;
    if (fd >= 0)
        event_add(device->input, NULL);
    arm_timer(device);
    return DM_OK;
}

void
fleet_device_close(struct fleet_device *device)
{
    if (device->input != NULL)
        event_free(device->input);
    if (device->timer != NULL)
        event_free(device->timer);
    if (device->fd >= 0)
        close(device->fd);
}

bool
fleet_device_is_connected(const struct fleet_device *device)
{
    return client_state(&device->client) >= CLIENT_ACTIVE;
}

bool
fleet_device_is_idle(const struct fleet_device *device)
{
    /* Only an active device may be publishing; a sleeper wakes again and again for nothing. */
    bool publishing = device->busy && client_state(&device->client) == CLIENT_ACTIVE;

    return device->finished || (fleet_window_missing(&device->window) == 0 && !publishing);
}
