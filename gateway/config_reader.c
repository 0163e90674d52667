/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files as lines: a line-counting reader around inih, and the order of conf.d. */
#include "config_reader.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ini.h>

#define LINE_MAX_OCTETS 199   /* what inih (r55, INI_MAX_LINE 200) hands out whole */
#define SECTION_MAX_OCTETS 49 /* inih cuts longer names without an error */
#define FILE_MAX_OCTETS (16 * 1024 * 1024)
#define RAW_MAX 1024 /* of one line with its indentation; the rest is read and thrown away */

struct reader {
    FILE *file;
    const struct config_reader_events *events;
    struct config_place place; /* of the line inih works on */
    bool commented;            /* inih cuts a comment off its value */
    bool failed;               /* I/O error */
};

enum dm_result
config_strings_add(struct config_strings *strings, const char *text)
{
    char **items = realloc(strings->items, (strings->count + 1) * sizeof(*items));
    if (items == NULL)
        return DM_NO_MEMORY;
    strings->items = items;
    items[strings->count] = strdup(text);
    if (items[strings->count] == NULL)
        return DM_NO_MEMORY;
    strings->count++;
    return DM_OK;
}

void
config_strings_free(struct config_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
    *strings = (struct config_strings){0};
}

FILE *
config_open_file(const char *path, bool *others)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a FIFO would block */
    if (fd < 0)
        return NULL;
    struct stat status;
    FILE *file = NULL;
    if (fstat(fd, &status) == 0) {
        if (S_ISDIR(status.st_mode))
            errno = EISDIR;
        else if (!S_ISREG(status.st_mode))
            errno = EINVAL;
        else if (status.st_size > FILE_MAX_OCTETS)
            errno = EFBIG;
        else
            file = fdopen(fd, "r");
    }
    if (file == NULL) {
        int reason = errno;
        close(fd);
        errno = reason;
        return NULL;
    }
    *others = (status.st_mode & S_IRWXO) != 0;
    return file;
}

const char *
config_open_reason(int error)
{
    return error == EINVAL ? "not a regular file" : strerror(error);
}

static int
is_ini_file(const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    return entry->d_name[0] != '.' && len > 4 && strcmp(entry->d_name + len - 4, ".ini") == 0;
}

/* alphasort follows the locale; the order of a configuration must not. */
static int
by_octets(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Adds the files of `directory`. */
static enum dm_result
find_fragments(const char *directory, struct config_strings *files)
{
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, is_ini_file, by_octets);
    if (count < 0)
        return errno == ENOENT ? DM_OK : errno == ENOMEM ? DM_NO_MEMORY : DM_IO;
    enum dm_result result = DM_OK;
    for (int i = 0; i < count; i++) {
        char *path = NULL;
        if (result == DM_OK && asprintf(&path, "%s/%s", directory, entries[i]->d_name) < 0)
            result = DM_NO_MEMORY;
        else if (result == DM_OK) {
            result = config_strings_add(files, path);
            free(path);
        }
        free(entries[i]);
    }
    free(entries);
    return result;
}

enum dm_result
config_find_files(const char *path, struct config_strings *files)
{
    enum dm_result result = config_strings_add(files, path);
    if (result != DM_OK)
        return result;
    const char *slash = strrchr(path, '/');
    int parent = slash != NULL ? (int)(slash - path) + 1 : 0;
    char *directory = NULL;
    if (asprintf(&directory, "%.*sconf.d", parent, path) < 0)
        return DM_NO_MEMORY;
    result = find_fragments(directory, files);
    int reason = errno;
    free(directory);
    errno = reason;
    return result;
}

static void
bad_line(struct reader *reader, const char *reason)
{
    reader->events->on_bad_line(reader->events->ctx, &reader->place, reason);
}

/* Reads one raw line of at most RAW_MAX - 1 octets. *len counts what the line really has. False:
 * end of the file. */
static bool
read_raw(struct reader *reader, char *raw, size_t *len)
{
    int c = EOF;
    *len = 0;
    while ((c = getc(reader->file)) != EOF && c != '\n') {
        if (*len < RAW_MAX - 1)
            raw[*len] = (char)c;
        (*len)++;
    }
    if (ferror(reader->file))
        reader->failed = true;
    raw[*len < RAW_MAX ? *len : RAW_MAX - 1] = '\0';
    return c != EOF || *len > 0;
}

