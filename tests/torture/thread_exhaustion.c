/*
 * A process that may not start a thread: a login that needs one says so (9003) and none is lost.
 * Once by a pthread_create() that fails at every call in turn, once by the system's own limit.
 */
#include "resolver.h"

#include <sys/resource.h>

/** The calls of pthread_create() until one fails, -1 = none does; and how many failed. */
static int fails_after = -1, failed;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (real == NULL) {
        /* A sanitizer's, where there is one: it has to know of each thread. */
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

static void a_call_that_fails(void) {
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

/* In a child, as a user whom the limit binds. */
static void the_systems_limit(void) {
    int status = 0;
    pid_t child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        struct rlimit limit = {0, 0};
        cd_options *named = named_options(), *unnamed = stand_in_options();
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
    the_systems_limit();
    a_call_that_fails();
    return checks_result();
}
