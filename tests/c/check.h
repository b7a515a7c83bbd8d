/*
 * Shared code of the test programs: checks that report their place and continue, and options that
 * lead to the fake server. The fake server's addresses are in the environment (tests/fake_server/README.md).
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* POSIX threads, signals, sockets and clocks, besides plain C and C++ */
#endif

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <couchdrop.h>

#define PASSWORD "correct horse battery staple"

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

static inline const char *environment(const char *name) {
    const char *value = getenv(name);
    if (value == NULL) {
        fprintf(stderr, "%s is not set: run this inside the fake server\n", name);
        exit(2);
    }
    return value;
}

/** Options that lead to the fake server over TLS, with short waits before retries. */
static inline cd_options *fake_server_options(void) {
    cd_options *options = cd_options_new();
    CHECK_CODE(CD_OK, cd_options_set_base_url(options, environment("COUCHDROP_BASE_URL"), NULL));
    CHECK_CODE(CD_OK, cd_options_set_ca_file(options, environment("COUCHDROP_CA_FILE"), NULL));
    CHECK_CODE(CD_OK, cd_options_set_backoff_ms(options, 1, 5, NULL));
    return options;
}

/** Logs in with the right password and CHECKs that the login succeeds. */
#define CHECK_LOGIN(options)                                                                       \
    do {                                                                                           \
        cd_token *token_ = NULL;                                                                   \
        CHECK_CODE(CD_OK, cd_authenticate_with((options), NULL, 0, "ada@example.com", PASSWORD,    \
                                               NULL, &token_, NULL));                              \
        CHECK(cd_token_len(token_) == 36);                                                         \
        cd_token_free(token_);                                                                     \
    } while (0)

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

#endif
