/*
 * A process that cannot start a thread. A login that needs one returns 9003, and no thread is
 * leaked. First each call to pthread_create() in turn fails, then the system's own limit applies.
 */
#include "resolver.h"

#include <sys/resource.h>

/**
 * The number of calls to pthread_create() before one fails, -1 = none fails; and the number of
 * failures.
 */
static int fails_after = -1, failed;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (real == NULL) {
        /* A sanitizer's, if it is loaded, because it has to know of each thread. */
        void *found = dlsym(RTLD_DEFAULT, "___interceptor_pthread_create");
        if (found == NULL)
            found = dlsym(RTLD_NEXT, "pthread_create");
        memcpy(&real, &found, sizeof real);
    }
    if (fails_after >= 0 && fails_after-- == 0) {
        failed++;
        return EAGAIN;
    }
    return real(thread, attributes, run, argument);
}

static void failed_pthread_create_is_reported(void) {
    int nth, before = settled_descriptors();
    for (nth = 0; nth < 3; nth++) {
        cd_options *options = named_options();
        fails_after = nth;
        failed = 0;
        CHECK_CODE(nth == 0 ? CD_ERR_RESOURCES : CD_OK, log_in(options));
        CHECK(failed == (nth == 0));
        fails_after = -1;
        CHECK_CODE(CD_OK, log_in(options));
        cd_options_free(options);
    }
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
        checks_failed = 0;
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
    resolver_start();
    give_up_after(30);
    thread_limit_is_reported();
    failed_pthread_create_is_reported();
    return checks_result();
}
