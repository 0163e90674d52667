/* SPDX-License-Identifier: Apache-2.0 */
/* A directory with configuration files, and what loading them reports. */
#include "config_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CUnit/CUnit.h>

static void
must(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "config_fixture: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

void
config_fixture_init(struct config_fixture *fixture)
{
    char path[96];
    *fixture = (struct config_fixture){.directory = "/tmp/dormouse-config-XXXXXX"};
    must(mkdtemp(fixture->directory) != NULL, "mkdtemp");
    snprintf(path, sizeof(path), "%s/conf.d", fixture->directory);
    must(mkdir(path, 0700) == 0, "mkdir");
}

static int
remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

static void
forget_load(struct config_fixture *fixture)
{
    config_free(fixture->config);
    free(fixture->reports);
    fixture->config = NULL;
    fixture->reports = NULL;
    fixture->errors = fixture->warnings = 0;
}

void
config_fixture_fini(struct config_fixture *fixture)
{
    forget_load(fixture);
    nftw(fixture->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

void
config_fixture_write(struct config_fixture *fixture, const char *name, mode_t mode,
                     const char *octets, size_t len)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    must(fd >= 0 && fchmod(fd, mode) == 0, path);
    must(write(fd, octets, len) == (ssize_t)len, path);
    must(close(fd) == 0, path);
}

struct collector {
    struct config_fixture *fixture;
    FILE *out;
};

static void
on_report(void *ctx, bool warning, const char *text)
{
    struct collector *collector = ctx;
    struct config_fixture *fixture = collector->fixture;
    size_t prefix = strlen(fixture->directory);
    unsigned *count = warning ? &fixture->warnings : &fixture->errors;
    (*count)++;
    if (strncmp(text, fixture->directory, prefix) == 0)
        text += prefix + 1;
    fprintf(collector->out, "%c %s\n", warning ? 'W' : 'E', text);
}

void
config_fixture_load(struct config_fixture *fixture, const char *name)
{
    char path[128];
    struct collector collector = {.fixture = fixture};
    forget_load(fixture);
    snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
    collector.out = open_memstream(&fixture->reports, &fixture->reports_len);
    must(collector.out != NULL, "open_memstream");
    fixture->result = config_load(path, on_report, &collector, &fixture->config);
    must(fclose(collector.out) == 0, "fclose");
}

void
config_fixture_load_text(struct config_fixture *fixture, const char *text)
{
    config_fixture_write(fixture, "main.ini", 0600, text, strlen(text));
    config_fixture_load(fixture, "main.ini");
}

void
check_text(const char *got, const char *wanted)
{
    if (strcmp(got, wanted) != 0)
        fprintf(stderr, "\n    got:    %s    wanted: %s", got, wanted);
    CU_ASSERT_STRING_EQUAL(got, wanted);
}

void
check_reports(const char *text, const char *wanted)
{
    struct config_fixture fixture;
    config_fixture_init(&fixture);
    config_fixture_load_text(&fixture, text);
    check_text(fixture.reports, wanted);
    CU_ASSERT_EQUAL(fixture.result, fixture.errors > 0 ? DM_INVALID : DM_OK);
    CU_ASSERT_EQUAL(fixture.config == NULL, fixture.errors > 0);
    config_fixture_fini(&fixture);
}
