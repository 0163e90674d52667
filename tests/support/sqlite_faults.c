/* SPDX-License-Identifier: Apache-2.0 */
/* Which call fails; a layer over the file system and allocations that do. */
#include "sqlite_faults.h"

#include <errno.h>

#include "store_sqlite_vfs.h"
#include "unit.h"

struct sqlite_faults sqlite_faults;

static struct vfs_layer layer;
static sqlite3_mem_methods memory;

bool
sqlite_faults_hit(enum fault_kind kind)
{
    struct sqlite_faults *f = &sqlite_faults;

    if (f->kind != kind)
        return false;
    unsigned long count = ++f->count;
    if (count < f->fail_at || (count > f->fail_at && !f->lasting))
        return false;
    f->failed = true;
    return true;
}

/* As the unix file system of SQLite answers, with the system's reason. */
static int
on_vfs_call(void *ctx, const struct vfs_event *event)
{
    static const struct {
        int rc, number;
    } errors[VFS_CALLS][2] = {
        [VFS_OPEN] = {{SQLITE_CANTOPEN, EMFILE}, {SQLITE_CANTOPEN, ENOSPC}},
        [VFS_DELETE] = {{SQLITE_IOERR_DELETE, EIO}, {SQLITE_IOERR_DELETE, EROFS}},
        [VFS_ACCESS] = {{SQLITE_IOERR_ACCESS, EIO}, {SQLITE_IOERR_ACCESS, ENOMEM}},
        [VFS_READ] = {{SQLITE_IOERR_READ, ENXIO}, {SQLITE_IOERR_CORRUPTFS, EIO}},
        [VFS_WRITE] = {{SQLITE_FULL, ENOSPC}, {SQLITE_IOERR_WRITE, EIO}},
        [VFS_TRUNCATE] = {{SQLITE_IOERR_TRUNCATE, EIO}, {SQLITE_IOERR_TRUNCATE, ENOSPC}},
        [VFS_SYNC] = {{SQLITE_IOERR_FSYNC, EIO}, {SQLITE_FULL, ENOSPC}},
        [VFS_SIZE] = {{SQLITE_IOERR_FSTAT, EIO}, {SQLITE_IOERR_FSTAT, EIO}},
        [VFS_LOCK] = {{SQLITE_IOERR_LOCK, ENOLCK}, {SQLITE_IOERR_LOCK, EIO}},
        [VFS_SHM_MAP] = {{SQLITE_IOERR_SHMMAP, ENOMEM}, {SQLITE_IOERR_SHMSIZE, ENOSPC}},
        [VFS_SHM_LOCK] = {{SQLITE_IOERR_SHMLOCK, ENOLCK}, {SQLITE_IOERR_SHMLOCK, EIO}},
    };

    (void)ctx;
    if (event->call == VFS_CLOSE || !sqlite_faults_hit(FAULT_FILES))
        return SQLITE_OK;
    unsigned long choice = sqlite_faults.code % 2;
    errno = errors[event->call][choice].number;
    return errors[event->call][choice].rc;
}

static void *
allocate(int octets)
{
    return sqlite_faults_hit(FAULT_MEMORY) ? NULL : memory.xMalloc(octets);
}

static void *
allocate_again(void *old, int octets)
{
    return sqlite_faults_hit(FAULT_MEMORY) ? NULL : memory.xRealloc(old, octets);
}

void
sqlite_faults_start(void)
{
    CU_ASSERT_EQUAL_FATAL(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory), SQLITE_OK);
    sqlite3_mem_methods failing = memory;
    failing.xMalloc = allocate;
    failing.xRealloc = allocate_again;
    CU_ASSERT_EQUAL_FATAL(sqlite3_config(SQLITE_CONFIG_MALLOC, &failing), SQLITE_OK);
    CU_ASSERT_EQUAL_FATAL(vfs_layer_register(&layer, on_vfs_call, NULL, true), SQLITE_OK);
}

void
sqlite_faults_stop(void)
{
    vfs_layer_unregister(&layer);
    CU_ASSERT_EQUAL(sqlite3_shutdown(), SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_config(SQLITE_CONFIG_MALLOC, &memory), SQLITE_OK);
}

void
sqlite_faults_set(enum fault_kind kind, unsigned long n, bool lasting)
{
    struct sqlite_faults *f = &sqlite_faults;

    f->kind = FAULT_NONE;
    f->lasting = lasting;
    f->failed = false;
    f->count = 0;
    f->fail_at = n;
    f->code = n;
    f->kind = kind;
}

bool
sqlite_faults_clear(void)
{
    sqlite_faults.kind = FAULT_NONE;
    return sqlite_faults.failed;
}
