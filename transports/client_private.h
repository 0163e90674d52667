/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the device-side client share: sending and the open request. */
#ifndef DORMOUSE_CLIENT_PRIVATE_H
#define DORMOUSE_CLIENT_PRIVATE_H

#include <dormouse/client.h>

void client_emit(struct client *client, const struct client_event *event);

/* Encodes, traces and sends. DM_FULL: longer than CLIENT_DATAGRAM_MAX. */
enum dm_result client_send_packet(struct client *client, uint64_t now_ms,
                                  const struct mqttsn_packet *packet);

/* The open request has N_retry repetitions from now. */
void client_start_retries(struct client *client, uint64_t now_ms);

/* The open request as its caller knows it. */
enum mqttsn_type client_request_type(const struct client *client);

#endif
