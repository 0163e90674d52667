/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine writes down. */
#ifndef DORMOUSE_ENGINE_RECORDS_H
#define DORMOUSE_ENGINE_RECORDS_H

#include "engine_trunk.h"

struct engine;

/* engine_records.c: each gives the journal number of its record */
uint64_t record_session(struct engine *e, struct session *s);
void record_msg_id(struct engine *e, const struct session *s);
uint64_t record_session_delete(struct engine *e, const struct session *s);
uint64_t record_registration(struct engine *e, const struct session *s,
                             const struct registration *r, bool lazy);
uint64_t record_subscription(struct engine *e, const struct subscription *sub);
uint64_t record_subscription_delete(struct engine *e, const struct session *s,
                                    struct dm_span filter);
uint64_t record_message(struct engine *e, const struct trunk *t, struct message *m);
/* What time it is in rows that hold a time. */
uint64_t engine_gateway_ms(const struct engine *e);
/* A gateway time as now_ms will show it; not before now. */
uint64_t engine_from_gateway(const struct engine *e, uint64_t gateway_ms);
uint64_t record_message_delete(struct engine *e, const struct message *m);
uint64_t record_delivery(struct engine *e, const struct session *s, const struct delivery *d);
uint64_t record_delivery_delete(struct engine *e, const struct session *s,
                                const struct delivery *d);
uint64_t record_will(struct engine *e, const struct session *s);
uint64_t record_will_delete(struct engine *e, const struct session *s);
uint64_t record_received(struct engine *e, const struct session *s, const struct received *r,
                         bool present);
uint64_t record_release(struct engine *e, const struct trunk *t, uint16_t packet_id, bool present);
/* Of an exchange that is open when its broker is left; kept for the way back. */
void record_open_release(struct engine *e, const struct uplink *u);
uint64_t record_uplink(struct engine *e, const struct uplink *u);
uint64_t record_uplink_delete(struct engine *e, const struct uplink *u);
uint64_t record_inbound(struct engine *e, const struct trunk *t, const struct inbound *in,
                        bool present);
/* The row as it is written; `ids` is its payload. */
struct store_record copies_row(const struct engine *e, const struct trunk *t, uint8_t qos,
                               const struct copies *copies,
                               uint8_t ids[4 * MQTT_SUBSCRIPTION_IDS_MAX]);
void record_copies(struct engine *e, const struct trunk *t, uint8_t qos,
                   const struct copies *copies);
void record_copy_mark(struct engine *e, const struct session *s, uint8_t qos,
                      const struct copy_mark *mark);
uint64_t record_filter(struct engine *e, const struct trunk *t, const struct filter *f, uint32_t id,
                       bool lazy);
void record_filter_delete(struct engine *e, const struct trunk *t, const struct filter *f,
                          uint32_t id);
/* STORE_BROKER_PUT, _USE or _DELETE of an own connection. */
uint64_t record_own(struct engine *e, const struct trunk *t, enum store_op op);
/* STORE_BROKER_PUT or STORE_BROKER_USE of the current one. */
uint64_t record_broker(struct engine *e, enum store_op op);
/* The row that says how far identifiers were used: a filter without a name. */
uint64_t record_reserved_id(struct engine *e, uint32_t id);

#endif
