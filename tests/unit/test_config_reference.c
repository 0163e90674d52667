/* SPDX-License-Identifier: Apache-2.0 */
/* What is written from the table of keys: the example file, and the reference of the documentation.
 */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "config_fixture.h"
#include "config_keys.h"

/* The whole file, NUL-terminated; empty if it cannot be read. The caller frees. */
static char *
read_whole(const char *path)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL || getdelim(&text, &len, '\0', file) < 0) {
        free(text);
        text = strdup("");
    }
    if (file != NULL)
        fclose(file);
    return text;
}

static char *
print_example(void)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    config_print_example(out);
    fclose(out);
    return text;
}

/* With DORMOUSE_UPDATE set, writes the file anew instead of failing. */
static void
check_file(const char *path, const char *wanted)
{
    if (getenv("DORMOUSE_UPDATE") != NULL) {
        FILE *out = fopen(path, "w");
        CU_ASSERT_PTR_NOT_NULL_FATAL(out);
        fputs(wanted, out);
        fclose(out);
    }
    char *text = read_whole(path);
    CU_ASSERT_STRING_EQUAL(text, wanted);
    free(text);
}

static void
packaged_file_is_the_example(void)
{
    char *example = print_example();
    check_file("packaging/dormouse.ini", example);
    free(example);
}

static void
example_with_a_udp_section_loads_without_reports(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    char *example = print_example();
    char *header = strstr(example, "#[udp lan]");
    CU_ASSERT_PTR_NOT_NULL_FATAL(header);
    *header = ' ';
    config_fixture_load_text(&fixture, example);
    check_text(fixture.reports, "");
    CU_ASSERT_PTR_NOT_NULL(fixture.config);
    free(example);
    config_fixture_fini(&fixture);
}

/* Whoever enables everything gets what the defaults and examples give. */
static void
example_with_every_line_enabled_loads_without_reports(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    char *example = print_example();
    unsigned enabled = 0;
    for (char *line = example; (line = strstr(line, "\n#")) != NULL; enabled++)
        line[1] = ' ';
    CU_ASSERT(enabled > config_key_count);
    config_fixture_load_text(&fixture, example);
    CU_ASSERT_EQUAL(fixture.errors, 0);
    check_text(fixture.reports, "");
    free(example);
    config_fixture_fini(&fixture);
}

static void
print_reference_row(FILE *out, const struct config_key *key)
{
    char values[128];
    bool has_default = key->fallback != NULL && *key->fallback != '\0';
    fprintf(out, "| `%s` | %s | %s%s%s | %s%s |\n", key->name,
            config_key_values(key, values, sizeof(values)), has_default ? "`" : "",
            has_default ? key->fallback : "", has_default ? "`" : "", key->text,
            key->availability == CONFIG_BUILT_IN           ? ""
            : key->availability == CONFIG_MISSING_PROTECTS ? ". *Not built in yet: refused*"
                                                           : ". *Not built in yet: ignored*");
}

static void
print_reference(FILE *out)
{
    for (int section = 0; section < SECTION_COUNT; section++) {
        const struct config_section_info *info = &config_sections[section];
        fprintf(
            out,
            "\n### `[%s%s]`\n\n%s.\n\n| key | values | default | meaning |\n|---|---|---|---|\n",
            info->word, info->named ? (section == SECTION_CLIENT ? " PATTERN" : " NAME") : "",
            info->text);
        for (size_t i = 0; i < config_key_count; i++)
            if ((int)config_keys[i].section == section)
                print_reference_row(out, &config_keys[i]);
        if (section == SECTION_CLIENT)
            for (size_t i = 0; i < config_key_count; i++)
                if (config_keys[i].per_client)
                    fprintf(out, "| `%s` | as in `[sessions]` | that of `[sessions]` | %s |\n",
                            config_keys[i].name,
                            config_keys[i].availability == CONFIG_BUILT_IN
                                ? config_keys[i].text
                                : "*Not built in yet: refused*");
    }
}

