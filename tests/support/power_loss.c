/* SPDX-License-Identifier: Apache-2.0 */
/* What was synced, what was only written, and the directory that is left of both. */
#include "power_loss.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_sqlite_vfs.h"
#include "unit.h"

#define SECTOR 512
#define FILES 8
#define NAME_SIZE 64
#define SHM_SUFFIX "-shm" /* mapped memory, made anew by the first process that opens it */

/* One change that is not synced. */
struct change {
    bool truncates; /* to `offset` */
    int64_t offset, octets;
    uint8_t *data;
};

struct content {
    uint8_t *data;
    int64_t size, room;
};

struct watched_file {
    char name[NAME_SIZE];
    bool exists, durable; /* its name: now; after a failure */
    struct content synced;
    struct change *changes;
    size_t change_count, change_room;
};

static struct {
    struct vfs_layer layer;
    char directory[128];
    bool lies;
    power_loss_moment *moment;
    void *ctx;
    struct watched_file files[FILES];
    size_t count;
} disk;

/* Content */

static void *
grow(void *old, size_t octets)
{
    void *memory = realloc(old, octets);

    CU_ASSERT_PTR_NOT_NULL_FATAL(memory);
    return memory;
}

static void
content_resize(struct content *c, int64_t size)
{
    if (size > c->room) {
        c->room = size * 2;
        c->data = grow(c->data, (size_t)c->room);
    }
    if (size > c->size)
        memset(c->data + c->size, 0, (size_t)(size - c->size));
    c->size = size;
}

static void
content_write(struct content *c, const uint8_t *data, int64_t offset, int64_t octets)
{
    if (c->size < offset + octets)
        content_resize(c, offset + octets);
    if (octets > 0)
        memcpy(c->data + offset, data, (size_t)octets);
}

static void
content_apply(struct content *c, const struct change *change)
{
    if (change->truncates)
        content_resize(c, change->offset);
    else
        content_write(c, change->data, change->offset, change->octets);
}

/* Each sector of a write arrives or not. */
static void
content_apply_sectors(struct content *c, const struct change *change, struct random_source *random)
{
    if (change->truncates) {
        if (random_below(random, 2) == 0)
            content_resize(c, change->offset);
        return;
    }
    for (int64_t at = 0; at < change->octets;) {
        int64_t part = SECTOR - (change->offset + at) % SECTOR;
        if (part > change->octets - at)
            part = change->octets - at;
        if (random_below(random, 2) == 0)
            content_write(c, change->data + at, change->offset + at, part);
        at += part;
    }
}

/* Files */

/* NULL: not one of ours. */
static struct watched_file *
find_file(const char *path)
{
    size_t len = strlen(disk.directory);

    if (path == NULL || strncmp(path, disk.directory, len) != 0 || path[len] != '/' ||
        strstr(path, SHM_SUFFIX) != NULL)
        return NULL;
    const char *name = path + len + 1;
    for (size_t i = 0; i < disk.count; i++)
        if (strcmp(disk.files[i].name, name) == 0)
            return &disk.files[i];
    CU_ASSERT_FATAL(disk.count < FILES);
    struct watched_file *f = &disk.files[disk.count++];
    snprintf(f->name, sizeof f->name, "%s", name);
    return f;
}

static void
forget_changes(struct watched_file *f)
{
    for (size_t i = 0; i < f->change_count; i++)
        free(f->changes[i].data);
    f->change_count = 0;
}

static void
add_change(struct watched_file *f, const struct vfs_event *event)
{
    if (f->change_count == f->change_room) {
        f->change_room = f->change_room * 2 + 64;
        f->changes = grow(f->changes, f->change_room * sizeof *f->changes);
    }
    struct change *change = &f->changes[f->change_count++];
    if (event->call == VFS_TRUNCATE) {
        *change = (struct change){.truncates = true, .offset = event->octets};
        return;
    }
    *change = (struct change){
        .offset = event->offset,
        .octets = event->octets,
        .data = grow(NULL, (size_t)event->octets),
    };
    memcpy(change->data, event->data, (size_t)event->octets);
}

static void
sync_names(void)
{
    for (size_t i = 0; i < disk.count; i++) {
        struct watched_file *f = &disk.files[i];
        f->durable = f->exists;
        if (!f->durable) {
            f->synced.size = 0;
            forget_changes(f);
        }
    }
}

