/* SPDX-License-Identifier: Apache-2.0 */
/* inotify on /dev and on the folder of the device. */
#include "serial_plug.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <event2/event.h>

#define CHANGES (IN_CREATE | IN_ATTRIB | IN_MOVED_TO)

struct serial_plug {
    int fd;
    struct event *event;
    char folder[PATH_MAX];
    void (*on_change)(void *ctx);
    void *ctx;
};

/* Where the folder is not there now, the next one above it tells when it appears. */
static void
watch_folder(const struct serial_plug *plug)
{
    char folder[PATH_MAX];
    char *slash;

    memcpy(folder, plug->folder, sizeof folder);
    while (inotify_add_watch(plug->fd, folder, CHANGES | IN_ONLYDIR) < 0 && errno == ENOENT &&
           (slash = strrchr(folder, '/')) != NULL && slash != folder)
        *slash = '\0';
}

static void
on_readable(evutil_socket_t fd, short what, void *ctx)
{
    struct serial_plug *plug = ctx;
    char events[4096];

    (void)what;
    if (read(fd, events, sizeof events) <= 0)
        return;
    watch_folder(plug);
    plug->on_change(plug->ctx); /* may close the plug */
}

static void
set_folder(struct serial_plug *plug, const char *device)
{
    const char *slash = strrchr(device, '/');
    size_t len = slash != NULL ? (size_t)(slash - device) : 0;

    if (len == 0 || len >= sizeof plug->folder) {
        memcpy(plug->folder, slash != NULL ? "/" : ".", 2);
        return;
    }
    memcpy(plug->folder, device, len);
    plug->folder[len] = '\0';
}

struct serial_plug *
serial_plug_open(struct event_base *base, const char *device, void (*on_change)(void *ctx),
                 void *ctx)
{
    struct serial_plug *plug = calloc(1, sizeof *plug);

    if (plug == NULL)
        return NULL;
    *plug = (struct serial_plug){.on_change = on_change, .ctx = ctx};
    plug->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    set_folder(plug, device);
    if (plug->fd >= 0) {
        (void)inotify_add_watch(plug->fd, "/dev", CHANGES | IN_ONLYDIR);
        watch_folder(plug);
        plug->event = event_new(base, plug->fd, EV_READ | EV_PERSIST, on_readable, plug);
    }
    if (plug->event == NULL || event_add(plug->event, NULL) != 0) {
        serial_plug_close(plug);
        return NULL;
    }
    return plug;
}

void
serial_plug_close(struct serial_plug *plug)
{
    if (plug == NULL)
        return;
    if (plug->event != NULL)
        event_free(plug->event);
    if (plug->fd >= 0)
        close(plug->fd);
    free(plug);
}
