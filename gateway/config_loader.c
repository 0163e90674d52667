/* SPDX-License-Identifier: Apache-2.0 */
/* What is said about a configuration while it is read. */
#include "config_loader.h"

#include <limits.h>
#include <stdio.h>

#include <dormouse/log.h>

void
config_loader_note(struct config_loader *loader, enum dm_result result)
{
    if (loader->result == DM_OK)
        loader->result = result;
}

void
config_loader_report(struct config_loader *loader, bool warning, const struct config_place *place,
                     const char *where, const char *reason)
{
    char text[PATH_MAX + 512], line[16] = "";
    if (place->line != 0)
        snprintf(line, sizeof(line), "%u:", place->line);
    snprintf(text, sizeof(text), "%s:%s %s%s%s", place->file, line, where != NULL ? where : "",
             where != NULL ? ": " : "", reason);
    loader->report(loader->report_ctx, warning, text);
    if (!warning)
        config_loader_note(loader, DM_INVALID);
}

void
config_loader_report_key(struct config_loader *loader, bool warning,
                         const struct config_place *place, const char *key, const char *reason)
{
    char where[288], section[192], shown[96];
    snprintf(where, sizeof(where), "[%s] %s",
             log_escape(section, sizeof(section), dm_span_text(loader->section_text)),
             log_escape(shown, sizeof(shown), dm_span_text(key)));
    config_loader_report(loader, warning, place, where, reason);
}
