/* A file system that fails on demand, preloaded into a process (LD_PRELOAD): from one call on, calls of one kind on
 * what is below one folder fail. Sockets, stdout and everything else are left alone. scripts/torture_faults.py
 * compiles it, and calls faults_arm. */
#define _GNU_SOURCE
#undef _FILE_OFFSET_BITS
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NONE, WRITE, SYNC, RENAME, OPEN, READ, OTHER, SHORT };

static char folder[PATH_MAX];
static size_t folder_length;
static int kind = NONE, error, forever;
static long at;
static atomic_long own_count, *count = &own_count;

/* Calls of `what` on paths below `below` fail with `why` at the `when`-th (from 1), and `always` after it, too. They
 * are counted in `*counter`, which may be in shared memory. */
void faults_arm(const char *below, int what, long when, int why, int always, atomic_long *counter) {
    folder_length = strlen(strncpy(folder, below, sizeof folder - 1));
    at = when, error = why, forever = always, count = counter;
    kind = what;
}

static int below_folder(const char *path) {
    return !strncmp(path, folder, folder_length) && (path[folder_length] == '/' || !path[folder_length]);
}

static int fails(int what, const char *path) {
    if (what != kind || !below_folder(path))
        return 0;
    long now = atomic_fetch_add(count, 1) + 1;
    if (now != at && !(forever && now > at))
        return 0;
    errno = error;
    return 1;
}

static int fails_fd(int what, int fd) {
    char link[64], path[PATH_MAX];
    if (what != kind)
        return 0;
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length < 0)
        return 0;
    path[length] = 0;
    return fails(what, path);
}

static int fails_at(int what, int dir, const char *path) {
    char whole[2 * PATH_MAX], link[64];
    if (what != kind)
        return 0;
    if (path[0] == '/')
        return fails(what, path);
    int before = errno;
    snprintf(link, sizeof link, dir == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dir);
    ssize_t length = readlink(link, whole, PATH_MAX - 1);
    errno = before;
    if (length < 0)
        return 0;
    snprintf(whole + length, sizeof whole - length, "/%s", path);
    return fails(what, whole);
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) \
        real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

/* Half of it is written, and none of it is lost: whoever calls has to go on with the rest. */
static size_t shorter(int fd, size_t size) { return size > 1 && fails_fd(SHORT, fd) ? size / 2 : size; }

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    return fails_fd(WRITE, fd) ? -1 : real(fd, data, shorter(fd, size));
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t where) {
    REAL(pwrite);
    return fails_fd(WRITE, fd) ? -1 : real(fd, data, shorter(fd, size), where);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t where) {
    REAL(pwrite64);
    return fails_fd(WRITE, fd) ? -1 : real(fd, data, shorter(fd, size), where);
}
ssize_t writev(int fd, const struct iovec *pieces, int many) {
    REAL(writev);
    return fails_fd(WRITE, fd) ? -1 : real(fd, pieces, many);
}
ssize_t read(int fd, void *data, size_t size) {
    REAL(read);
    return fails_fd(READ, fd) ? -1 : real(fd, data, size);
}
ssize_t pread(int fd, void *data, size_t size, off_t where) {
    REAL(pread);
    return fails_fd(READ, fd) ? -1 : real(fd, data, size, where);
}
ssize_t pread64(int fd, void *data, size_t size, off64_t where) {
    REAL(pread64);
    return fails_fd(READ, fd) ? -1 : real(fd, data, size, where);
}

#define ON_DESCRIPTOR(name, what) \
    int name(int fd) { \
        REAL(name); \
        return fails_fd(what, fd) ? -1 : real(fd); \
    }
ON_DESCRIPTOR(fsync, SYNC)
ON_DESCRIPTOR(fdatasync, SYNC)
ON_DESCRIPTOR(syncfs, SYNC)

int rename(const char *from, const char *to) {
    REAL(rename);
    return fails_at(RENAME, AT_FDCWD, to) ? -1 : real(from, to);
}
int renameat(int from_dir, const char *from, int to_dir, const char *to) {
    REAL(renameat);
    return fails_at(RENAME, to_dir, to) ? -1 : real(from_dir, from, to_dir, to);
}
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    REAL(renameat2);
    return fails_at(RENAME, to_dir, to) ? -1 : real(from_dir, from, to_dir, to, flags);
}
int link(const char *from, const char *to) {
    REAL(link);
    return fails_at(RENAME, AT_FDCWD, to) ? -1 : real(from, to);
}
int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    REAL(linkat);
    return fails_at(RENAME, to_dir, to) ? -1 : real(from_dir, from, to_dir, to, flags);
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }
int open(const char *path, int flags, ...) {
    REAL(open);
    MODE(flags)
    return fails_at(OPEN, AT_FDCWD, path) ? -1 : real(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    REAL(open64);
    MODE(flags)
    return fails_at(OPEN, AT_FDCWD, path) ? -1 : real(path, flags, mode);
}
int openat(int dir, const char *path, int flags, ...) {
    REAL(openat);
    MODE(flags)
    return fails_at(OPEN, dir, path) ? -1 : real(dir, path, flags, mode);
}
int openat64(int dir, const char *path, int flags, ...) {
    REAL(openat64);
    MODE(flags)
    return fails_at(OPEN, dir, path) ? -1 : real(dir, path, flags, mode);
}

DIR *opendir(const char *path) {
    REAL(opendir);
    return fails_at(OTHER, AT_FDCWD, path) ? NULL : real(path);
}
int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    return fails_at(OTHER, AT_FDCWD, path) ? -1 : real(path, mode);
}
int unlink(const char *path) {
    REAL(unlink);
    return fails_at(OTHER, AT_FDCWD, path) ? -1 : real(path);
}
int unlinkat(int dir, const char *path, int flags) {
    REAL(unlinkat);
    return fails_at(OTHER, dir, path) ? -1 : real(dir, path, flags);
}
int rmdir(const char *path) {
    REAL(rmdir);
    return fails_at(OTHER, AT_FDCWD, path) ? -1 : real(path);
}
int ftruncate(int fd, off_t size) {
    REAL(ftruncate);
    return fails_fd(OTHER, fd) ? -1 : real(fd, size);
}
int ftruncate64(int fd, off64_t size) {
    REAL(ftruncate64);
    return fails_fd(OTHER, fd) ? -1 : real(fd, size);
}
