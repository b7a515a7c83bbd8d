/*
 * Signals belong to the host. A storm of them during whole logins changes only the duration of a
 * login, a handler may cancel the login that it interrupts, and a thread of the library never
 * handles a signal.
 */
#include "resolver.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>

static pthread_t target;
static _Atomic int over;
static _Atomic int handled;
/* The number of waits that a signal ended. */
static int interrupted;

/* The handle that the handler triggers, and if a trigger has left errno unchanged. */
static cd_cancel *volatile to_trigger;
static volatile sig_atomic_t errno_kept = 1;

static void on_signal(int number) {
    int before = errno;
    (void)number;
    errno = EXDEV;
    cd_cancel_trigger(to_trigger);
    errno_kept &= errno == EXDEV;
    errno = before;
    handled++;
}

/* The C library's poll(), with a counter. */
int poll(struct pollfd *polls, nfds_t count, int ms) {
    static int (*real)(struct pollfd *, nfds_t, int);
    int ready;
    if (real == NULL) {
        void *found = dlsym(RTLD_NEXT, "poll");
        memcpy(&real, &found, sizeof real);
    }
    ready = real(polls, count, ms);
    if (ready < 0 && errno == EINTR)
        __atomic_add_fetch(&interrupted, 1, __ATOMIC_RELAXED);
    return ready;
}

/* Sends each signal as soon as the one before was handled, so that every call is interrupted. */
static void *run_storm(void *unused) {
    (void)unused;
    while (!over) {
        int before = handled;
        pthread_kill(target, SIGUSR1);
        while (handled == before && !over)
            sched_yield();
    }
    return NULL;
}

static pthread_t start_storm(int flags) {
    struct sigaction action;
    pthread_t thread;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = flags;
    need(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    target = pthread_self();
    over = 0;
    need(pthread_create(&thread, NULL, run_storm, NULL) == 0, "pthread_create");
    return thread;
}

static void end_storm(pthread_t thread) {
    over = 1;
    pthread_join(thread, NULL);
}

/* Each kind of login, during the storm. */
static void logins_in_a_storm(void) {
    static const struct {
        const char *username;
        cd_code code;
    } cases[] = {
        {"ada@example.com", CD_OK},
        {"json@example.com", CD_OK},
        {"down@example.com", CD_ERR_UNAVAILABLE},
        {"portal@example.com", CD_ERR_MALFORMED_RESPONSE},
        {"nobody@example.com", CD_ERR_ACCESS_DENIED},
    };
    pthread_t thread = start_storm(0);
    cd_options *options;
    int64_t begun, took;
    size_t i;
    int round;
    for (round = 0; round < repeats(20); round++) {
        cd_cancel *cancel = cd_cancel_new();
        options = named_options();
        for (i = 0; i < sizeof cases / sizeof cases[0]; i++)
            CHECK_CODE(cases[i].code,
                       log_in_as(options, i % 2 ? cancel : NULL, 0, cases[i].username));
        CHECK_CODE(CD_OK, cd_connect(options, cancel, 0, NULL));
        cd_cancel_free(cancel);
        cd_options_free(options);
    }
    /* A timeout and a back-off take as long as without signals. */
    options = named_options();
    begun = now_ms();
    CHECK_CODE(CD_ERR_TIMEOUT, log_in_as(options, NULL, 300, "slow@example.com"));
    took = now_ms() - begun;
    CHECK(took >= 300 && took < 300 + 5 * slack_ms());
    begun = now_ms();
    CHECK_CODE(CD_OK, log_in_as(options, NULL, 0, "busy@example.com")); /* Retry-After: 1 */
    took = now_ms() - begun;
    CHECK(took >= 1000 && took < 2000 + 5 * slack_ms());
    cd_options_free(options);
    end_storm(thread);
    printf("%d signals, %d waits interrupted\n", (int)handled, interrupted);
    CHECK(interrupted > 100);
}

static int32_t let_handler_trigger(void *cancel) {
    to_trigger = (cd_cancel *)cancel;
    return 0;
}

/* While the login waits, the next signal triggers its handle. */
static void trigger_in_a_handler_stops_call(int flags) {
    cd_options *options = fake_server_options();
    cd_cancel *cancel = cd_cancel_new();
    int64_t begun = now_ms();
    pthread_t thread = start_storm(flags);
    cd_cancel_set_check(cancel, let_handler_trigger, cancel);
    CHECK_CODE(CD_ERR_CANCELLED, log_in_as(options, cancel, 20000, "slow@example.com"));
    CHECK(now_ms() - begun < 5000 + slack_ms());
    CHECK(errno_kept);
    end_storm(thread);
    to_trigger = NULL;
    cd_cancel_free(cancel);
    cd_options_free(options);
}

static int32_t never_called(void *unused) {
    (void)unused;
    FAIL("a check that was removed");
    return 0;
}

static void removed_check_is_not_called(void) {
    cd_options *options = fake_server_options();
    cd_cancel *cancel = cd_cancel_new();
    cd_cancel_set_check(cancel, never_called, NULL);
    cd_cancel_set_check(cancel, NULL, NULL);
    CHECK_CODE(CD_ERR_TIMEOUT, log_in_as(options, cancel, 300, "slow@example.com"));
    cd_cancel_free(cancel);
    cd_options_free(options);
}

static void *look_up(void *argument) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    CHECK_CODE(CD_OK, log_in((const cd_options *)argument));
    return NULL;
}

