/* SPDX-License-Identifier: Apache-2.0 */
/* What the manual pages say of keys and options is what the tables say. With DORMOUSE_UPDATE set
 * the pages are written anew instead. */
#include <stdio.h>
#include <string.h>

#include "config_keys.h"
#include "options.h"
#include "options_table.h"
#include "unit.h"

static const char marker[] = ".\\\" From here on written by test_man\n";

/* Text between macros: hyphens that can be copied, no accidental request at the start of a line. */
static void
put(FILE *out, const char *text, size_t len)
{
    if (len > 0 && (text[0] == '.' || text[0] == '\''))
        fputs("\\&", out);
    for (size_t i = 0; i < len; i++) {
        switch (text[i]) {
        case '-':
            fputs("\\-", out);
            break;
        case '\\':
            fputs("\\e", out);
            break;
        case '\n':
            fputc(i + 1 < len ? ' ' : '\n', out);
            break;
        default:
            fputc(text[i], out);
        }
    }
}

static void
put_text(FILE *out, const char *text)
{
    put(out, text, strlen(text));
}

static void
put_section_name(FILE *out, enum config_section section)
{
    const struct config_section_info *info = &config_sections[section];

    fprintf(out, ".SH [%s%s]\n", info->word,
            !info->named ? "" : (section == SECTION_CLIENT ? " PATTERN" : " NAME"));
    put_text(out, info->text);
    fputs(".\n", out);
}

static void
put_key(FILE *out, const struct config_key *key)
{
    char values[256];

    fputs(".TP\n.B ", out);
    put_text(out, key->name);
    fputs("\n", out);
    put_text(out, key->text);
    fputs(".\nValues: ", out);
    put_text(out, config_key_values(key, values, sizeof values));
    if (key->fallback != NULL && *key->fallback != '\0') {
        fputs("; default: ", out);
        put_text(out, key->fallback);
    }
    fputs(".\n", out);
    if (key->availability != CONFIG_BUILT_IN)
        fprintf(out, "Not built in yet: %s.\n",
                key->availability == CONFIG_MISSING_PROTECTS ? "refused" : "ignored");
}

static void
put_keys(FILE *out)
{
    for (int section = 0; section < SECTION_COUNT; section++) {
        put_section_name(out, (enum config_section)section);
        for (size_t i = 0; i < config_key_count; i++)
            if ((int)config_keys[i].section == section)
                put_key(out, &config_keys[i]);
        if (section != SECTION_CLIENT)
            continue;
        fputs(".PP\nAs in [sessions], whose values they replace:", out);
        for (size_t i = 0; i < config_key_count; i++)
            if (config_keys[i].per_client && config_keys[i].availability == CONFIG_BUILT_IN)
                fprintf(out, " %s", config_keys[i].name);
        fputs(".\n", out);
    }
}

static void
put_option(FILE *out, const struct option_spec *spec)
{
    fputs(".TP\n", out);
    if (spec->letter != 0)
        fprintf(out, "\\fB\\-%c\\fR, ", spec->letter);
    fputs("\\fB\\-\\-", out);
    put_text(out, spec->name);
    fputs("\\fR", out);
    if (spec->argument != NULL) {
        fputs(" \\fI", out);
        put_text(out, spec->argument);
        fputs("\\fR", out);
    }
    fputs("\n", out);
    put_text(out, spec->help);
    fputs("\n", out);
}

static void
put_options(FILE *out)
{
    static const char usage[] = "Usage: ";

    for (int i = OPTIONS_PUB; i <= OPTIONS_FLEET; i++) {
        enum options_command command = (enum options_command)i;
        const char *head = options_help_head(command);
        const char *text = strchr(head, '\n') + 1;
        const char *tail = options_help_tail(command);

        CU_ASSERT_EQUAL_FATAL(strncmp(head, usage, sizeof usage - 1), 0);
        head += sizeof usage - 1;
        fputs(".SH ", out);
        for (const char *name = options_command_name(command); *name != '\0'; name++)
            fputc(*name - 'a' + 'A', out);
        fputs("\n.PP\n.B ", out);
        put(out, head, (size_t)(text - head));
        fputs(".PP\n", out);
        put(out, text, strlen(text) - 1); /* one line end is enough */
        for (size_t k = 0; k < option_spec_count; k++)
            if ((option_specs[k].commands & OPTIONS_FOR(command)) != 0 &&
                option_specs[k].help != NULL)
                put_option(out, &option_specs[k]);
        fputs(".PP\n", out);
        put_text(out, tail + strspn(tail, "\n"));
    }
}

/* The page, up to its marker from the file, then what `write` makes. */
static void
check_page(const char *path, void (*write)(FILE *))
{
    static char text[1 << 18];
    char *wanted = NULL;
    size_t len = 0;
    FILE *file = fopen(path, "r");

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    const char *end = strstr(text, marker);
    CU_ASSERT_PTR_NOT_NULL_FATAL(end);
    FILE *out = open_memstream(&wanted, &len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    fwrite(text, 1, (size_t)(end - text) + sizeof marker - 1, out);
    write(out);
    fclose(out);
    if (getenv("DORMOUSE_UPDATE") != NULL) {
        file = fopen(path, "w");
        CU_ASSERT_PTR_NOT_NULL_FATAL(file);
        fputs(wanted, file);
        fclose(file);
    } else {
        CU_ASSERT_STRING_EQUAL(text, wanted);
    }
    free(wanted);
}

static void
page_of_the_configuration_is_the_table_of_keys(void)
{
    check_page("man/dormouse.ini.5", put_keys);
}

static void
page_of_the_command_is_the_table_of_options(void)
{
    check_page("man/dormouse.1", put_options);
}

static const struct unit_test tests[] = {
    UNIT_TEST(page_of_the_configuration_is_the_table_of_keys),
    UNIT_TEST(page_of_the_command_is_the_table_of_options),
};

UNIT_MAIN("manual pages", tests)
