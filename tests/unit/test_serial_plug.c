/* SPDX-License-Identifier: Apache-2.0 */
/* Notices of devices that may have been plugged in. */
#include "serial_plug.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "unit.h"

/* A folder of links that may come and go, inside a folder that stays. */
struct bench {
    struct event_base *base;
    struct serial_plug *plug;
    unsigned changes;
    bool closes; /* the plug, at the first change */
    char top[32], folder[48], sub[64], device[80];
};

static void
on_change(void *ctx)
{
    struct bench *bench = ctx;

    bench->changes++;
    if (bench->closes) {
        serial_plug_close(bench->plug);
        bench->plug = NULL;
    }
}

static void
bench_init(struct bench *bench)
{
    memset(bench, 0, sizeof *bench);
    bench->base = event_base_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(bench->base);
    snprintf(bench->top, sizeof bench->top, "/tmp/dormouse-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(bench->top));
    snprintf(bench->folder, sizeof bench->folder, "%s/serial", bench->top);
    snprintf(bench->sub, sizeof bench->sub, "%s/by-id", bench->folder);
    snprintf(bench->device, sizeof bench->device, "%s/radio", bench->sub);
}

static void
bench_open(struct bench *bench)
{
    bench->plug = serial_plug_open(bench->base, bench->device, on_change, bench);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bench->plug);
}

static void
bench_fini(struct bench *bench)
{
    serial_plug_close(bench->plug);
    event_base_free(bench->base);
    unlink(bench->device);
    rmdir(bench->sub);
    rmdir(bench->folder);
    rmdir(bench->top);
}

/* What the kernel has told when this was called is seen by the loop at once. */
static bool
is_noticed(struct bench *bench)
{
    unsigned before = bench->changes;

    event_base_loop(bench->base, EVLOOP_NONBLOCK);
    return bench->changes > before;
}

static void
make_link(const struct bench *bench)
{
    CU_ASSERT_EQUAL_FATAL(symlink("/dev/null", bench->device), 0);
}

static void
plug_notices_a_link_that_appears(void)
{
    struct bench bench;

    bench_init(&bench);
    mkdir(bench.folder, 0700);
    mkdir(bench.sub, 0700);
    bench_open(&bench);
    CU_ASSERT_FALSE(is_noticed(&bench));
    make_link(&bench);
    CU_ASSERT_TRUE(is_noticed(&bench));
    CU_ASSERT_FALSE(is_noticed(&bench));
    bench_fini(&bench);
}

/* udev makes a link under another name first. */
static void
plug_notices_a_link_that_is_moved_there(void)
{
    struct bench bench;
    char other[96];

    bench_init(&bench);
    mkdir(bench.folder, 0700);
    mkdir(bench.sub, 0700);
    snprintf(other, sizeof other, "%s/other", bench.top);
    CU_ASSERT_EQUAL_FATAL(symlink("/dev/null", other), 0);
    bench_open(&bench);
    CU_ASSERT_EQUAL_FATAL(rename(other, bench.device), 0);
    CU_ASSERT_TRUE(is_noticed(&bench));
    bench_fini(&bench);
}

/* Permissions come after the device itself. */
static void
plug_notices_new_permissions(void)
{
    struct bench bench;

    bench_init(&bench);
    mkdir(bench.folder, 0700);
    mkdir(bench.sub, 0700);
    FILE *file = fopen(bench.device, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fclose(file);
    bench_open(&bench);
    CU_ASSERT_EQUAL_FATAL(chmod(bench.device, 0600), 0);
    CU_ASSERT_TRUE(is_noticed(&bench));
    bench_fini(&bench);
}

/* /dev/serial/by-id is there only while a device is. */
static void
plug_follows_a_folder_that_appears_later(void)
{
    struct bench bench;

    bench_init(&bench);
    bench_open(&bench);
    CU_ASSERT_FALSE(is_noticed(&bench));
    mkdir(bench.folder, 0700);
    CU_ASSERT_TRUE(is_noticed(&bench));
    mkdir(bench.sub, 0700);
    CU_ASSERT_TRUE(is_noticed(&bench));
    make_link(&bench);
    CU_ASSERT_TRUE(is_noticed(&bench));
    bench_fini(&bench);
}

static void
plug_follows_a_folder_that_comes_back(void)
{
    struct bench bench;

    bench_init(&bench);
    mkdir(bench.folder, 0700);
    mkdir(bench.sub, 0700);
    bench_open(&bench);
    rmdir(bench.sub);
    is_noticed(&bench);
    mkdir(bench.sub, 0700);
    is_noticed(&bench);
    make_link(&bench);
    CU_ASSERT_TRUE(is_noticed(&bench));
    bench_fini(&bench);
}

static void
plug_may_be_closed_inside_its_own_callback(void)
{
    struct bench bench;

    bench_init(&bench);
    mkdir(bench.folder, 0700);
    mkdir(bench.sub, 0700);
    bench.closes = true;
    bench_open(&bench);
    make_link(&bench);
    chmod(bench.sub, 0755); /* more than one event waits */
    CU_ASSERT_TRUE(is_noticed(&bench));
    CU_ASSERT_PTR_NULL(bench.plug);
    unlink(bench.device);
    make_link(&bench);
    CU_ASSERT_FALSE(is_noticed(&bench));
    bench_fini(&bench);
}

static void
plug_of_a_relative_path_or_the_root_watches_its_folder(void)
{
    struct bench bench;
    char here[200];

    bench_init(&bench);
    CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(here, sizeof here));
    CU_ASSERT_EQUAL_FATAL(chdir(bench.top), 0);
    bench.plug = serial_plug_open(bench.base, "serial", on_change, &bench);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bench.plug);
    mkdir("serial", 0700);
    CU_ASSERT_TRUE(is_noticed(&bench));
    CU_ASSERT_EQUAL_FATAL(chdir(here), 0);
    serial_plug_close(bench.plug);
    bench.plug = serial_plug_open(bench.base, "/radio", on_change, &bench);
    CU_ASSERT_PTR_NOT_NULL(bench.plug);
    bench_fini(&bench);
}

static const struct unit_test tests[] = {
    UNIT_TEST(plug_notices_a_link_that_appears),
    UNIT_TEST(plug_notices_a_link_that_is_moved_there),
    UNIT_TEST(plug_notices_new_permissions),
    UNIT_TEST(plug_follows_a_folder_that_appears_later),
    UNIT_TEST(plug_follows_a_folder_that_comes_back),
    UNIT_TEST(plug_may_be_closed_inside_its_own_callback),
    UNIT_TEST(plug_of_a_relative_path_or_the_root_watches_its_folder),
};

UNIT_MAIN("serial plug", tests)
