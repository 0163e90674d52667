/* SPDX-License-Identifier: Apache-2.0 */
/* Values of control answers and requests. */
#ifndef DORMOUSE_CONTROL_VALUE_H
#define DORMOUSE_CONTROL_VALUE_H

#include <stdint.h>

#include <dormouse/span.h>
#include <dormouse/transport.h>

#include "engine.h"

struct cJSON;

void control_value_count(struct cJSON *object, const char *name, uint64_t value);
/* Client ids, topics and paths are checked UTF-8 or escaped before. NULL: no memory. */
struct cJSON *control_value_text(struct dm_span text);
/* What the radio tells. */
void control_value_quality(struct cJSON *object, const struct framing_quality *quality);
/* Adds an object with kind, name and "up" of the link to the array, and returns it. */
struct cJSON *control_value_link(struct cJSON *links, const struct transport *transport,
                                 const struct transport_status *status);
/* Devices by state, and "total", as its member "sessions". */
void control_value_sessions(struct cJSON *object, const struct engine_status *status);
/* {"error": text} */
struct cJSON *control_value_error(const char *text);
/* The member as text; NULL: it is missing or no text. */
const char *control_value_request(const struct cJSON *request, const char *name);

#endif
