/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer between SQLite and its file system (a "VFS" in SQLite's words) that shows every call to a
 * hook first: the store counts what it writes, and bounds what it reads, with it.
 */
#ifndef DORMOUSE_STORE_SQLITE_VFS_H
#define DORMOUSE_STORE_SQLITE_VFS_H

#include <stdbool.h>
#include <stdint.h>

#include <sqlite3.h>

enum vfs_call {
    VFS_OPEN,
    VFS_DELETE,
    VFS_ACCESS,
    VFS_CLOSE,
    VFS_READ,
    VFS_WRITE,
    VFS_TRUNCATE,
    VFS_SYNC,
    VFS_SIZE,
    VFS_LOCK,
    VFS_SHM_MAP, /* the index of the write-ahead log; its content is mapped memory, never written */
    VFS_SHM_LOCK,
    VFS_CALLS,
};

struct vfs_event {
    enum vfs_call call;
    const char *path; /* NULL: a temporary file without a name */
    int flags;        /* of the file when it was opened: SQLITE_OPEN_* */
    const void *data; /* VFS_WRITE */
    int64_t offset;   /* VFS_READ, VFS_WRITE */
    int64_t octets;   /* VFS_READ, VFS_WRITE; VFS_TRUNCATE: the new size */
};

/* Before each call. SQLITE_OK: go on; everything else is the call's answer, and nothing is done.
 * VFS_CLOSE goes on in any case. */
typedef int vfs_hook(void *ctx, const struct vfs_event *event);

struct vfs_layer {
    sqlite3_vfs vfs; /* first: SQLite hands it back as what it is */
    sqlite3_vfs *base;
    vfs_hook *hook;
    void *ctx;
    char name[32];  /* for sqlite3_open_v2 */
    int read_error; /* the latest result of a read that failed; SQLITE_OK: none did */
};

/* Puts the layer over the default file system, and makes it the default if `make_default`. The
 * caller's storage, in use until it is unregistered and all its files are closed. An SQLite result.
 */
int vfs_layer_register(struct vfs_layer *layer, vfs_hook *hook, void *ctx, bool make_default);
void vfs_layer_unregister(struct vfs_layer *layer);

#endif
