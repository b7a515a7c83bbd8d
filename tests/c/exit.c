/*
 * The ways in which a process ends, each in a child: logins in atexit() handlers and destructors,
 * exit() during other threads' logins and lookups, and the destructors of thread-specific data.
 */
#include "resolver.h"

#include <limits.h>
#include <sys/wait.h>

/* Runs `end` in a child, which has to exit with 0 on its own. */
static int children;
static void in_child(const char *what, void (*end)(void)) {
    int status = 0;
    pid_t child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        checks_failed = 0;
        alarm(30);
        end();
        exit(checks_result());
    }
    need(waitpid(child, &status, 0) == child, "waitpid");
    if (status != 0)
        fprintf(stderr, "%s: status %#x\n", what, (unsigned)status);
    CHECK(status == 0);
    children++;
}

static cd_options *kept;

/* exit() already has its status; this handler ends the process with another one. */
static void log_in_at_last(void) {
    cd_options *options = named_options();
    CHECK_CODE(CD_OK, log_in(options));
    cd_options_free(options);
    if (kept != NULL)
        CHECK_CODE(CD_OK, log_in(kept));
    if (checks_failed != 0)
        _exit(checks_result());
}

/* Registered before the first use of the library, and so runs after any handler of the library. */
static void handler_from_before(void) {
    need(atexit(log_in_at_last) == 0, "atexit");
    kept = named_options();
    CHECK_CODE(CD_OK, log_in(kept));
}

static void handler_from_afterwards(void) {
    kept = named_options();
    CHECK_CODE(CD_OK, log_in(kept));
    need(atexit(log_in_at_last) == 0, "atexit");
}

/* The only login of the process. */
static void handler_alone(void) {
    need(atexit(log_in_at_last) == 0, "atexit");
}

/* The program's destructor, the last that runs before those of the shared libraries. */
static int wants_destructor;
__attribute__((destructor)) static void log_in_in_destructor(void) {
    if (wants_destructor)
        log_in_at_last();
}

static void destructor(void) {
    wants_destructor = 1;
    kept = named_options();
    CHECK_CODE(CD_OK, log_in(kept));
}

/* Runs before main(): the program's constructor. */
static int constructed;
__attribute__((constructor)) static void log_in_in_constructor(void) {
    cd_options *options = named_options();
    resolver_start();
    constructed = log_in(options) == CD_OK;
    cd_options_free(options);
}

/* ---- exit() during other threads' calls */

static void *log_in_repeatedly(void *unused) {
    (void)unused;
    for (;;) {
        cd_options *options = named_options();
        log_in(options);
        cd_options_free(options);
    }
    return NULL;
}

static void start_thread(void *(*run)(void *), void *argument) {
    pthread_t thread;
    need(pthread_create(&thread, NULL, run, argument) == 0, "pthread_create");
    need(pthread_detach(thread) == 0, "pthread_detach");
}

static int logins_before;
static void exit_during_logins(void) {
    int i;
    for (i = 0; i < 4; i++)
        start_thread(log_in_repeatedly, NULL);
    for (i = 0; i < logins_before; i++)
        sem_wait(&lookup_begun);
}

static void *log_in_once(void *unused) {
    (void)unused;
    log_in(kept);
    return NULL;
}

static void exit_during_a_lookup(void) {
    kept = named_options();
    set_lookups_hang(1);
    start_thread(log_in_once, NULL);
    sem_wait(&lookup_begun);
}

/* main() has ended by pthread_exit(), and the process ends with its last thread. */
static void exit_by_the_last_thread(void) {
    kept = named_options();
    start_thread(log_in_once, NULL);
    pthread_exit(NULL);
}

/* ---- the end of a thread */

/* The library's data of this thread may already be freed: this runs in the last of four rounds. */
static pthread_key_t key;
static int rounds;
static void log_in_as_thread_ends(void *value) {
    cd_options *options = named_options();
    CHECK_CODE(CD_OK, log_in(options));
    CHECK_CODE(CD_ERR_EMPTY_ARGUMENT, log_in_as(options, NULL, 0, ""));
    cd_options_free(options);
    if (++rounds < PTHREAD_DESTRUCTOR_ITERATIONS)
        pthread_setspecific(key, value);
}

static void *log_in_and_end(void *unused) {
    cd_options *options = named_options();
    (void)unused;
    pthread_setspecific(key, &key);
    CHECK_CODE(CD_OK, log_in(options));
    cd_options_free(options);
    return NULL;
}

static void logins_in_thread_destructors(void) {
    pthread_t thread;
    need(pthread_key_create(&key, log_in_as_thread_ends) == 0, "pthread_key_create");
    need(pthread_create(&thread, NULL, log_in_and_end, NULL) == 0, "pthread_create");
    pthread_join(thread, NULL);
    CHECK(rounds == PTHREAD_DESTRUCTOR_ITERATIONS);
}

int main(void) {
    int i;
    CHECK(constructed);
    end_if_hanging();
    in_child("an atexit() handler from before the first login", handler_from_before);
    in_child("an atexit() handler from after a login", handler_from_afterwards);
    in_child("an atexit() handler with the only login", handler_alone);
    in_child("a destructor", destructor);
    in_child("the end of a thread", logins_in_thread_destructors);
    in_child("during a lookup", exit_during_a_lookup);
    in_child("by the last thread", exit_by_the_last_thread);
    for (i = 0; i < repeats(50); i++) {
        logins_before = i % 20;
        in_child("during logins", exit_during_logins);
    }
    printf("%d processes ended during logins or lookups\n", children);
    return checks_result();
}
