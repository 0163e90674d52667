/* SPDX-License-Identifier: Apache-2.0 */
/* The Prometheus text format 0.0.4. */
#ifndef DORMOUSE_METRICS_TEXT_H
#define DORMOUSE_METRICS_TEXT_H

#include <stdint.h>

struct evbuffer;

enum metrics_type { METRICS_GAUGE, METRICS_COUNTER };

/* HELP and TYPE; the samples of `name` follow. No backslash and no line end in `help`. */
void metrics_head(struct evbuffer *out, enum metrics_type type, const char *name, const char *help);
/* labels: "NAME", "VALUE", ..., NULL; values are escaped. NULL: none. */
void metrics_sample(struct evbuffer *out, const char *name, const char *const *labels,
                    double value);
/* Head and the one sample without a label. */
void metrics_single(struct evbuffer *out, enum metrics_type type, const char *name, double value,
                    const char *help);

#endif
