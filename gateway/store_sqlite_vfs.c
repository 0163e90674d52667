/* SPDX-License-Identifier: Apache-2.0 */
/* A layer over the file system that SQLite uses: every call passes a hook, then goes on. */
#include "store_sqlite_vfs.h"

#include <stdio.h>

struct layer_file {
    sqlite3_file file; /* first: SQLite hands it back as what it is */
    struct vfs_layer *layer;
    const char *path; /* lives as long as the file is open (xOpen) */
    int flags;
    sqlite3_file *real;
};

/* The base's file follows ours in the memory that SQLite gives; both are aligned to eight octets.
 */
#define OWN_SIZE ((int)((sizeof(struct layer_file) + 7u) & ~7u))

static int
show(const struct layer_file *f, enum vfs_call call, const void *data, int64_t offset,
     int64_t octets)
{
    struct vfs_event event = {call, f->path, f->flags, data, offset, octets};

    return f->layer->hook(f->layer->ctx, &event);
}

static int
file_close(sqlite3_file *file)
{
    struct layer_file *f = (struct layer_file *)file;

    (void)show(f, VFS_CLOSE, NULL, 0, 0);
    return f->real->pMethods->xClose(f->real);
}

static int
file_read(sqlite3_file *file, void *data, int octets, sqlite3_int64 offset)
{
    struct layer_file *f = (struct layer_file *)file;
    int rc = show(f, VFS_READ, NULL, offset, octets);

    if (rc != SQLITE_OK)
        return rc;
    rc = f->real->pMethods->xRead(f->real, data, octets, offset);
    if (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ)
        f->layer->read_error = rc;
    return rc;
}

static int
file_write(sqlite3_file *file, const void *data, int octets, sqlite3_int64 offset)
{
    struct layer_file *f = (struct layer_file *)file;
    int rc = show(f, VFS_WRITE, data, offset, octets);

    return rc != SQLITE_OK ? rc : f->real->pMethods->xWrite(f->real, data, octets, offset);
}

static int
file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    struct layer_file *f = (struct layer_file *)file;
    int rc = show(f, VFS_TRUNCATE, NULL, 0, size);

    return rc != SQLITE_OK ? rc : f->real->pMethods->xTruncate(f->real, size);
}

static int
file_sync(sqlite3_file *file, int flags)
{
    struct layer_file *f = (struct layer_file *)file;
    int rc = show(f, VFS_SYNC, NULL, 0, 0);

    return rc != SQLITE_OK ? rc : f->real->pMethods->xSync(f->real, flags);
}

static int
file_size(sqlite3_file *file, sqlite3_int64 *size)
{
    struct layer_file *f = (struct layer_file *)file;
    int rc = show(f, VFS_SIZE, NULL, 0, 0);

    return rc != SQLITE_OK ? rc : f->real->pMethods->xFileSize(f->real, size);
}

static int
file_lock(sqlite3_file *file, int level)
{
    struct layer_file *f = (struct layer_file *)file;
    int rc = show(f, VFS_LOCK, NULL, 0, 0);

    return rc != SQLITE_OK ? rc : f->real->pMethods->xLock(f->real, level);
}

static int
file_unlock(sqlite3_file *file, int level)
{
    struct layer_file *f = (struct layer_file *)file;

    return f->real->pMethods->xUnlock(f->real, level);
}

static int
file_check_lock(sqlite3_file *file, int *locked)
{
    struct layer_file *f = (struct layer_file *)file;

    return f->real->pMethods->xCheckReservedLock(f->real, locked);
}

static int
file_control(sqlite3_file *file, int operation, void *argument)
{
    struct layer_file *f = (struct layer_file *)file;

    return f->real->pMethods->xFileControl(f->real, operation, argument);
}

static int
file_sector_size(sqlite3_file *file)
{
    struct layer_file *f = (struct layer_file *)file;

    return f->real->pMethods->xSectorSize(f->real);
}

static int
file_characteristics(sqlite3_file *file)
{
    struct layer_file *f = (struct layer_file *)file;

    return f->real->pMethods->xDeviceCharacteristics(f->real);
}

static int
file_shm_map(sqlite3_file *file, int region, int octets, int extend, void volatile **memory)
{
    struct layer_file *f = (struct layer_file *)file;
    int rc = show(f, VFS_SHM_MAP, NULL, 0, 0);

    return rc != SQLITE_OK ? rc
                           : f->real->pMethods->xShmMap(f->real, region, octets, extend, memory);
}

static int
file_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    struct layer_file *f = (struct layer_file *)file;
    /* Giving a lock back cannot fail. */
    int rc = (flags & SQLITE_SHM_LOCK) != 0 ? show(f, VFS_SHM_LOCK, NULL, 0, 0) : SQLITE_OK;

    return rc != SQLITE_OK ? rc : f->real->pMethods->xShmLock(f->real, offset, count, flags);
}

