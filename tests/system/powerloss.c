/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into the daemon: logs what it writes and syncs in one directory, so that a test can
 * rebuild after a SIGKILL what a power failure would have left (powerloss.py). */
#include <assert.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FD_MAX 1024
#define HOLD_POLL_US 1000

/* The 64 bit names below are aliases. */
static_assert(sizeof(off_t) == 8, "off_t has 64 bits");

/* The order of powerloss.py. A change is logged before it is made, a sync after it: at whatever
 * instruction the process is killed, the log promises too little, never too much. */
enum operation {
    OP_OPEN,     /* name; a new inode is a new file */
    OP_WRITE,    /* at `offset`, octets */
    OP_TRUNCATE, /* to `offset` octets */
    OP_EXTEND,   /* to at least `offset` octets */
    OP_SYNC,
    OP_SYNC_DIRECTORY,
    OP_UNLINK, /* name */
    OP_RENAME, /* old name, NUL, new name */
};

struct record {
    uint64_t operation, inode, offset, len;
};

enum kind { KIND_OTHER, KIND_FILE, KIND_DIRECTORY };

struct file {
    enum kind kind;
    uint64_t inode;
};

static struct {
    int log;
    const char *hold; /* while this file exists, no sync ends: a disk that hangs */
    const char *directory;
    struct file files[FD_MAX];
} shim = {.log = -1};

/* `real`: the function that this one stands before. */
#define FIND_REAL(name, result, ...)                                                               \
    static result (*real)(__VA_ARGS__);                                                            \
    if (real == NULL)                                                                              \
    *(void **)&real = dlsym(RTLD_NEXT, name)

__attribute__((constructor)) static void
start(void)
{
    const char *log = getenv("POWERLOSS_LOG");

    shim.hold = getenv("POWERLOSS_HOLD");
    shim.directory = getenv("POWERLOSS_DIRECTORY");
    if (log == NULL || shim.directory == NULL)
        return;
    shim.log = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (shim.log < 0) {
        perror(log);
        abort();
    }
}

/* One write, so that the records of two threads never mix. */
static void
append(enum operation operation, uint64_t inode, uint64_t offset, const void *data, size_t len)
{
    struct record record = {operation, inode, offset, len};
    struct iovec parts[] = {{&record, sizeof record}, {(void *)(uintptr_t)data, len}};

    if (writev(shim.log, parts, 2) != (ssize_t)(sizeof record + len)) {
        perror("powerloss");
        abort(); /* a log with a hole would blame the daemon */
    }
}

static struct file *
find(int fd)
{
    static struct file other;

    return fd >= 0 && fd < FD_MAX ? &shim.files[fd] : &other;
}

/* The name of a path in the directory; "" is the directory itself, NULL is elsewhere. */
static const char *
name_below(const char *path)
{
    size_t len = strlen(shim.directory);

    if (strncmp(path, shim.directory, len) != 0)
        return NULL;
    if (path[len] == '\0')
        return path + len;
    return path[len] == '/' && strchr(path + len + 1, '/') == NULL ? path + len + 1 : NULL;
}

static bool
ends_with(const char *text, const char *end)
{
    size_t text_len = strlen(text), end_len = strlen(end);

    return text_len >= end_len && strcmp(text + text_len - end_len, end) == 0;
}

/* Index of the write-ahead log: mapped, so not seen here, and made anew after a crash. */
static bool
is_rebuilt_at_start(const char *name)
{
    return ends_with(name, "-shm");
}

static void
note_open(int fd, int flags)
{
    struct file *file = find(fd);
    char link[64], path[PATH_MAX];
    struct stat status;

    if (shim.log < 0 || fd < 0)
        return;
    *file = (struct file){.kind = KIND_OTHER};
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len < 0 || fstat(fd, &status) != 0)
        return;
    path[len] = '\0';
    const char *name = name_below(path);
    if (name == NULL || is_rebuilt_at_start(name))
        return;
    file->kind = S_ISDIR(status.st_mode) ? KIND_DIRECTORY : KIND_FILE;
    file->inode = status.st_ino;
    if (file->kind == KIND_DIRECTORY)
        return;
    append(OP_OPEN, file->inode, 0, name, strlen(name));
    if ((flags & O_TRUNC) != 0)
        append(OP_TRUNCATE, file->inode, 0, NULL, 0);
}

