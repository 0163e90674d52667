/* SPDX-License-Identifier: Apache-2.0 */
/* dormouse check --client: the section that a client id gets, and what follows from it, written as
 * keys of a configuration with the client id in its place. */
#include "check_client.h"

#include <inttypes.h>
#include <string.h>

#include <dormouse/log.h>

#include "buffer.h"
#include "config_keys.h"
#include "topic.h"
#include "topic_map.h"

enum { TEXT_MAX = 512 };

static const char *
shown(char *text, struct dm_span octets)
{
    return log_escape(text, TEXT_MAX, octets);
}

/* ---- the section ---- */

const struct config_client *
check_client_section(const struct config *config, struct dm_span id)
{
    for (size_t i = 0; i < config->client_count; i++)
        if (topic_section_matches(config->clients[i].pattern, config->clients[i].uses_client_id,
                                  id))
            return &config->clients[i];
    return NULL;
}

static void
print_passed_over(const struct config *config, const struct config_client *found, struct dm_span id,
                  FILE *out)
{
    char text[TEXT_MAX];

    for (size_t i = 0; i < config->client_count && &config->clients[i] != found; i++)
        if (topic_pattern_matches(dm_span_text(config->clients[i].pattern), id))
            fprintf(out, "; not [client %s]: it uses %%c, and the client id has +, # or / in it\n",
                    shown(text, dm_span_text(config->clients[i].pattern)));
}

const char *
check_client_refusal(const struct config *config, const struct config_client *section,
                     struct dm_span id)
{
    if (id.len == 0 || !topic_text_is_valid(id))
        return "the client id is empty or not valid UTF-8";
    if (id.len > config->client_id_max)
        return "the client id is longer than client_id_max";
    if (section == NULL && strcmp(config->unknown_clients, "reject") == 0)
        return "no section matches, and unknown_clients = reject";
    return NULL;
}

bool
check_client_is_own(const struct config *config, const struct config_client *section)
{
    return strcmp(section != NULL ? section->settings.upstream : config->settings.upstream,
                  "own") == 0;
}

const char *
check_client_username(const struct config *config, const struct config_client *section)
{
    return section != NULL && section->username != NULL ? section->username : config->username;
}

bool
check_client_has_password(const struct config *config, const struct config_client *section)
{
    bool has_own = section != NULL && section->username != NULL;

    return (has_own ? section->password : config->password) != NULL;
}

/* ---- keys ---- */

/* With the largest unit that leaves a whole number. */
static void
print_quantity(uint64_t number, bool duration, FILE *out)
{
    static const struct unit {
        const char *name;
        uint64_t factor;
    } durations[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}},
      sizes[] = {{"G", 1 << 30}, {"M", 1 << 20}, {"k", 1 << 10}, {"", 1}};
    const struct unit *unit = duration ? durations : sizes;

    while (number % unit->factor != 0 || number == 0) {
        if (unit->factor == 1)
            break;
        unit++;
    }
    fprintf(out, "%" PRIu64 "%s", number / unit->factor, unit->name);
}

void
check_client_value(const struct config_key *key, const void *member, FILE *out)
{
    switch (key->type) {
    case CONFIG_DURATION:
        if (*(const uint64_t *)member == CONFIG_NEVER)
            fputs(key->off, out);
        else
            print_quantity(*(const uint64_t *)member, true, out);
        break;
    case CONFIG_SIZE:
        print_quantity(*(const uint64_t *)member, false, out);
        break;
    case CONFIG_INTEGER: /* those of [client] have 32 bits */
        fprintf(out, "%" PRIu32, *(const uint32_t *)member);
        break;
    case CONFIG_DECIMAL:
        fprintf(out, "%g", *(const double *)member);
        break;
    case CONFIG_BOOLEAN:
        fputs(*(const bool *)member ? "yes" : "no", out);
        break;
    default:
        fputs(*(char *const *)member, out);
        break;
    }
}

