/* SPDX-License-Identifier: Apache-2.0 */
/* The brokers that may be connected to, in order: which one is next, and when. No I/O. */
#include "upstream_target.h"

#include <stdio.h>
#include <stdlib.h>

#define SPREAD_MS 200u /* not all gateways of a broker that failed come to the next one at once */

enum dm_result
upstream_targets_init(struct upstream_targets *targets, const struct upstream_options *options,
                      char *error, size_t error_size)
{
    *targets = (struct upstream_targets){0};
    if (options->url_count == 0 || options->url_count > UPSTREAM_URLS_MAX) {
        snprintf(error, error_size, "1 to %d URLs of brokers are needed", UPSTREAM_URLS_MAX);
        return DM_INVALID;
    }
    targets->items = calloc(options->url_count, sizeof *targets->items);
    if (targets->items == NULL) {
        snprintf(error, error_size, "%s", dm_result_text(DM_NO_MEMORY));
        return DM_NO_MEMORY;
    }
    for (size_t i = 0; i < options->url_count; i++) {
        struct upstream_target *target = &targets->items[i];

        if (upstream_url_parse(options->urls[i], &target->broker, error, error_size) != DM_OK)
            return DM_INVALID;
        target->url = strdup(options->urls[i]);
        if (target->url == NULL) {
            snprintf(error, error_size, "%s", dm_result_text(DM_NO_MEMORY));
            return DM_NO_MEMORY;
        }
        upstream_version_init(&target->version, options->version);
        targets->count++;
    }
    return DM_OK;
}

void
upstream_targets_fini(struct upstream_targets *targets)
{
    for (size_t i = 0; i < targets->count; i++)
        free(targets->items[i].url);
    free(targets->items);
    *targets = (struct upstream_targets){0};
}

struct upstream_target *
upstream_target(struct upstream_targets *targets)
{
    return &targets->items[targets->current];
}

uint32_t
upstream_member_failed(struct upstream_targets *targets, bool stable, uint32_t random)
{
    targets->failures = stable ? 1 : targets->failures + 1;
    return upstream_backoff_ms(targets->failures, random);
}

uint32_t
upstream_targets_failed(struct upstream_targets *targets, bool stable, uint32_t random)
{
    if (!stable && targets->current + 1 < targets->count) {
        targets->current++;
        return random % SPREAD_MS;
    }
    targets->current = 0;
    return upstream_member_failed(targets, stable, random);
}

void
upstream_targets_status(const struct upstream_targets *targets, struct upstream_status *status)
{
    const struct upstream_target *current = &targets->items[targets->current];

    status->version = current->version.current;
    snprintf(status->url, sizeof status->url, "%s", current->url);
    snprintf(status->error, sizeof status->error, "%s", current->error);
    status->url_count = targets->count;
    for (size_t i = 0; i < targets->count; i++) {
        status->urls[i].url = targets->items[i].url;
        snprintf(status->urls[i].error, sizeof status->urls[i].error, "%s",
                 targets->items[i].error);
    }
}
