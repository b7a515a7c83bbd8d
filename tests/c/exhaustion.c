/*
 * A process that runs out of descriptors or threads. For every number of remaining descriptors, a
 * login succeeds or returns CD_ERR_RESOURCES before its deadline, and leaks no descriptor. faults.c
 * has the same for a single call that fails.
 */
#include "resolver.h"

#include <sys/resource.h>
#include <sys/wait.h>

/* Limits the process to this many descriptors in addition to the open ones. */
static void leave(int count) {
    struct rlimit limit;
    need(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = count < 0 ? limit.rlim_max : (rlim_t)(open_descriptors() + count);
    need(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
}

/*
 * Fills the free numbers below the highest open descriptor, so that a limit leaves exactly as many
 * as it says.
 */
static void fill_gaps(void) {
    int number;
    for (number = 1023; fcntl(number, F_GETFD) < 0; number--)
        ;
    while (--number > STDERR_FILENO)
        if (fcntl(number, F_GETFD) < 0)
            need(dup2(STDERR_FILENO, number) == number, "dup2");
}

/*
 * Checks the result of a login by the number of remaining descriptors. None is leaked, and once
 * enough are available logins succeed again.
 */
static void check_every_limit(const char *what, cd_options *(*make)(void), int with_cancel, int warm) {
    int left, succeeded = 0, refused = 0;
    for (left = 0; left < 12; left++) {
        cd_options *options = make();
        cd_cancel *cancel = with_cancel ? cd_cancel_new() : NULL;
        int before = settled_descriptors();
        cd_code code;
        CHECK_CODE(CD_OK, cd_options_set_max_retries(options, 1, NULL));
        if (warm)
            CHECK_CODE(CD_OK, log_in_as(options, cancel, 0, ADA));
        leave(left);
        code = log_in_as(options, cancel, 10000, ADA);
        CHECK(cd_connect(options, cancel, 10000, NULL) == code);
        leave(-1);
        if (code != CD_OK && code != CD_ERR_RESOURCES)
            fprintf(stderr, "%s with %d left: ", what, left);
        CHECK_CODE(CD_OK, code == CD_ERR_RESOURCES ? CD_OK : code);
        /*
         * A cancel handle takes two if it can get them, and the lookup then lacks them. Without
         * them its flag is polled at intervals.
         */
        CHECK(!succeeded || code == CD_OK || (with_cancel && left < 5));
        succeeded += code == CD_OK;
        refused += code == CD_ERR_RESOURCES;
        CHECK_CODE(CD_OK, log_in_as(options, cancel, 0, ADA));
        cd_options_free(options);
        cd_cancel_free(cancel);
        CHECK(settled_descriptors() == before);
    }
    CHECK(succeeded > 0);
    CHECK(warm || refused > 0);
}

/* Many threads that share too few descriptors. */
static cd_options *shared;
static int results[2];

static void *run_logins(void *argument) {
    cd_cancel *cancel = cd_cancel_new();
    int i;
    (void)argument;
    for (i = 0; i < 30; i++) {
        cd_code code = log_in_as(shared, i % 2 ? cancel : NULL, 20000, ADA);
        CHECK_CODE(CD_OK, code == CD_ERR_RESOURCES ? CD_OK : code);
        __atomic_add_fetch(&results[code == CD_OK], 1, __ATOMIC_RELAXED);
    }
    cd_cancel_free(cancel);
    return NULL;
}

static void shared_by_threads(void) {
    pthread_t threads[8];
    int i, before = open_descriptors();
    shared = named_options();
    CHECK_CODE(CD_OK, cd_options_set_max_retries(shared, 0, NULL));
    leave(6);
    for (i = 0; i < 8; i++)
        need(pthread_create(&threads[i], NULL, run_logins, NULL) == 0, "pthread_create");
    for (i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    leave(-1);
    printf("8 threads with 6 descriptors: %d logins, %d without\n", results[1], results[0]);
    CHECK(results[0] > 0 && results[1] > 0);
    CHECK_CODE(CD_OK, log_in(shared));
    cd_options_free(shared);
    CHECK(settled_descriptors() == before);
}

/* In a child, as a user to which the limit applies. */
static void thread_limit_is_reported(void) {
    int status = 0;
    pid_t child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        struct rlimit limit = {0, 0};
        cd_options *named = named_options(), *unnamed = fake_server_options();
        need(geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0), "setuid");
        need(setrlimit(RLIMIT_NPROC, &limit) == 0, "setrlimit");
        CHECK_CODE(CD_ERR_RESOURCES, log_in(named));
        CHECK_CODE(CD_OK, log_in(unnamed)); /* no name to look up, no thread */
        cd_options_free(named);
        cd_options_free(unnamed);
        _exit(checks_result());
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(void) {
    int i;
    resolver_start();
    end_if_hanging();
    thread_limit_is_reported();
    fill_gaps();
    for (i = 0; i < repeats(1); i++) {
        check_every_limit("a name", named_options, 0, 0);
        check_every_limit("a name, with a cancel handle", named_options, 1, 0);
        check_every_limit("localhost", fake_server_options, 0, 0);
        check_every_limit("localhost, with a cancel handle", fake_server_options, 1, 0);
        check_every_limit("a warm login", named_options, 1, 1);
    }
    shared_by_threads();
    return checks_result();
}