static char *
strip(char *text)
{
    while (isspace((unsigned char)text[0]))
        text++;
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        text[--len] = '\0';
    return text;
}

/* "[header]", perhaps with a comment behind it. Returns the header, or NULL after reporting. */
static char *
parse_header(struct reader *reader, char *line)
{
    char *end = strchr(line, ']');
    if (end == NULL) {
        bad_line(reader, "section header without ]");
        return NULL;
    }
    const char *rest = end + 1 + strspn(end + 1, " \t");
    if (*rest != '\0' && *rest != ';' && *rest != '#') {
        bad_line(reader, "text behind a section header");
        return NULL;
    }
    *end = '\0';
    if (strlen(line + 1) > SECTION_MAX_OCTETS) {
        bad_line(reader, "section header longer than 49 octets");
        return NULL;
    }
    return strip(line + 1);
}

/* Reports a section; inih tells only of those that have keys. A header that cannot be read still
 * ends the section before it, so that its keys go nowhere else. */
static void
take_header(struct reader *reader, char *line)
{
    reader->events->on_section(reader->events->ctx, &reader->place, parse_header(reader, line));
}

/* inih takes ':' for '=', too. None of our keys has either character or a semicolon. */
static bool
is_assignment(const char *line)
{
    const char *separator = strpbrk(line, "=:;");
    return separator != NULL && separator != line && *separator == '=';
}

/* inih ends a value at a semicolon behind a space. */
static bool
has_comment(const char *line)
{
    const char *semicolon = line;
    while ((semicolon = strchr(semicolon + 1, ';')) != NULL)
        if (isspace((unsigned char)semicolon[-1]))
            return true;
    return false;
}

/* What of a line inih may see: assignments that fit its buffer. */
static const char *
filter_line(struct reader *reader, char *raw, size_t len, size_t limit)
{
    char *line = raw;
    if (reader->place.line == 1 && strncmp(line, "\xEF\xBB\xBF", 3) == 0)
        line += 3;
    bool has_nul = len < RAW_MAX && strlen(raw) < len;
    line = strip(line); /* inih takes an indented line for more of the value before it */
    if (has_nul)
        bad_line(reader, "line contains a NUL octet");
    else if (*line == '\0' && len < RAW_MAX)
        return "";
    else if (*line == ';' || *line == '#')
        return "";
    else if (len >= RAW_MAX || strlen(line) > limit)
        bad_line(reader, "line longer than 199 octets");
    else if (*line == '[')
        take_header(reader, line);
    else if (!is_assignment(line))
        bad_line(reader, "expected key = value");
    else {
        reader->commented = has_comment(line);
        return line;
    }
    return "";
}

/* The reader function of ini_parse_stream: like fgets. */
static char *
read_line(char *buffer, int size, void *stream)
{
    struct reader *reader = stream;
    char raw[RAW_MAX] = "";
    size_t len;
    if (size < 2 || !read_raw(reader, raw, &len))
        return NULL;
    reader->place.line++;
    size_t limit = (size_t)size - 1 < LINE_MAX_OCTETS ? (size_t)size - 1 : LINE_MAX_OCTETS;
    snprintf(buffer, (size_t)size, "%s", filter_line(reader, raw, len, limit));
    return buffer;
}

static int
on_pair(void *ctx, const char *section, const char *key, const char *value)
{
    struct reader *reader = ctx;
    (void)section; /* read_line saw the header itself: inih has no word for a bad or empty one */
    reader->events->on_value(reader->events->ctx, &reader->place, key, value, reader->commented);
    return 1;
}

enum dm_result
config_read_file(const char *file, const struct config_reader_events *events)
{
    struct reader reader = {.events = events, .place = {.file = file}};
    reader.file = config_open_file(file, &reader.place.others);
    if (reader.file == NULL)
        return DM_IO;
    int status = ini_parse_stream(read_line, &reader, on_pair, &reader);
    int reason = errno;
    fclose(reader.file);
    errno = reason;
    if (status < 0)
        return DM_NO_MEMORY;
    if (status > 0) { /* an inih built with other options than Debian's */
        reader.place.line = (unsigned)status;
        bad_line(&reader, "cannot be parsed");
    }
    return reader.failed ? DM_IO : DM_OK;
}
