/* SPDX-License-Identifier: Apache-2.0 */
/* The Prometheus text format 0.0.4. */
#include "metrics_text.h"

#include <stddef.h>
#include <string.h>

#include <event2/buffer.h>

static const char prefix[] = "dormouse_";

static void
add_escaped(struct evbuffer *out, const char *value)
{
    while (*value != '\0') {
        size_t len = strcspn(value, "\\\"\n");

        evbuffer_add(out, value, len);
        value += len;
        if (*value != '\0')
            evbuffer_add_printf(out, "\\%c", *value == '\n' ? 'n' : *value);
        value += *value != '\0';
    }
}

void
metrics_head(struct evbuffer *out, enum metrics_type type, const char *name, const char *help)
{
    evbuffer_add_printf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", prefix, name, help, prefix, name,
                        type == METRICS_COUNTER ? "counter" : "gauge");
}

void
metrics_sample(struct evbuffer *out, const char *name, const char *const *labels, double value)
{
    evbuffer_add_printf(out, "%s%s", prefix, name);
    for (size_t i = 0; labels != NULL && labels[i] != NULL; i += 2) {
        evbuffer_add_printf(out, "%c%s=\"", i == 0 ? '{' : ',', labels[i]);
        add_escaped(out, labels[i + 1]);
        evbuffer_add(out, "\"", 1);
    }
    evbuffer_add_printf(out, labels != NULL ? "} %.16g\n" : " %.16g\n", value);
}

void
metrics_single(struct evbuffer *out, enum metrics_type type, const char *name, double value,
               const char *help)
{
    metrics_head(out, type, name, help);
    metrics_sample(out, name, NULL, value);
}