static void
print_settings(const struct config_settings *settings, FILE *out)
{
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];

        if (!key->per_client || key->size == 0)
            continue;
        fprintf(out, "%s = ", key->name);
        check_client_value(key, (const char *)settings + key->offset, out);
        fputc('\n', out);
    }
}

/* ---- topics ---- */

/* The text with the client id in its place. */
static void
print_text(const char *name, const char *text, struct dm_span id, FILE *out)
{
    struct buffer whole = {0};
    char octets[TEXT_MAX];

    if (buffer_append_client(&whole, text, id))
        fprintf(out, "%s = %s", name, shown(octets, buffer_span(&whole)));
    buffer_fini(&whole);
}

static void
print_list(const char *name, const struct config_strings *list, struct dm_span id, FILE *out)
{
    if (list->count == 0)
        fprintf(out, "; %s: everything is allowed\n", name);
    for (size_t i = 0; i < list->count; i++) {
        print_text(name, list->items[i], id, out);
        fputc('\n', out);
    }
}

static bool
has_topic(const struct config_topics *topics, uint16_t id)
{
    for (size_t i = 0; topics != NULL && i < topics->count; i++)
        if (topics->items[i].id == id)
            return true;
    return false;
}

/* Pre-defined ids, but for those that `first` means otherwise; NULL: it is the client's own list.
 */
static void
each_of(const struct config_topics *topics, const struct config_topics *first, struct dm_span id,
        const char *whence, check_client_topic *visit, void *ctx)
{
    for (size_t i = 0; i < topics->count; i++) {
        struct buffer whole = {0};
        const char *name = topics->items[i].name;

        if (has_topic(first, topics->items[i].id))
            continue;
        /* Elsewhere %c is nothing special. */
        if (first == NULL ? buffer_append_client(&whole, name, id)
                          : buffer_append(&whole, dm_span_text(name)))
            visit(ctx, topics->items[i].id, buffer_span(&whole), whence);
        buffer_fini(&whole);
    }
}

static bool
may_use(const struct config_client *section, const char *link)
{
    for (size_t i = 0; section != NULL && i < section->links.count; i++)
        if (strcmp(section->links.items[i], link) == 0)
            return true;
    return section == NULL || section->links.count == 0;
}

void
check_client_each_topic(const struct config *config, const struct config_client *section,
                        struct dm_span id, check_client_topic *visit, void *ctx)
{
    static const struct config_topics none = {0};
    const struct config_topics *own = section != NULL ? &section->topics : &none;

    each_of(own, NULL, id, NULL, visit, ctx);
    for (size_t i = 0; i < config->link_count; i++)
        if (may_use(section, config->links[i].name))
            each_of(&config->links[i].topics, own, id, config->links[i].name, visit, ctx);
    each_of(&config->topics, own, id, "", visit, ctx);
}

static void
print_topic(void *ctx, uint16_t id, struct dm_span name, const char *link)
{
    FILE *out = ctx;
    char text[TEXT_MAX];

    fprintf(out, "topics.%u = %s", id, shown(text, name));
    if (link != NULL && *link != '\0')
        fprintf(out, "  ; on link %s", link);
    else if (link != NULL)
        fputs("  ; of [topics]", out);
    fputc('\n', out);
}

/* ---- names at the broker ---- */

struct names {
    const struct config *config;
    const char *prefix; /* of the client; NULL: none */
    struct dm_span id;
    struct topic_rule rules[CONFIG_RULES_MAX];
    size_t rule_count;
    check_client_name *visit;
    void *ctx;
};

static void
tell_name(const struct names *names, struct dm_span name)
{
    struct buffer mapped = {0}, whole = {0};
    struct dm_span up = topic_map(names->rules, names->rule_count, true, name, &mapped);

    if (buffer_append(&whole, dm_span_text(names->config->topic_prefix)) &&
        buffer_append_client(&whole, names->prefix != NULL ? names->prefix : "", names->id) &&
        buffer_append(&whole, up))
        names->visit(names->ctx, name, up.len > 0 ? buffer_span(&whole) : up);
    buffer_fini(&mapped);
    buffer_fini(&whole);
}

