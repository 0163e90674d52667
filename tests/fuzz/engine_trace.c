/* SPDX-License-Identifier: Apache-2.0 */
/* What happens in the engine's fuzz target, as text for whoever looks into a failing input. */
#include "engine_trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <dormouse/log.h>

bool
trace_is_on(void)
{
    static int on = -1;

    if (on < 0)
        on = getenv("DORMOUSE_TRACE") != NULL;
    return on;
}

void
trace_text(const char *format, ...)
{
    va_list arguments;

    if (!trace_is_on())
        return;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
}

void
trace_datagram(unsigned who, const struct mqttsn_packet *packet)
{
    char text[256];

    if (trace_is_on())
        trace_text("%u says %s\n", who, mqttsn_describe(packet, text, sizeof text));
}

void
trace_broker(const char *direction, const struct mqtt_packet *packet)
{
    char topic[128];
    char payload[32];

    trace_text("%s %s qos %u%s%s pid %u reason 0x%02x id %" PRIu32 " %s \"%s\"\n", direction,
               mqtt_type_name(packet->type), packet->qos, packet->dup ? " dup" : "",
               packet->retain ? " retain" : "", packet->packet_id, packet->reason,
               packet->subscription_ids[0], log_escape(topic, sizeof topic, packet->topic),
               log_escape(payload, sizeof payload, packet->payload));
}

static void
trace_record(const struct store_record *record, uint64_t seq)
{
    static const char *const names[] = {
        [STORE_SESSION_PUT] = "session",
        [STORE_SESSION_DELETE] = "delete session",
        [STORE_WILL_PUT] = "will",
        [STORE_WILL_DELETE] = "delete will",
        [STORE_RECEIVED_PUT] = "received",
        [STORE_RECEIVED_DELETE] = "delete received",
        [STORE_TOPIC_PUT] = "topic",
        [STORE_SUBSCRIPTION_PUT] = "subscription",
        [STORE_SUBSCRIPTION_DELETE] = "delete subscription",
        [STORE_MESSAGE_PUT] = "message",
        [STORE_MESSAGE_DELETE] = "delete message",
        [STORE_DELIVERY_PUT] = "delivery",
        [STORE_DELIVERY_DELETE] = "delete delivery",
        [STORE_SPOOL_PUT] = "spool",
        [STORE_SPOOL_DELETE] = "delete spool",
        [STORE_INBOUND_PUT] = "inbound",
        [STORE_INBOUND_DELETE] = "delete inbound",
        [STORE_RELEASE_PUT] = "release",
        [STORE_RELEASE_DELETE] = "delete release",
        [STORE_FILTER_PUT] = "filter",
        [STORE_FILTER_DELETE] = "delete filter",
        [STORE_BROKER_PUT] = "broker",
        [STORE_BROKER_USE] = "broker use",
        [STORE_COPY_PUT] = "copy",
        [STORE_CLOCK_PUT] = "clock",
    };
    char name[128];

    trace_text("  %" PRIu64 "# %s session %" PRIu64 " message %" PRIu64 " order %" PRIu64
               " msg %u pid %u topic %u qos %u mode %u %s\n",
               seq, names[record->op], record->session, record->message, record->order,
               record->msg_id, record->packet_id, record->topic_id, record->qos, record->mode,
               log_escape(name, sizeof name, record->name));
}

void
trace_effect(const struct engine_effect *effect, uint64_t seq)
{
    char text[256];

    if (!trace_is_on())
        return;
    switch (effect->type) {
    case ENGINE_SEND:
        trace_text("  to %u !%" PRIu64 " %s\n", effect->address.octets[0], effect->needs,
                   mqttsn_describe(&effect->packet, text, sizeof text));
        break;
    case ENGINE_WITHDRAW:
        trace_text("  withdraw what is held for %u\n", effect->address.octets[0]);
        break;
    case ENGINE_BROADCAST:
        trace_text("  to all on link %u %s\n", effect->address.link,
                   mqttsn_describe(&effect->packet, text, sizeof text));
        break;
    case ENGINE_UPSTREAM:
        snprintf(text, sizeof text, "  to broker !%" PRIu64, effect->needs);
        trace_broker(text, &effect->upstream);
        break;
    case ENGINE_OPEN:
        trace_text("  opens %" PRIu64 " !%" PRIu64 "\n", effect->connection, effect->needs);
        break;
    case ENGINE_CLOSE:
        trace_text("  closes %" PRIu64 " !%" PRIu64 "%s\n", effect->connection, effect->needs,
                   effect->close.wipe ? " and wipes" : "");
        break;
    case ENGINE_RECORD:
        trace_record(&effect->record, seq);
        break;
    }
}
