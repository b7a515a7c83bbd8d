/*
 * Shared code of the test programs in C and C++: checks that report their place and continue, options
 * that lead to the fake server, and the state of this process. The environment has the fake server's
 * addresses (tests/fake_server/README.md).
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* POSIX threads, signals, sockets and clocks, besides plain C and C++ */
#endif

#include <dirent.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <couchdrop.h>

#define ADA "ada@example.com"
#define PASSWORD "correct horse battery staple"

/* ---- checks */

static int checks_failed;

static inline void check_failed(const char *file, int line, const char *what, const char *more) {
    __atomic_add_fetch(&checks_failed, 1, __ATOMIC_RELAXED);
    fprintf(stderr, "%s:%d: %s%s\n", file, line, what, more);
}

#define CHECK(condition)                                                                           \
    ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, "not so: " #condition, ""))

/** A place that must not be reached. */
#define FAIL(what) check_failed(__FILE__, __LINE__, "reached: ", what)

static inline void check_code(const char *file, int line, const char *what, int32_t expected,
                              int32_t actual) {
    char more[120];
    if (expected == actual)
        return;
    snprintf(more, sizeof more, " gave %s, not %s", cd_code_name(actual), cd_code_name(expected));
    check_failed(file, line, what, more);
}
/** Checks that the call returns this code. */
#define CHECK_CODE(expected, call) check_code(__FILE__, __LINE__, #call, (expected), (call))

static inline void check_text(const char *file, int line, const char *what, const char *expected,
                              const char *actual) {
    char more[400];
    if (expected == NULL || actual == NULL ? expected == actual : strcmp(expected, actual) == 0)
        return;
    snprintf(more, sizeof more, " is \"%s\", not \"%s\"", actual ? actual : "(null)",
             expected ? expected : "(null)");
    check_failed(file, line, what, more);
}
/** Checks that both texts are equal, or both are NULL. */
#define CHECK_TEXT(expected, actual) check_text(__FILE__, __LINE__, #actual, (expected), (actual))

/** The exit status for main(). */
static inline int checks_result(void) {
    if (checks_failed != 0)
        fprintf(stderr, "%d checks failed\n", checks_failed);
    return checks_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/** Ends the program if a precondition of the test is not met. */
static inline void need(int done, const char *what) {
    if (!done) {
        perror(what);
        exit(2);
    }
}

static inline const char *environment(const char *name) {
    const char *value = getenv(name);
    if (value == NULL) {
        fprintf(stderr, "%s is not set: run this inside the fake server\n", name);
        exit(2);
    }
    return value;
}

/* ---- time */

static inline int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/**
 * The tolerance of time limits in ms, because the machine may be busy. CHECK_SLACK_MS sets it for
 * slower environments, such as valgrind.
 */
static inline int64_t slack_ms(void) {
    const char *slack = getenv("CHECK_SLACK_MS");
    return slack != NULL ? atoll(slack) : 1000;
}

/** The number of repetitions: `count` times TORTURE_TIMES, which may be a fraction, and at least 1. */
static inline int repeats(int count) {
    const char *times = getenv("TORTURE_TIMES");
    int scaled = (int)(count * (times != NULL ? atof(times) : 1));
    return scaled > 1 ? scaled : 1;
}

/** Ends a hanging program with SIGALRM. */
static inline void end_if_hanging(void) {
    alarm(200 + (unsigned)repeats(80));
}

/* ---- the process */

/** The number of entries in a folder of /proc/self. */
static inline int count_entries(const char *path) {
    DIR *folder = opendir(path);
    int count = -2; /* . and .. */
    need(folder != NULL, path);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static inline int open_descriptors(void) {
    return count_entries("/proc/self/fd") - 1; /* opendir's own */
}

static inline int running_threads(void) {
    return count_entries("/proc/self/task");
}

/** Reads the line of this process's thread that begins with `field` from its status, if the thread has this name. */
static inline int read_status(const char *task, const char *name, const char *field, char line[200]) {
    char path[300];
    FILE *status;
    int matches = 0;
    snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
    status = fopen(path, "r");
    if (status == NULL)
        return 0; /* . and .., and a thread that has ended */
    while (fgets(line, 200, status) != NULL) {
        if (strncmp(line, "Name:\t", 6) == 0)
            matches = strncmp(line + 6, name, strlen(name)) == 0;
        if (matches && strncmp(line, field, strlen(field)) == 0) {
            fclose(status);
            return 1;
        }
    }
    fclose(status);
    return 0;
}

/** The number of threads whose name begins with `name`; `line` receives the last one's line `field`. */
static inline int find_threads(const char *name, const char *field, char line[200]) {
    DIR *folder = opendir("/proc/self/task");
    struct dirent *entry;
    char found[200];
    int count = 0;
    need(folder != NULL, "/proc/self/task");
    while ((entry = readdir(folder)) != NULL) {
        if (!read_status(entry->d_name, name, field, found))
            continue;
        strcpy(line, found);
        count++;
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
    char line[200];
    while (find_threads("couchdrop", "Name:", line) > 0 && now_ms() < until)
        sched_yield();
    return open_descriptors();
}

/* ---- options and logins */

/** Options that lead to the fake server over TLS, with short waits before retries. */
static inline cd_options *fake_server_options(void) {
    cd_options *options = cd_options_new();
    CHECK_CODE(CD_OK, cd_options_set_base_url(options, environment("COUCHDROP_BASE_URL"), NULL));
    CHECK_CODE(CD_OK, cd_options_set_ca_file(options, environment("COUCHDROP_CA_FILE"), NULL));
    CHECK_CODE(CD_OK, cd_options_set_backoff_ms(options, 1, 5, NULL));
    return options;
}

/** Logs in, and checks that the results fit the code. */
static inline cd_code log_in_as(const cd_options *options, const cd_cancel *cancel,
                                uint32_t timeout_ms, const char *username) {
    cd_token *token = NULL;
    cd_error *error = NULL;
    cd_code code = cd_authenticate_with(options, cancel, timeout_ms, username, PASSWORD, "test",
                                        &token, &error);
    CHECK((token != NULL) == (code == CD_OK));
    CHECK((error == NULL) == (code == CD_OK));
    CHECK(cd_error_code(error) == code);
    cd_token_free(token);
    cd_error_free(error);
    return code;
}

static inline cd_code log_in(const cd_options *options) {
    return log_in_as(options, NULL, 0, ADA);
}

#endif
