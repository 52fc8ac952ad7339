/* Faults of a disk, between a program and the C library: LD_PRELOAD=io_fault.so.
 *
 * Counts every call that changes what is below a folder (write, fsync, rename, create, link, mkdir, truncate) and lets
 * the k-th fail. A write that fails for want of space first takes half of its bytes, as a file system does.
 *
 *     io_fault_arm("/folder/", k, errno, onwards)    onwards: every call from the k-th on fails, not only the k-th
 *                                                  (pictures are left out: they are many calls, and derived)
 *     (errno 0: the process is killed there, SIGKILL)
 *     io_fault_count()                               calls so far
 *
 * A program that knows nothing of this can be given a disk that is slow: IO_FAULT_SYNC_SECONDS=1.5 is how long every
 * fdatasync takes at least.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static long fault_at;
static int fault_errno, fault_onwards;
static atomic_long calls;
static atomic_int full_fd = -1; /* took half of a write: its next one fails */

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void io_fault_arm(const char *below, long at, int error, int onwards) {
    snprintf(folder, sizeof folder, "%s", below);
    fault_at = at, fault_errno = error, fault_onwards = onwards;
    atomic_store(&calls, 0);
    atomic_store(&full_fd, -1);
}

long io_fault_count(void) { return atomic_load(&calls); }

static int below(const char *path) {
    return folder[0] && path && strncmp(path, folder, strlen(folder)) == 0 && !strstr(path, "/plots/");
}

static int open_below(int fd) {
    char link[64], path[PATH_MAX];
    if (!folder[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 2);
    if (size < 0) return 0;
    path[size] = '/', path[size + 1] = 0; /* the folder itself is synced, too */
    return below(path);
}

/* Whether this call is the one that fails. */
static int fails(void) {
    long number = atomic_fetch_add(&calls, 1) + 1;
    if (fault_at == 0 || (fault_onwards ? number < fault_at : number != fault_at)) return 0;
    if (fault_errno == 0) raise(SIGKILL);
    errno = fault_errno;
    return 1;
}

/* How much of a write of ``size`` bytes is done: all, half, or none (-1). */
static ssize_t allowed(int fd, size_t size) {
    if (!open_below(fd)) return size;
    int expected = fd;
    if (atomic_compare_exchange_strong(&full_fd, &expected, -1)) {
        errno = fault_errno;
        return -1;
    }
    if (!fails()) return size;
    if (fault_errno != ENOSPC || size < 2) return -1;
    atomic_store(&full_fd, fd);
    return size / 2;
}

ssize_t write(int fd, const void *data, size_t size) {
    ssize_t part = allowed(fd, size);
    return part < 0 ? -1 : REAL(write)(fd, data, part);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    ssize_t part = allowed(fd, size);
    return part < 0 ? -1 : REAL(pwrite64)(fd, data, part, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (open_below(fd) && fails()) return -1;
    return REAL(writev)(fd, parts, count);
}

int fsync(int fd) { return open_below(fd) && fails() ? -1 : REAL(fsync)(fd); }

int fdatasync(int fd) {
    const char *seconds = getenv("IO_FAULT_SYNC_SECONDS");
    if (seconds) usleep((useconds_t)(1e6 * atof(seconds)));
    return open_below(fd) && fails() ? -1 : REAL(fdatasync)(fd);
}

int ftruncate64(int fd, off64_t size) { return open_below(fd) && fails() ? -1 : REAL(ftruncate64)(fd, size); }
int ftruncate(int fd, off_t size) { return open_below(fd) && fails() ? -1 : REAL(ftruncate)(fd, size); }
int rename(const char *from, const char *to) { return below(to) && fails() ? -1 : REAL(rename)(from, to); }
int link(const char *from, const char *to) { return below(to) && fails() ? -1 : REAL(link)(from, to); }
int unlink(const char *path) { return below(path) && fails() ? -1 : REAL(unlink)(path); }
int mkdir(const char *path, mode_t mode) { return below(path) && fails() ? -1 : REAL(mkdir)(path, mode); }

int renameat(int a, const char *from, int b, const char *to) {
    return below(to) && fails() ? -1 : REAL(renameat)(a, from, b, to);
}

int linkat(int a, const char *from, int b, const char *to, int flags) {
    return below(to) && fails() ? -1 : REAL(linkat)(a, from, b, to, flags);
}

int utimensat(int at, const char *path, const struct timespec times[2], int flags) {
    return below(path) && fails() ? -1 : REAL(utimensat)(at, path, times, flags);
}

#define OPENS(name, ...)                                                                                              \
    mode_t mode = 0;                                                                                                  \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                                              \
        va_list rest;                                                                                                 \
        va_start(rest, flags);                                                                                        \
        mode = va_arg(rest, mode_t);                                                                                  \
        va_end(rest);                                                                                                 \
    }                                                                                                                 \
    if ((flags & O_CREAT) && below(path) && fails()) return -1;                                                       \
    return REAL(name)(__VA_ARGS__)

int open(const char *path, int flags, ...) { OPENS(open, path, flags, mode); }
int open64(const char *path, int flags, ...) { OPENS(open64, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { OPENS(openat, at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { OPENS(openat64, at, path, flags, mode); }