/* A name that the filter matches: x for each wildcard. */
static void
tell_example(const struct names *names, const char *filter)
{
    char name[TEXT_MAX];

    snprintf(name, sizeof name, "%s", filter);
    for (char *octet = name; *octet != '\0'; octet++)
        if (*octet == '+' || *octet == '#')
            *octet = 'x';
    tell_name(names, dm_span_text(name));
}

void
check_client_each_name(const struct config *config, const struct config_client *section,
                       struct dm_span id, check_client_name *visit, void *ctx)
{
    struct names names = {.config = config, .id = id, .visit = visit, .ctx = ctx};

    if (section != NULL)
        names.prefix = section->topic_prefix;
    if (names.prefix == NULL && config->rules.count == 0 && *config->topic_prefix == '\0')
        return;
    for (size_t i = 0; i < config->rules.count && i < CONFIG_RULES_MAX; i++)
        if (topic_rule_parse(config->rules.items[i], &names.rules[names.rule_count]) == NULL)
            names.rule_count++;
    tell_name(&names, dm_span_text("any/name"));
    for (size_t i = 0; i < names.rule_count; i++)
        tell_example(&names, names.rules[i].left);
    while (names.rule_count > 0)
        topic_rule_fini(&names.rules[--names.rule_count]);
}

static void
print_name(void *ctx, struct dm_span device, struct dm_span broker)
{
    char a[TEXT_MAX], b[TEXT_MAX];

    fprintf(ctx, "; %s is %s at the broker\n", shown(a, device),
            broker.len > 0 ? shown(b, broker) : "nothing");
}

/* Of a device with a connection of its own. */
static void
print_login(const struct config *config, const struct config_client *section, struct dm_span id,
            FILE *out)
{
    const char *username = check_client_username(config, section);
    char a[TEXT_MAX], b[TEXT_MAX];

    if (!check_client_is_own(config, section))
        return;
    fprintf(out, "; at the broker it is the client %s, ", shown(a, id));
    if (username != NULL)
        fprintf(out, "user %s%s\n", shown(b, dm_span_text(username)),
                check_client_has_password(config, section) ? " with a password" : "");
    else
        fputs("without a user name\n", out);
}

static void
print_rights(const struct config_client *section, struct dm_span id, FILE *out)
{
    print_list("publish", &section->publish, id, out);
    print_list("subscribe", &section->subscribe, id, out);
    if (section->links.count > 0)
        fputs("links =", out);
    for (size_t i = 0; i < section->links.count; i++)
        fprintf(out, " %s%s", section->links.items[i], i + 1 == section->links.count ? "\n" : "");
    if (section->topic_prefix != NULL) {
        print_text("topic_prefix", section->topic_prefix, id, out);
        fputc('\n', out);
    }
    if (section->address != NULL)
        fprintf(out, "address = %s\n", section->address);
}

bool
check_client_print(const struct config *config, const char *client_id, FILE *out)
{
    struct dm_span id = dm_span_text(client_id);
    const struct config_client *section = check_client_section(config, id);
    const char *why = check_client_refusal(config, section, id);
    char text[TEXT_MAX];

    if (section != NULL)
        fprintf(out, "[client %s]\n", shown(text, dm_span_text(section->pattern)));
    else
        fputs("; no [client] section\n", out);
    print_passed_over(config, section, id, out);
    if (why != NULL) {
        fprintf(out, "; CONNECT is refused: %s\n", why);
        return false;
    }
    print_settings(section != NULL ? &section->settings : &config->settings, out);
    if (section != NULL)
        print_rights(section, id, out);
    check_client_each_topic(config, section, id, print_topic, out);
    check_client_each_name(config, section, id, print_name, out);
    print_login(config, section, id, out);
    return true;
}
