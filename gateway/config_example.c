/* SPDX-License-Identifier: Apache-2.0 */
/* The example file: the table of keys as a configuration with every line commented out. */
#include "config.h"

#include "config_keys.h"

static void
print_key(FILE *out, const struct config_key *key)
{
    char values[128];
    fprintf(out, "\n; %s.\n; Values: %s.%s\n", key->text,
            config_key_values(key, values, sizeof(values)),
            key->availability != CONFIG_BUILT_IN ? " Not built in yet." : "");
    if (key->example != NULL)
        fprintf(out, "#%s\n", key->example);
    else
        fprintf(out, "#%s =%s%s\n", key->name,
                key->fallback != NULL && *key->fallback != '\0' ? " " : "",
                key->fallback != NULL ? key->fallback : "");
}

/* [client PATTERN] knows most keys of [sessions]. */
static void
print_process_keys(FILE *out)
{
    fputs("; Also any key of [sessions] but", out);
    for (size_t i = 0; i < config_key_count; i++)
        if (config_keys[i].section == SECTION_SESSIONS && !config_keys[i].per_client)
            fprintf(out, " %s", config_keys[i].name);
    fputs(".\n", out);
}

void
config_print_example(FILE *out)
{
    fputs("; Dormouse: every key with its default. To set one, remove the # in front of it. To "
          "have a\n"
          "; link, remove the # in front of its section, too: one [udp NAME] or [serial NAME] is "
          "enough.\n"
          "; Durations: ms s m h d. Sizes: k M G (1024). A comment stands behind ; with a space "
          "before\n"
          "; it, or in a line of its own. Files in conf.d beside this one are read after it.\n",
          out);
    for (int section = 0; section < SECTION_COUNT; section++) {
        const struct config_section_info *info = &config_sections[section];
        fprintf(out, "\n\n; %s.\n%s[%s]\n", info->text, info->named ? "#" : "", info->example);
        if (section == SECTION_CLIENT)
            print_process_keys(out);
        for (size_t i = 0; i < config_key_count; i++)
            if ((int)config_keys[i].section == section)
                print_key(out, &config_keys[i]);
    }
}
