/* SPDX-License-Identifier: Apache-2.0 */
/* Event loop and recording listener for the tests of transports. */
#include "link_fixture.h"

#include <stdlib.h>
#include <string.h>

#include <CUnit/CUnit.h>
#include <event2/event.h>

#define GUARD_S 10

static void
on_datagram(void *ctx, const struct dm_address *from, const uint8_t *data, size_t len)
{
    struct link_fixture *fixture = ctx;

    fixture->called_in_send |= fixture->in_send;
    if (fixture->received < FIXTURE_RECORDS) {
        struct fixture_datagram *kept = &fixture->datagrams[fixture->received];

        kept->from = *from;
        kept->len = len;
        memcpy(kept->data, data, len < FIXTURE_DATA_MAX ? len : FIXTURE_DATA_MAX);
    }
    fixture->received++;
}

static void
on_link(void *ctx, uint8_t link, bool up)
{
    struct link_fixture *fixture = ctx;

    fixture->called_in_send |= fixture->in_send;
    CU_ASSERT_EQUAL(link, FIXTURE_LINK);
    fixture->up = up;
    fixture->link_changes++;
}

static void
on_room(void *ctx, uint8_t link)
{
    struct link_fixture *fixture = ctx;

    fixture->called_in_send |= fixture->in_send;
    CU_ASSERT_EQUAL(link, FIXTURE_LINK);
    fixture->rooms++;
}

static void
on_sent(void *ctx, const struct dm_address *to)
{
    struct link_fixture *fixture = ctx;

    fixture->called_in_send |= fixture->in_send;
    fixture->sent_to = *to;
    fixture->sent++;
}

static void
on_mtu(void *ctx, uint8_t link, uint16_t mtu)
{
    struct link_fixture *fixture = ctx;

    fixture->called_in_send |= fixture->in_send;
    CU_ASSERT_EQUAL(link, FIXTURE_LINK);
    fixture->mtu = mtu;
    fixture->mtu_changes++;
}

void
fixture_init(struct link_fixture *fixture)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->base = event_base_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(fixture->base);
    fixture->listener = (struct transport_listener){.ctx = fixture,
                                                    .on_datagram = on_datagram,
                                                    .on_link = on_link,
                                                    .on_room = on_room,
                                                    .on_sent = on_sent,
                                                    .on_mtu = on_mtu};
}

void
fixture_fini(struct link_fixture *fixture)
{
    CU_ASSERT_FALSE(fixture->called_in_send);
    if (fixture->transport != NULL)
        fixture->transport->ops->free(fixture->transport);
    event_base_free(fixture->base);
}

static void
on_guard(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    *(bool *)ctx = true;
}

static bool
wait_for(struct link_fixture *fixture, const size_t *counter, size_t count)
{
    const struct timeval limit = {.tv_sec = GUARD_S};
    bool expired = false;
    struct event *guard = evtimer_new(fixture->base, on_guard, &expired);

    CU_ASSERT_PTR_NOT_NULL_FATAL(guard);
    evtimer_add(guard, &limit);
    while (*counter < count && !expired)
        event_base_loop(fixture->base, EVLOOP_ONCE);
    event_free(guard);
    return *counter >= count;
}

bool
fixture_wait_received(struct link_fixture *fixture, size_t count)
{
    return wait_for(fixture, &fixture->received, count);
}

bool
fixture_wait_link_changes(struct link_fixture *fixture, size_t count)
{
    return wait_for(fixture, &fixture->link_changes, count);
}

enum dm_result
fixture_send(struct link_fixture *fixture, const struct dm_address *to, const void *data,
             size_t len)
{
    fixture->in_send = true;
    enum dm_result result = fixture->transport->ops->send(fixture->transport, to, data, len);
    fixture->in_send = false;
    if (strcmp(fixture->transport->kind, "udp") == 0) /* sent at the end of the turn */
        event_base_loop(fixture->base, EVLOOP_NONBLOCK);
    return result;
}

enum dm_result
fixture_broadcast(struct link_fixture *fixture, const struct dm_address *asker, uint8_t radius,
                  const void *data, size_t len)
{
    fixture->in_send = true;
    enum dm_result result =
        fixture->transport->ops->broadcast(fixture->transport, asker, radius, data, len);
    fixture->in_send = false;
    return result;
}

struct transport_status
fixture_status(const struct link_fixture *fixture)
{
    struct transport_status status;

    fixture->transport->ops->status(fixture->transport, &status);
    return status;
}

const char *
fixture_text(const struct link_fixture *fixture, const struct dm_address *address)
{
    static char text[DM_ADDRESS_TEXT_MAX];

    return transport_address_text(fixture->transport, address, text, sizeof text);
}

struct dm_address
fixture_address(const struct link_fixture *fixture, const char *text)
{
    struct dm_address address = {.link = 0};

    CU_ASSERT_EQUAL_FATAL(transport_address_parse(&fixture->transport, 1, text, &address), DM_OK);
    return address;
}

bool
fixture_is(const struct link_fixture *fixture, size_t index, const void *data, size_t len)
{
    const struct fixture_datagram *kept = &fixture->datagrams[index];

    return index < fixture->received && kept->len == len && memcmp(kept->data, data, len) == 0;
}
