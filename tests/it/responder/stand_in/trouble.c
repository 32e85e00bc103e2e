/* Trouble for the responder, loaded before libc: a clock that is set, a disk that is full at the next
 * write but N, a disk that cannot be flushed. $TROUBLE is a file of three little-endian 64-bit numbers
 * that the test changes while the responder runs:
 *   0  seconds by which the clock is set
 *   1  writes to the journal that still find room; negative where all do
 *   2  positive: flushing the journal fails, after so many milliseconds; negative: flushing the file does, and
 *      flushing its log does not */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static volatile long long *trouble;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("TROUBLE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, 24, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) trouble = map;
    if (fd >= 0) close(fd);
    /* Only the responder is in trouble, and nothing that it starts. */
    unsetenv("LD_PRELOAD");
}

/* Whether it belongs to the journal: 1 the file itself, 2 its log and whatever else. */
static int of_journal(int fd) {
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    const char *name = strstr(path, "/journal.db");
    return !name ? 0 : strcmp(name, "/journal.db") ? 2 : 1;
}

static int is_full(int fd) {
    if (!trouble || trouble[1] < 0 || !of_journal(fd)) return 0;
    long long room = trouble[1];
    while (room > 0 && !__atomic_compare_exchange_n(&trouble[1], &room, room - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
    if (room) return 0;
    errno = ENOSPC;
    return 1;
}

static int cannot_flush(int fd) {
    long long fails = trouble ? trouble[2] : 0;
    int which = fails ? of_journal(fd) : 0;
    if (!which || (fails < 0 && which != 1)) return 0;
    if (fails > 0) poll(NULL, 0, (int)fails);
    errno = EIO;
    return 1;
}

ssize_t write(int fd, const void *data, size_t size) {
    return is_full(fd) ? -1 : syscall(SYS_write, fd, data, size);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    return is_full(fd) ? -1 : syscall(SYS_pwrite64, fd, data, size, at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

int fsync(int fd) { return cannot_flush(fd) ? -1 : (int)syscall(SYS_fsync, fd); }

int fdatasync(int fd) { return cannot_flush(fd) ? -1 : (int)syscall(SYS_fdatasync, fd); }

int clock_gettime(clockid_t clock, struct timespec *time) {
    int done = (int)syscall(SYS_clock_gettime, clock, time);
    if (!done && trouble && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        time->tv_sec += (time_t)trouble[0];
    return done;
}

int gettimeofday(struct timeval *time, void *zone) {
    int done = (int)syscall(SYS_gettimeofday, time, zone);
    if (!done && trouble) time->tv_sec += (time_t)trouble[0];
    return done;
}