/* SQLite syncs the directory of a journal or log that it made with the file's first sync. */
static void
sync_file(struct watched_file *f, int flags)
{
    for (size_t i = 0; i < f->change_count; i++)
        content_apply(&f->synced, &f->changes[i]);
    forget_changes(f);
    if ((flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0 && !f->durable)
        sync_names();
}

/* Under an old name, nothing of the old content is in a new file. The database is made by whoever
 * opens it, so SQLite never creates it. */
static void
open_file(struct watched_file *f, int flags)
{
    if (f->exists || (flags & (SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB)) == 0)
        return;
    f->exists = true;
    add_change(f, &(struct vfs_event){.call = VFS_TRUNCATE});
}

static int
on_vfs_call(void *ctx, const struct vfs_event *event)
{
    struct watched_file *f = find_file(event->path);

    (void)ctx;
    if (f == NULL)
        return SQLITE_OK;
    switch (event->call) {
    case VFS_OPEN:
    case VFS_DELETE:
    case VFS_WRITE:
    case VFS_TRUNCATE:
    case VFS_SYNC:
        if (disk.moment != NULL)
            disk.moment(disk.ctx);
        break;
    default:
        return SQLITE_OK;
    }
    if (event->call == VFS_OPEN)
        open_file(f, event->flags);
    else if (event->call == VFS_WRITE || event->call == VFS_TRUNCATE)
        add_change(f, event);
    else if (event->call == VFS_SYNC && !disk.lies)
        sync_file(f, event->flags);
    else if (event->call == VFS_DELETE) {
        f->exists = false;
        if (event->flags != 0 && !disk.lies) /* the directory is synced */
            sync_names();
    }
    return SQLITE_OK;
}

static void
take_file(const char *name)
{
    char path[256];
    struct stat info;

    snprintf(path, sizeof path, "%s/%s", disk.directory, name);
    struct watched_file *f = find_file(path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (f != NULL && fd >= 0 && fstat(fd, &info) == 0) {
        f->exists = true;
        f->durable = true;
        content_resize(&f->synced, info.st_size);
        CU_ASSERT_EQUAL(read(fd, f->synced.data, (size_t)info.st_size), info.st_size);
    }
    if (fd >= 0)
        close(fd);
}

void
power_loss_start(const char *directory, bool lies, power_loss_moment *moment, void *ctx)
{
    struct dirent *entry;

    memset(&disk, 0, sizeof disk);
    snprintf(disk.directory, sizeof disk.directory, "%s", directory);
    disk.lies = lies;
    disk.moment = moment;
    disk.ctx = ctx;
    DIR *names = opendir(directory);
    CU_ASSERT_PTR_NOT_NULL_FATAL(names);
    while ((entry = readdir(names)) != NULL)
        if (strncmp(entry->d_name, "dormouse.db", 11) == 0)
            take_file(entry->d_name);
    closedir(names);
    CU_ASSERT_EQUAL_FATAL(vfs_layer_register(&disk.layer, on_vfs_call, NULL, true), SQLITE_OK);
}

void
power_loss_stop(void)
{
    vfs_layer_unregister(&disk.layer);
    for (size_t i = 0; i < disk.count; i++) {
        forget_changes(&disk.files[i]);
        free(disk.files[i].changes);
        free(disk.files[i].synced.data);
    }
}

/* The failure */

static void
leave_file(const struct watched_file *f, const char *target, enum power_loss_rest rest,
           struct random_source *random)
{
    struct content content = {0};
    char path[256];
    size_t arrived = f->change_count;

    content_write(&content, f->synced.data, 0, f->synced.size);
    if (rest == POWER_LOSS_NOTHING)
        arrived = 0;
    else if (rest == POWER_LOSS_ORDERED)
        arrived = random_below(random, (unsigned)f->change_count + 1);
    for (size_t i = 0; i < arrived; i++)
        if (rest == POWER_LOSS_SECTORS)
            content_apply_sectors(&content, &f->changes[i], random);
        else
            content_apply(&content, &f->changes[i]);
    snprintf(path, sizeof path, "%s/%s", target, f->name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, content.data, (size_t)content.size), content.size);
    close(fd);
    free(content.data);
}

void
power_loss_leave(const char *target, enum power_loss_rest rest, struct random_source *random)
{
    for (size_t i = 0; i < disk.count; i++) {
        const struct watched_file *f = &disk.files[i];
        bool there = f->durable;
        if (f->exists != f->durable && rest != POWER_LOSS_NOTHING)
            there = random_below(random, 2) == 0;
        if (there)
            leave_file(f, target, rest, random);
    }
}
