/* SPDX-License-Identifier: Apache-2.0 */
/* One transport under test: an event loop, and a listener that records what it is told. */
#ifndef DORMOUSE_TESTS_LINK_FIXTURE_H
#define DORMOUSE_TESTS_LINK_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dormouse/transport.h>

#define FIXTURE_LINK 3 /* number of the link, to see it come back in addresses */
#define FIXTURE_DATA_MAX 300
#define FIXTURE_RECORDS 256

struct fixture_datagram {
    struct dm_address from;
    uint8_t data[FIXTURE_DATA_MAX];
    size_t len;
};

struct link_fixture {
    struct event_base *base;
    struct transport *transport;
    struct transport_listener listener;
    char error[200];
    size_t received; /* datagrams so far; the first FIXTURE_RECORDS are kept */
    struct fixture_datagram datagrams[FIXTURE_RECORDS];
    size_t link_changes;
    size_t rooms;              /* times the link said that it has room again */
    size_t sent;               /* times it said that a message has left */
    struct dm_address sent_to; /* the last of them */
    size_t mtu_changes;
    uint16_t mtu; /* as the last change said */
    bool up;      /* as the last change said */
    bool in_send;
    bool called_in_send; /* the listener was called inside a send: a breach of the contract */
};

void fixture_init(struct link_fixture *fixture);
/* Frees the transport, if there is one, and the loop. */
void fixture_fini(struct link_fixture *fixture);

/* Run the loop until as many datagrams or link changes have come; false if that takes over 10 s. */
bool fixture_wait_received(struct link_fixture *fixture, size_t count);
bool fixture_wait_link_changes(struct link_fixture *fixture, size_t count);

enum dm_result fixture_send(struct link_fixture *fixture, const struct dm_address *to,
                            const void *data, size_t len);
enum dm_result fixture_broadcast(struct link_fixture *fixture, const struct dm_address *asker,
                                 uint8_t radius, const void *data, size_t len);
struct transport_status fixture_status(const struct link_fixture *fixture);
/* Text of an address; static storage. */
const char *fixture_text(const struct link_fixture *fixture, const struct dm_address *address);
/* The address of a text, asserted to be accepted. */
struct dm_address fixture_address(const struct link_fixture *fixture, const char *text);
bool fixture_is(const struct link_fixture *fixture, size_t index, const void *data, size_t len);

#endif
