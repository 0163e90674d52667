/* SPDX-License-Identifier: Apache-2.0 */
/* What devices ask for, and how they are answered. */
#ifndef DORMOUSE_ENGINE_DEVICE_H
#define DORMOUSE_ENGINE_DEVICE_H

#include "engine_session.h"

struct uplink;

/* A CONNECT with Will = 1 that waits for will topic or message (R16). */
struct handshake {
    struct handshake *prev, *next; /* longest without progress first */
    struct session *session; /* of the client id, if there is one: it sends nothing meanwhile */
    struct dm_address address;
    uint64_t deadline_ms;
    struct name *topic; /* NULL: WILLTOPIC has not come */
    uint8_t qos;
    bool retain;
    bool clean;
    uint16_t keepalive_s;
    uint8_t client_id_len;
    uint8_t client_id[];
};

/* engine_access.c: what the configuration allows a device */
/* Whose names and rights they are: a session, or a client that has none yet. */
struct party {
    const struct engine_client *client; /* NULL: no section, everything is allowed */
    struct dm_span client_id;
};
struct party party_of(const struct session *s);
/* With the configuration section that the client id matches. */
struct party party_named(const struct engine *e, struct dm_span client_id);
struct party party_among(const struct engine_options *options, struct dm_span client_id);
/* Its client id alone. */
bool access_is_known(const struct engine *e, const struct party *party);
/* It may be at this address. */
bool access_is_here(const struct party *party, const struct dm_address *address);
/* Names and filters are the device's. */
bool access_publish(struct engine *e, const struct party *party, struct dm_span name);
bool access_subscribe(struct engine *e, const struct party *party, struct dm_span filter);
/* Whether it is one of the gateway's own topics; a name of the broker without its prefix. */
bool access_is_own(const struct engine *e, struct dm_span name);
/* Counts and logs; `what` it tried, and with which topic (empty: with none). */
void access_denied(struct engine *e, struct dm_span client_id, const char *what,
                   struct dm_span topic);
/* After a start: ends what the configuration allows no more. */
void access_review(struct engine *e);

/* engine_connect.c */
void handle_connect(struct engine *e, const struct dm_address *from,
                    const struct mqttsn_packet *packet);
/* What a device asks for with CONNECT, and WILLTOPIC and WILLMSG if it has a will. */
struct connect {
    struct dm_span client_id;
    uint16_t keepalive_s;
    bool clean;
    bool replaces_will;
    struct will *will; /* taken over; NULL: none */
};

/* CONNACK, held until journal number `needs` is durable. */
void connect_answer(struct engine *e, const struct dm_address *to, uint64_t needs,
                    enum mqttsn_return_code code);
void connect_refuse(struct engine *e, const struct dm_address *from, struct dm_span client_id,
                    enum mqttsn_return_code code);
void connect_accept(struct engine *e, const struct dm_address *from, const struct connect *request);

/* engine_handshake.c */
/* How long one may stand still: as long as the most patient device needs (R23). */
uint64_t handshake_patience(const struct engine_options *options);
/* The one from this address; NULL: none. */
struct handshake *handshake_find(const struct engine *e, const struct dm_address *address);
/* Asks for the will topic. `s`: the client's session, NULL if it has none. */
void handshake_start(struct engine *e, const struct dm_address *from, struct session *s,
                     const struct connect *request);
/* True: the CONNECT repeats one that is being answered, and was answered again. */
bool handshake_repeated(struct engine *e, const struct dm_address *from,
                        const struct mqttsn_packet *packet, const struct connect *request);
void handle_willtopic(struct engine *e, const struct dm_address *from, struct session *s,
                      const struct mqttsn_packet *packet);
void handle_willmsg(struct engine *e, const struct dm_address *from, struct session *s,
                    const struct mqttsn_packet *packet);
void handshake_free(struct engine *e, struct handshake *h);
/* Ends the one of the session, if there is one; what waits is sent by the caller. */
void handshake_end(struct engine *e, struct session *s);
void handshake_timeout(struct engine *e);
uint64_t handshake_deadline(const struct engine *e);
void handle_disconnect(struct engine *e, const struct dm_address *from, struct session *s,
                       const struct mqttsn_packet *packet);
void handle_pingreq(struct engine *e, const struct dm_address *from, struct session *s,
                    const struct mqttsn_packet *packet);
/* The device is gone: what a clean session had is wiped, what a persistent one waits for is kept.
 */
void session_leave(struct engine *e, struct session *s, enum engine_state state);

/* engine_will.c */
/* Whether all wills together may grow by this. */
bool will_has_room(const struct engine *e, size_t octets);
/* NULL: no memory. `topic` may be NULL. */
struct will *will_new(struct engine *e, struct name *topic, struct dm_span message, uint8_t qos,
                      bool retain);
