/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the Eclipse Paho MQTT-SN gateway as lines: KEY=VALUE, or CLIENT,REST in its lists.
 */
#include "paho_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "config_reader.h"

/* Reads one line without its end. *len counts what it really has. False: end of the file. */
static bool
read_line(FILE *in, char *text, size_t *len)
{
    int c = EOF;

    *len = 0;
    while ((c = getc(in)) != EOF && c != '\n') {
        if (*len < PAHO_LINE_MAX)
            text[*len] = (char)c;
        (*len)++;
    }
    text[*len < PAHO_LINE_MAX ? *len : PAHO_LINE_MAX] = '\0';
    return c != EOF || *len > 0;
}

static char *
strip(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        text[--len] = '\0';
    return text;
}

static void
squeeze(char *text)
{
    char *to = text;

    for (; *text != '\0'; text++)
        if (!isspace((unsigned char)*text))
            *to++ = *text;
    *to = '\0';
}

/* Cuts `text` in two. Returns why it cannot be read, or NULL. */
static const char *
split(char *text, enum paho_form form, char **key, char **value)
{
    char *separator = strchr(text, form == PAHO_FORM_SETTINGS ? '=' : ',');

    if (separator == NULL || separator == text)
        return form == PAHO_FORM_SETTINGS ? "expected KEY=VALUE" : "expected fields with commas";
    *separator = '\0';
    *key = strip(text);
    *value = strip(separator + 1);
    return NULL;
}

/* The text is copied. */
static enum dm_result
add_line(struct paho_file *file, struct paho_line line)
{
    if ((file->count & (file->count - 1)) == 0) { /* 0, 1, 2, 4 ...: the room is used up */
        size_t room = file->count > 0 ? 2 * file->count : 1;
        struct paho_line *lines = realloc(file->lines, room * sizeof(*lines));
        if (lines == NULL)
            return DM_NO_MEMORY;
        file->lines = lines;
    }
    size_t key_size = strlen(line.key) + 1, value_size = strlen(line.value) + 1;
    char *copy = malloc(key_size + value_size);
    if (copy == NULL)
        return DM_NO_MEMORY;
    memcpy(copy, line.key, key_size);
    memcpy(copy + key_size, line.value, value_size);
    line.key = copy;
    line.value = copy + key_size;
    file->lines[file->count++] = line;
    return DM_OK;
}

static enum dm_result
take_line(struct paho_file *file, enum paho_form form, unsigned number, char *text, size_t len)
{
    char nothing[1] = "";
    struct paho_line line = {.number = number, .key = nothing, .value = nothing};

    if (number == 1 && strncmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        len -= 3;
    }
    if (len > PAHO_LINE_MAX)
        line.bad = "line longer than 1023 octets";
    else if (strlen(text) < len)
        line.bad = "line contains a NUL octet";
    text = strip(text);
    if (*text == '#' || (*text == '\0' && line.bad == NULL))
        return DM_OK;
    if (form == PAHO_FORM_LIST)
        squeeze(text);
    if (line.bad == NULL && file->count == PAHO_LINES_MAX)
        line.bad = "more than 10000 lines: the rest is not read";
    if (line.bad == NULL)
        line.bad = split(text, form, &line.key, &line.value);
    return add_line(file, line);
}

enum dm_result
paho_file_parse(FILE *in, const char *path, enum paho_form form, struct paho_file *file)
{
    char text[PAHO_LINE_MAX + 1] = "";
    size_t len;
    enum dm_result result = DM_OK;

    *file = (struct paho_file){.path = strdup(path)};
    if (file->path == NULL)
        return DM_NO_MEMORY;
    for (unsigned number = 1; result == DM_OK && file->count <= PAHO_LINES_MAX; number++) {
        if (!read_line(in, text, &len))
            break;
        result = take_line(file, form, number, text, len);
    }
    if (result == DM_OK && ferror(in))
        result = DM_IO;
    if (result != DM_OK) {
        int reason = errno;
        paho_file_free(file);
        errno = reason;
    }
    return result;
}

enum dm_result
paho_file_read(const char *path, enum paho_form form, struct paho_file *file)
{
    bool others;
    FILE *in = config_open_file(path, &others);

    *file = (struct paho_file){0};
    if (in == NULL)
        return DM_IO;
    enum dm_result result = paho_file_parse(in, path, form, file);
    int reason = errno;
    fclose(in);
    errno = reason;
    return result;
}

void
paho_file_free(struct paho_file *file)
{
    for (size_t i = 0; i < file->count; i++)
        free(file->lines[i].key);
    free(file->lines);
    free(file->path);
    *file = (struct paho_file){0};
}