/* The part of docs/configuration.md behind its marker is what the table says. */
static void
reference_is_the_table(void)
{
    static const char marker[] = "<!-- From here on written by test_config_reference -->\n";
    char *reference = NULL, *text = read_whole("docs/configuration.md");
    size_t len;
    char *end = strstr(text, marker);
    CU_ASSERT_PTR_NOT_NULL_FATAL(end);
    end[sizeof(marker) - 1] = '\0';
    FILE *out = open_memstream(&reference, &len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    fputs(text, out);
    print_reference(out);
    fclose(out);
    check_file("docs/configuration.md", reference);
    free(reference);
    free(text);
}

/* Cuts the next block of configuration out of the page; NULL: there is none. *page moves on. */
static const char *
next_block(char **page)
{
    static const char start[] = "```ini\n", stop[] = "```\n";
    char *block = strstr(*page, start);
    if (block == NULL)
        return NULL;
    block += sizeof(start) - 1;
    char *end = strstr(block, stop);
    CU_ASSERT_PTR_NOT_NULL_FATAL(end);
    *end = '\0';
    *page = end + sizeof(stop) - 1;
    return block;
}

static void
check_configurations(const char *path, unsigned at_least)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    char *text = read_whole(path), *page = text;
    unsigned blocks = 0;
    for (const char *block; (block = next_block(&page)) != NULL; blocks++) {
        char whole[2048]; /* not every block has a link */
        snprintf(whole, sizeof(whole), "%s[udp test]\nlisten = 127.0.0.1:1\n", block);
        config_fixture_load_text(&fixture, whole);
        check_text(fixture.reports, "");
    }
    CU_ASSERT(blocks >= at_least);
    free(text);
    config_fixture_fini(&fixture);
}

static void
every_configuration_in_the_documentation_loads_without_reports(void)
{
    check_configurations("docs/configuration.md", 3);
    check_configurations("docs/operations.md", 1);
    check_configurations("docs/serial.md", 10);
    check_configurations("README.md", 1);
}

/* "key = value" */
static bool
is_setting(const char *word)
{
    size_t key = strspn(word, "abcdefghijklmnopqrstuvwxyz_");
    return key > 0 && strncmp(word + key, " = ", 3) == 0;
}

static void
check_setting(struct config_fixture *fixture, const char *setting)
{
    bool is_device = strncmp(setting, "device ", 7) == 0;
    char whole[256];
    snprintf(whole, sizeof(whole), "[serial test]\n%s%s\n", is_device ? "" : "device = /dev/test\n",
             setting);
    config_fixture_load_text(fixture, whole);
    check_text(fixture->reports, "");
}

/* The page has no table of keys; what it says of one in a sentence has to be possible. */
static void
every_setting_that_the_page_on_serial_ports_names_is_possible(void)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    char *text = read_whole("docs/serial.md");
    unsigned settings = 0;
    for (char *word = strchr(text, '`'); word != NULL; word = strchr(word, '`')) {
        size_t fence = strspn(word, "`");
        word += fence;
        char *end = fence == 1 ? strchr(word, '`') : strstr(word, "```");
        CU_ASSERT_PTR_NOT_NULL_FATAL(end);
        *end = '\0';
        if (fence == 1 && is_setting(word)) {
            check_setting(&fixture, word);
            settings++;
        }
        word = end + fence;
    }
    CU_ASSERT(settings >= 5);
    free(text);
    config_fixture_fini(&fixture);
}

static const struct unit_test tests[] = {
    UNIT_TEST(packaged_file_is_the_example),
    UNIT_TEST(example_with_a_udp_section_loads_without_reports),
    UNIT_TEST(example_with_every_line_enabled_loads_without_reports),
    UNIT_TEST(reference_is_the_table),
    UNIT_TEST(every_configuration_in_the_documentation_loads_without_reports),
    UNIT_TEST(every_setting_that_the_page_on_serial_ports_names_is_possible),
};

UNIT_MAIN("config reference", tests)
