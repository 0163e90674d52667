/* SPDX-License-Identifier: Apache-2.0 */
/* With DORMOUSE_TRACE in the environment, the engine's fuzz target tells on stderr what happens. */
#ifndef DORMOUSE_TESTS_ENGINE_TRACE_H
#define DORMOUSE_TESTS_ENGINE_TRACE_H

#include "engine.h"

bool trace_is_on(void);
void trace_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
void trace_datagram(unsigned who, const struct mqttsn_packet *packet);
void trace_broker(const char *direction, const struct mqtt_packet *packet);
void trace_effect(const struct engine_effect *effect, uint64_t seq);

#endif
