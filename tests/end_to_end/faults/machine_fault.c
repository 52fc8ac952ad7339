/* Faults of a machine, between a program and the C library: LD_PRELOAD=machine_fault.so.
 *
 *     MACHINE_FAULT_CLOCK=SECONDS:EVERY   the wall clock is right for EVERY seconds, then wrong by SECONDS for as long,
 *                                         and so on; EVERY 0: always wrong. Clocks that only count on are left alone,
 *                                         and so are the times that the kernel gives to files
 *     MACHINE_FAULT_NAMES=FILE            while there is such a file, no name can be resolved
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Seconds by which the wall clock is wrong now. */
static long wrong_by(void) {
    const char *told = getenv("MACHINE_FAULT_CLOCK");
    double seconds, every;
    struct timespec now;
    if (!told || sscanf(told, "%lf:%lf", &seconds, &every) != 2) return 0;
    if (every == 0) return (long)seconds;
    REAL(clock_gettime)(CLOCK_MONOTONIC, &now);
    return (long)((now.tv_sec + 1e-9 * now.tv_nsec) / every) % 2 ? (long)seconds : 0;
}

int clock_gettime(clockid_t which, struct timespec *now) {
    int code = REAL(clock_gettime)(which, now);
    if (code == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) now->tv_sec += wrong_by();
    return code;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int code = REAL(gettimeofday)(now, zone);
    if (code == 0) now->tv_sec += wrong_by();
    return code;
}

int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict found) {
    const char *file = getenv("MACHINE_FAULT_NAMES");
    if (file && access(file, F_OK) == 0 && node && !(hints && hints->ai_flags & AI_NUMERICHOST)) return EAI_AGAIN;
    return REAL(getaddrinfo)(node, service, hints, found);
}