int
openat(int directory, const char *path, int flags, ...)
{
    FIND_REAL("openat", int, int, const char *, int, ...);
    va_list rest;

    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    int fd = real(directory, path, flags, mode);
    note_open(fd, flags);
    return fd;
}

int
open(const char *path, int flags, ...)
{
    va_list rest;

    va_start(rest, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return openat(AT_FDCWD, path, flags, mode);
}

int
close(int fd)
{
    FIND_REAL("close", int, int);

    *find(fd) = (struct file){.kind = KIND_OTHER};
    return real(fd);
}

ssize_t
pwrite(int fd, const void *data, size_t len, off_t offset)
{
    FIND_REAL("pwrite", ssize_t, int, const void *, size_t, off_t);

    if (find(fd)->kind == KIND_FILE)
        append(OP_WRITE, find(fd)->inode, (uint64_t)offset, data, len);
    return real(fd, data, len, offset);
}

ssize_t
write(int fd, const void *data, size_t len)
{
    FIND_REAL("write", ssize_t, int, const void *, size_t);

    if (find(fd)->kind == KIND_FILE)
        append(OP_WRITE, find(fd)->inode, (uint64_t)lseek(fd, 0, SEEK_CUR), data, len);
    return real(fd, data, len);
}

int
ftruncate(int fd, off_t size)
{
    FIND_REAL("ftruncate", int, int, off_t);

    if (find(fd)->kind == KIND_FILE)
        append(OP_TRUNCATE, find(fd)->inode, (uint64_t)size, NULL, 0);
    return real(fd, size);
}

int
posix_fallocate(int fd, off_t offset, off_t len)
{
    FIND_REAL("posix_fallocate", int, int, off_t, off_t);

    if (find(fd)->kind == KIND_FILE)
        append(OP_EXTEND, find(fd)->inode, (uint64_t)(offset + len), NULL, 0);
    return real(fd, offset, len);
}

static void
note_sync(int fd, int result)
{
    const struct file *file = find(fd);

    while (file->kind != KIND_OTHER && shim.hold != NULL && access(shim.hold, F_OK) == 0)
        usleep(HOLD_POLL_US);
    if (result != 0 || file->kind == KIND_OTHER)
        return;
    append(file->kind == KIND_FILE ? OP_SYNC : OP_SYNC_DIRECTORY, file->inode, 0, NULL, 0);
}

int
fsync(int fd)
{
    FIND_REAL("fsync", int, int);
    int result = real(fd);

    note_sync(fd, result);
    return result;
}

int
fdatasync(int fd)
{
    FIND_REAL("fdatasync", int, int);
    int result = real(fd);

    note_sync(fd, result);
    return result;
}

int
unlinkat(int directory, const char *path, int flags)
{
    FIND_REAL("unlinkat", int, int, const char *, int);
    const char *name = NULL;

    if (find(directory)->kind == KIND_DIRECTORY)
        name = path;
    else if (shim.log >= 0 && directory == AT_FDCWD)
        name = name_below(path);
    if (name != NULL && !is_rebuilt_at_start(name))
        append(OP_UNLINK, 0, 0, name, strlen(name));
    return real(directory, path, flags);
}

int
unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int
renameat(int old_directory, const char *old_path, int new_directory, const char *new_path)
{
    FIND_REAL("renameat", int, int, const char *, int, const char *);
    char names[2 * NAME_MAX + 2];

    if (find(old_directory)->kind == KIND_DIRECTORY && !is_rebuilt_at_start(old_path)) {
        int len = snprintf(names, sizeof names, "%s%c%s", old_path, '\0', new_path);
        append(OP_RENAME, 0, 0, names, (size_t)len);
    }
    return real(old_directory, old_path, new_directory, new_path);
}

/* Programs call these by either name. */
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int openat64(int directory, const char *path, int flags, ...) __attribute__((alias("openat")));
ssize_t pwrite64(int fd, const void *data, size_t len, off_t offset)
    __attribute__((alias("pwrite")));
int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));
int posix_fallocate64(int fd, off_t offset, off_t len) __attribute__((alias("posix_fallocate")));
