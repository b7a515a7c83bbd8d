/* Each look at the clock of ages moves it on by 100 seconds: a preloaded library, in place of waiting. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int looks;
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (clock == CLOCK_BOOTTIME)
        time->tv_sec += 100 * __atomic_add_fetch(&looks, 1, __ATOMIC_RELAXED);
    return result;
}
