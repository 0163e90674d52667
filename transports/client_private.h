/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the device-side client share: sending, the open request, and the will. */
#ifndef DORMOUSE_CLIENT_PRIVATE_H
#define DORMOUSE_CLIENT_PRIVATE_H

#include <dormouse/client.h>

void client_emit(struct client *client, const struct client_event *event);

/* Encodes, traces and sends. DM_FULL: longer than CLIENT_DATAGRAM_MAX. */
enum dm_result client_send_packet(struct client *client, uint64_t now_ms,
                                  const struct mqttsn_packet *packet);

/* Sends the packet and keeps a copy to repeat it. A packet has a name or data, never both. DM_FULL:
 * a request is open, or too long. */
enum dm_result client_open_request(struct client *client, uint64_t now_ms,
                                   const struct mqttsn_packet *packet);

/* The open request has N_retry repetitions from now. */
void client_start_retries(struct client *client, uint64_t now_ms);

/* The open request as its caller knows it. */
enum mqttsn_type client_request_type(const struct client *client);

/* Ends the open request with the gateway's answer; without a return code that is acceptance. */
void client_complete(struct client *client, const struct mqttsn_packet *reply,
                     enum client_state next);

/* Makes options.will point to copies. DM_INVALID: too long, or a wrong QoS. */
enum dm_result client_will_init(struct client *client);
/* WILLTOPICREQ or WILLMSGREQ while CONNECTING. */
void client_will_answer(struct client *client, uint64_t now_ms, enum mqttsn_type question);
/* WILLTOPICRESP or WILLMSGRESP. */
void client_will_updated(struct client *client, const struct mqttsn_packet *packet);

#endif
