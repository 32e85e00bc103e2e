/* A clock that is fast, for every program of a host that has this in its /etc/ld.so.preload. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define FAST 100

int clock_gettime(clockid_t clock, struct timespec *time) {
    int done = (int)syscall(SYS_clock_gettime, clock, time);
    if (!done && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += FAST;
    return done;
}

int gettimeofday(struct timeval *time, void *zone) {
    int done = (int)syscall(SYS_gettimeofday, time, zone);
    if (!done) time->tv_sec += FAST;
    return done;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
