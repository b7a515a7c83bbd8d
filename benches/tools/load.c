/*
 * Measures the cost and the side effects of loading the library: load LIBRARY [quiet]
 *
 * Prints the nanoseconds of dlopen, and the resident memory before and after it, in KiB. With
 * "quiet" it also prints the number of new threads and descriptors after options were created and
 * set: libcouchdrop must not start any before the first login. The environment is then a page
 * without read access: reading it ends the process.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Without stdio, whose buffers would be measured. */
static long resident(void) {
    static char text[4096];
    int file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    text[size > 0 ? size : 0] = '\0';
    const char *line = strstr(text, "Rss:");
    return line != NULL ? atol(line + strlen("Rss:")) : -1;
}

static long long nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int entries(const char *folder) {
    int count = 0;
    DIR *entries = opendir(folder);
    while (readdir(entries) != NULL)
        count++;
    closedir(entries);
    return count;
}

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (found == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return found;
}

/* All calls before a login. */
static void prepare(void *library) {
    void *(*options_new)(void) = symbol(library, "cd_options_new");
    int32_t (*set_base_url)(void *, const char *, void *) =
        symbol(library, "cd_options_set_base_url");
    int32_t (*set_timeout)(void *, uint32_t, void *) = symbol(library, "cd_options_set_timeout_ms");
    void *(*cancel_new)(void) = symbol(library, "cd_cancel_new");
    void *options = options_new();
    if (set_base_url(options, "https://localhost:1", NULL) != 0 ||
        set_timeout(options, 1000, NULL) != 0 || cancel_new() == NULL)
        exit(1);
}

int main(int count, char **arguments) {
    if (count < 2)
        return 2;
    int is_quiet = count > 2;
    int threads = entries("/proc/self/task"), descriptors = entries("/proc/self/fd");
    if (is_quiet)
        environ = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    resident();
    long before = resident();
    long long start = nanoseconds();
    void *library = dlopen(arguments[1], RTLD_NOW);
    long long took = nanoseconds() - start;
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    printf("%lld %ld %ld", took, before, resident());
    if (is_quiet) {
        prepare(library);
        printf(" %d %d", entries("/proc/self/task") - threads,
               entries("/proc/self/fd") - descriptors);
    }
    puts("");
    return 0;
}
