/*
 * What loading the library costs: load LIBRARY prints the nanoseconds that dlopen took, and what of the process was
 * resident before and after, in KiB.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Rss of the process; read without the C library's buffers, whose memory would count. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static long resident(void) {
    static char text[4096];
    int file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    text[size > 0 ? size : 0] = '\0';
    const char *line = strstr(text, "Rss:");
    return line != NULL ? atol(line + 4) : -1;
}

int main(int count, char **arguments) {
    struct timespec start, end;
    if (count != 2)
        return 2;
    resident();
    long before = resident();
    clock_gettime(CLOCK_MONOTONIC, &start);
    void *library = dlopen(arguments[1], RTLD_NOW);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    printf("%lld %ld %ld\n", (end.tv_sec - start.tv_sec) * 1000000000LL + end.tv_nsec - start.tv_nsec, before, resident());
    return 0;
}