void will_free(struct engine *e, struct will *will);
/* Replaces the session's will, NULL: deletes it. Takes `will` over. Records what changes. */
void will_set(struct engine *e, struct session *s, struct will *will);
bool will_topic_is_valid(struct dm_span topic);
/* The broker's name; empty: the device may not have this will topic. */
struct dm_span will_take_topic(struct engine *e, const struct party *party, struct dm_span topic);
/* Of a SUBSCRIBE or a will: 0b11 counts as 0 (R44). */
static inline uint8_t
requested_qos(const struct mqttsn_packet *packet)
{
    return packet->qos > 0 ? (uint8_t)packet->qos : 0;
}
void handle_willtopicupd(struct engine *e, struct session *s, const struct mqttsn_packet *packet);
void handle_willmsgupd(struct engine *e, struct session *s, const struct mqttsn_packet *packet);
/* Puts the will of a device that is lost among the uplinks; to be sent by will_send after the
 * transition is recorded. NULL: there is none to publish. */
struct uplink *will_spool(struct engine *e, struct session *s);
void will_send(struct engine *e, struct trunk *t, struct uplink *will);

/* engine_topics.c */
struct name *name_get(struct engine *e,
                      struct dm_span text); /* takes a reference; NULL: no memory */
struct name *name_find(const struct engine *e, struct dm_span text); /* takes none */
struct name *name_ref(struct name *name);
void name_unref(struct engine *e, struct name *name);
struct dm_span name_span(const struct name *name);
/* Name of a pre-defined id: of the client, the link or all; borrowed until the next call. Empty:
 * unknown. `s` may be NULL. */
struct dm_span topic_predefined_name(struct engine *e, uint8_t link, const struct session *s,
                                     uint16_t id);
/* The device knows this id (reference 2.5, 5). */
void topic_note_predefined(struct engine *e, struct session *s, uint16_t id);
void predefined_free(struct engine *e, struct session *s);
struct registration *registration_by_id(const struct session *s, uint16_t id);
struct registration *registration_by_name(const struct session *s, const struct name *name);
/* Finds or makes; NULL: table full or no memory. *made tells whether it is new. */
struct registration *registration_get(struct engine *e, struct session *s, struct name *name,
                                      bool *made);
/* The device is told the id by the REGACK or SUBACK that follows. */
void registration_tell(struct engine *e, struct session *s, struct registration *r);
struct registration *registration_load(struct engine *e, struct session *s, struct name *name,
                                       uint16_t id, uint32_t epoch);
void registrations_free(struct engine *e, struct session *s);
void handle_register(struct engine *e, struct session *s, const struct mqttsn_packet *packet);

enum topic_choice { TOPIC_READY, TOPIC_REGISTER, TOPIC_REFUSED };
/* Which id a PUBLISH of `name` to the device carries (reference 2.5); TOPIC_REGISTER: after this id
 * was registered. */
enum topic_choice topic_for_device(struct engine *e, struct session *s, struct name *name,
                                   enum mqttsn_topic_type *type, uint16_t *id);
/* Gives the name an id now if it will need one (design 1: committed with the message). */
void topic_prepare(struct engine *e, struct session *s, struct name *name);

/* engine_subscribe.c */
void handle_subscribe(struct engine *e, struct session *s, const struct mqttsn_packet *packet);
void handle_unsubscribe(struct engine *e, struct session *s, const struct mqttsn_packet *packet);
struct subscription *subscription_find(const struct session *s, const struct name *filter);
struct subscription *subscription_new(struct engine *e, struct session *s, struct name *filter,
                                      uint64_t order);
/* Takes it out of session and filter; the upstream subscription ends with the last one. */
void subscription_remove(struct engine *e, struct subscription *sub, bool record);
/* The same, and tells the broker if it was the last for the filter. */
void subscription_end(struct engine *e, struct subscription *sub, bool record);
void subscription_answer(struct engine *e, struct subscription *sub, enum mqttsn_return_code code);

/* engine_publish.c: PUBLISH of devices */
void handle_publish(struct engine *e, const struct dm_address *from, struct session *s,
                    const struct mqttsn_packet *packet);
void handle_pubrel(struct engine *e, struct session *s, const struct mqttsn_packet *packet);
void send_puback(struct engine *e, struct session *s, uint64_t needs, uint16_t topic_id,
                 uint16_t msg_id, enum mqttsn_return_code code);
void send_pubrec(struct engine *e, struct session *s, uint64_t needs, uint16_t msg_id);
bool received_load(struct engine *e, struct session *s, uint16_t msg_id, uint64_t content);
void received_remove(struct engine *e, struct session *s, uint16_t msg_id);
void received_free(struct session *s);

/* engine_discovery.c */
void handle_searchgw(struct engine *e, const struct dm_address *from,
                     const struct mqttsn_packet *packet);
void handle_advertise(struct engine *e, const struct mqttsn_packet *packet);
/* A gateway that stands by shows itself only when the other has fallen silent (R12). */
bool discovery_is_silent(const struct engine *e);
void discovery_start(struct engine *e);
/* Another period. */
void discovery_reconfigure(struct engine *e);
void discovery_connected(struct engine *e);
void discovery_timeout(struct engine *e);
uint64_t discovery_deadline(const struct engine *e);

#endif