/*
 * All other threads block the signal, so that it stays pending until one of these handles it. A
 * thread of the library that is in a lookup must not.
 */
static void library_thread_blocks_signals(void) {
    cd_options *options = named_options();
    sigset_t all, before, pending;
    unsigned long long mask = 0;
    char line[200] = "";
    pthread_t thread;
    int number;
    sig_atomic_t taken;
    need(pthread_sigmask(SIG_SETMASK, NULL, &before) == 0, "pthread_sigmask");
    set_lookups_hang(1);
    need(pthread_create(&thread, NULL, look_up, options) == 0, "pthread_create");
    while (sem_wait(&lookup_begun) != 0)
        ;
    CHECK(find_threads("couchdrop-dns", "SigBlk:", line) == 1);
    need(sscanf(line, "SigBlk: %llx", &mask) == 1, line);
    for (number = 1; number < NSIG; number++) {
        /* These can't be blocked, or belong to the C library. */
        if (number == SIGKILL || number == SIGSTOP || number == 32 || number == 33)
            continue;
        if ((mask >> (number - 1) & 1) == 0)
            fprintf(stderr, "signal %d is not blocked by the library's thread\n", number);
        CHECK((mask >> (number - 1) & 1) == 1);
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    taken = handled;
    kill(getpid(), SIGUSR1);
    need(sigpending(&pending) == 0, "sigpending");
    CHECK(sigismember(&pending, SIGUSR1) == 1);
    CHECK(handled == taken);
    set_lookups_hang(0);
    pthread_join(thread, NULL);
    need(sigpending(&pending) == 0, "sigpending");
    CHECK(sigismember(&pending, SIGUSR1) == 1 && handled == taken);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    CHECK(handled == taken + 1); /* now this thread has handled it */
    cd_options_free(options);
}

/* The library leaves the signal mask and the handlers unchanged. */
static void signal_state_is_unchanged(void) {
    sigset_t set, before, after;
    struct sigaction actions[NSIG], action;
    cd_options *options = named_options();
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGRTMIN);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    memset(actions, 0, sizeof actions);
    for (number = 1; number < NSIG; number++)
        sigaction(number, NULL, &actions[number]);
    CHECK_CODE(CD_OK, log_in(options));
    cd_options_free(options);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (number = 1; number < NSIG; number++) {
        memset(&action, 0, sizeof action);
        CHECK(sigismember(&before, number) == sigismember(&after, number));
        if (sigaction(number, NULL, &action) == 0)
            CHECK(action.sa_handler == actions[number].sa_handler &&
                  action.sa_flags == actions[number].sa_flags);
    }
    sigemptyset(&set);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
}

int main(void) {
    resolver_start();
    end_if_hanging();
    signal_state_is_unchanged();
    logins_in_a_storm();
    trigger_in_a_handler_stops_call(0);
    trigger_in_a_handler_stops_call(SA_RESTART);
    removed_check_is_not_called();
    library_thread_blocks_signals();
    return checks_result();
}