static void
file_shm_barrier(sqlite3_file *file)
{
    struct layer_file *f = (struct layer_file *)file;

    f->real->pMethods->xShmBarrier(f->real);
}

static int
file_shm_unmap(sqlite3_file *file, int delete)
{
    struct layer_file *f = (struct layer_file *)file;

    return f->real->pMethods->xShmUnmap(f->real, delete);
}

/* Version 2: the write-ahead log's shared memory, but no mapped reading of the files (xFetch),
 * which the hook would not see. */
static const sqlite3_io_methods file_methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

/* The file system itself */

static int
layer_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
    struct vfs_layer *layer = (struct vfs_layer *)vfs;
    struct layer_file *f = (struct layer_file *)file;

    *f = (struct layer_file){.layer = layer, .path = path, .flags = flags};
    f->real = (sqlite3_file *)((char *)file + OWN_SIZE);
    f->real->pMethods = NULL;
    int rc = show(f, VFS_OPEN, NULL, 0, 0);
    if (rc == SQLITE_OK)
        rc = layer->base->xOpen(layer->base, path, f->real, flags, out_flags);
    /* Without methods SQLite does not close the file; the base may want that after a failure. */
    if (f->real->pMethods != NULL)
        f->file.pMethods = &file_methods;
    return rc;
}

static int
layer_delete(sqlite3_vfs *vfs, const char *path, int sync_directory)
{
    struct vfs_layer *layer = (struct vfs_layer *)vfs;
    struct vfs_event event = {.call = VFS_DELETE, .path = path, .flags = sync_directory};
    int rc = layer->hook(layer->ctx, &event);

    return rc != SQLITE_OK ? rc : layer->base->xDelete(layer->base, path, sync_directory);
}

static int
layer_access(sqlite3_vfs *vfs, const char *path, int flags, int *answer)
{
    struct vfs_layer *layer = (struct vfs_layer *)vfs;
    struct vfs_event event = {.call = VFS_ACCESS, .path = path};
    int rc = layer->hook(layer->ctx, &event);

    return rc != SQLITE_OK ? rc : layer->base->xAccess(layer->base, path, flags, answer);
}

static int
layer_full_path(sqlite3_vfs *vfs, const char *path, int size, char *full)
{
    sqlite3_vfs *base = ((struct vfs_layer *)vfs)->base;

    return base->xFullPathname(base, path, size, full);
}

static int
layer_randomness(sqlite3_vfs *vfs, int octets, char *out)
{
    sqlite3_vfs *base = ((struct vfs_layer *)vfs)->base;

    return base->xRandomness(base, octets, out);
}

static int
layer_sleep(sqlite3_vfs *vfs, int microseconds)
{
    sqlite3_vfs *base = ((struct vfs_layer *)vfs)->base;

    return base->xSleep(base, microseconds);
}

static int
layer_current_time(sqlite3_vfs *vfs, double *days)
{
    sqlite3_vfs *base = ((struct vfs_layer *)vfs)->base;

    return base->xCurrentTime(base, days);
}

static int
layer_last_error(sqlite3_vfs *vfs, int size, char *text)
{
    sqlite3_vfs *base = ((struct vfs_layer *)vfs)->base;

    return base->xGetLastError(base, size, text);
}

int
vfs_layer_register(struct vfs_layer *layer, vfs_hook *hook, void *ctx, bool make_default)
{
    int rc = sqlite3_initialize();

    *layer = (struct vfs_layer){.base = sqlite3_vfs_find(NULL), .hook = hook, .ctx = ctx};
    if (rc != SQLITE_OK || layer->base == NULL)
        return rc != SQLITE_OK ? rc : SQLITE_CANTOPEN;
    snprintf(layer->name, sizeof layer->name, "layer-%p", (void *)layer);
    layer->vfs = (sqlite3_vfs){
        .iVersion = 1,
        .szOsFile = OWN_SIZE + layer->base->szOsFile,
        .mxPathname = layer->base->mxPathname,
        .zName = layer->name,
        .xOpen = layer_open,
        .xDelete = layer_delete,
        .xAccess = layer_access,
        .xFullPathname = layer_full_path,
        .xRandomness = layer_randomness,
        .xSleep = layer_sleep,
        .xCurrentTime = layer_current_time,
        .xGetLastError = layer_last_error,
    };
    return sqlite3_vfs_register(&layer->vfs, make_default);
}

void
vfs_layer_unregister(struct vfs_layer *layer)
{
    if (layer->base != NULL)
        sqlite3_vfs_unregister(&layer->vfs);
}
