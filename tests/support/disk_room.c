/* SPDX-License-Identifier: Apache-2.0 */
/* A small file system in memory (tmpfs) with a balloon: a real ENOSPC, wherever the test wants it.
 */
#include "disk_room.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "unit.h"

/* Its own view of what is mounted where, so that nothing is left behind when the process dies. */
static void
leave_others_alone(void)
{
    static int done;

    if (done)
        return;
    if (unshare(CLONE_NEWNS) != 0) { /* not root: as root of a namespace of its own */
        uid_t user = getuid();
        CU_ASSERT_EQUAL_FATAL(unshare(CLONE_NEWUSER | CLONE_NEWNS), 0);
        char map[32];
        int len = snprintf(map, sizeof map, "0 %u 1", (unsigned)user);
        int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
        CU_ASSERT_FATAL(fd >= 0 && write(fd, map, (size_t)len) == len);
        close(fd);
    }
    CU_ASSERT_EQUAL_FATAL(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    done = 1;
}

void
disk_room_mount(const char *directory, size_t octets)
{
    char options[64];

    leave_others_alone();
    snprintf(options, sizeof options, "size=%zu,mode=0700", octets);
    CU_ASSERT_EQUAL_FATAL(mount("dormouse-test", directory, "tmpfs", 0, options), 0);
}

void
disk_room_unmount(const char *directory)
{
    CU_ASSERT_EQUAL(umount2(directory, MNT_DETACH), 0);
}

static void
balloon_path(const char *directory, char *path, size_t size)
{
    snprintf(path, size, "%s/balloon", directory);
}

void
disk_room_leave(const char *directory, unsigned pages)
{
    char path[256];
    struct statfs before;

    disk_room_free(directory);
    balloon_path(directory, path, sizeof path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL_FATAL(statfs(directory, &before), 0);
    CU_ASSERT_FATAL(before.f_bsize == DISK_ROOM_PAGE && before.f_bfree >= pages);
    off_t octets = (off_t)(before.f_bfree - pages) * (off_t)DISK_ROOM_PAGE;
    if (octets > 0)
        CU_ASSERT_EQUAL_FATAL(posix_fallocate(fd, 0, octets), 0);
    close(fd);
}

void
disk_room_free(const char *directory)
{
    char path[256];

    balloon_path(directory, path, sizeof path);
    unlink(path);
}
