/*
 * Runs a program and prints its cost: launch OUTPUT PROGRAM ARGUMENT...
 *
 * The program's standard output goes to OUTPUT. This process prints a line with the nanoseconds
 * from start to end, the microseconds of CPU time, the largest resident set in KiB and the page
 * faults. It is small, because the child's memory before exec counts as the child's.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long microseconds(struct timeval time) {
    return time.tv_sec * 1000000LL + time.tv_usec;
}

int main(int count, char **arguments) {
    int status;
    struct rusage usage;
    if (count < 3)
        return 2;
    int output = open(arguments[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    long long start = nanoseconds();
    pid_t child = vfork();
    if (child == 0) {
        dup2(output, 1);
        execv(arguments[2], arguments + 2);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child)
        return 1;
    long long wall = nanoseconds() - start;
    printf("%lld %lld %ld %ld\n", wall, microseconds(usage.ru_utime) + microseconds(usage.ru_stime),
           usage.ru_maxrss, usage.ru_minflt + usage.ru_majflt);
    return status != 0;
}
