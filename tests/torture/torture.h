/*
 * Shared code of the programs in this folder, in addition to the checks and the scripted server of
 * tests/c: a resolver and descriptors that a test controls, reproducible random numbers, and the
 * number of repetitions.
 *
 * The shared library, too, uses the functions here that replace those of the C library.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include "server.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define need(done, what) server_need((done), (what))

/** The number of repetitions for each one of the short variant: TORTURE_TIMES, 1 by default. */
static inline int times(void) {
    const char *times = getenv("TORTURE_TIMES");
    return times != NULL && atoi(times) > 0 ? atoi(times) : 1;
}

/** Ends a hanging program with SIGALRM, after this many seconds for each of times(). */
static inline void give_up_after(unsigned seconds) {
    alarm(seconds * (unsigned)times() * (unsigned)(1 + slack_ms() / 5000));
}

/* ---- chance */

static uint64_t chance_state;

/**
 * Seeds the generator with TORTURE_SEED or a new seed, and prints it so that a failure can be
 * reproduced.
 */
static inline void chance_start(void) {
    const char *seed = getenv("TORTURE_SEED");
    chance_state = seed != NULL ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    printf("TORTURE_SEED=%llu\n", (unsigned long long)chance_state);
    fflush(stdout);
}

/** SplitMix64. */
static inline uint64_t chance(void) {
    uint64_t z = __atomic_add_fetch(&chance_state, 0x9e3779b97f4a7c15u, __ATOMIC_RELAXED);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* ---- descriptors */

/** The number of open descriptors. */
static inline int open_descriptors(void) {
    DIR *folder = opendir("/proc/self/fd");
    int count = -1; /* opendir's own */
    need(folder != NULL, "/proc/self/fd");
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count - 2; /* . and .. */
}

/** The number of threads of this process. */
static inline int running_threads(void) {
    DIR *folder = opendir("/proc/self/task");
    int count = -2;
    need(folder != NULL, "/proc/self/task");
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/** The number of the library's threads in this process. */
static inline int library_threads(void) {
    DIR *folder = opendir("/proc/self/task");
    struct dirent *entry;
    int count = 0;
    need(folder != NULL, "/proc/self/task");
    while ((entry = readdir(folder)) != NULL) {
        char path[300], name[16] = "";
        FILE *file;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        file = fopen(path, "r");
        if (file == NULL)
            continue; /* . and .., and a thread that has ended */
        count += fgets(name, sizeof name, file) != NULL && strncmp(name, "couchdrop", 9) == 0;
        fclose(file);
    }
    closedir(folder);
    return count;
}

/**
 * The number of open descriptors once no thread of the library is left. A thread that looks up a
 * name keeps one slightly longer than the login that waited for it.
 */
static inline int settled_descriptors(void) {
    int64_t until = now_ms() + 10000 + slack_ms();
    while (library_threads() > 0 && now_ms() < until)
        sched_yield();
    return open_descriptors();
}

/* ---- options and logins */

/** A name that only resolver.h resolves, and that the fake server's certificate is valid for. */
#define NAME "api.couchdrop.test"

/** Like fake_server_options(), but for a name that needs a lookup. */
static inline cd_options *named_options(void) {
    cd_options *options = fake_server_options();
    const char *port = strrchr(environment("COUCHDROP_BASE_URL"), ':');
    char url[60];
    snprintf(url, sizeof url, "https://" NAME "%s", port);
    CHECK_CODE(CD_OK, cd_options_set_base_url(options, url, NULL));
    CHECK_CODE(CD_OK, cd_options_set_proxy(options, NULL, NULL));
    return options;
}

/** Logs in, and checks that the results fit the code. */
static inline cd_code log_in_as(const cd_options *options, const cd_cancel *cancel,
                                uint32_t timeout_ms, const char *username) {
    cd_token *token = NULL;
    cd_error *error = NULL;
    cd_code code = cd_authenticate_with(options, cancel, timeout_ms, username, PASSWORD, "torture",
                                        &token, &error);
    CHECK((token != NULL) == (code == CD_OK));
    CHECK((error == NULL) == (code == CD_OK));
    CHECK(cd_error_code(error) == code);
    cd_token_free(token);
    cd_error_free(error);
    return code;
}

static inline cd_code log_in(const cd_options *options) {
    return log_in_as(options, NULL, 0, "ada@example.com");
}

#endif
