/*
 * Signals belong to the host. A storm of them during whole logins changes only the duration of a
 * login, and a thread of the library never handles one.
 */
#include "resolver.h"

#include <poll.h>

static pthread_t target;
static _Atomic int over;
static _Atomic int handled;
/* The number of waits that a signal ended. */
static int interrupted;

static void count_signal(int number) {
    (void)number;
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
static void *storm(void *unused) {
    (void)unused;
    while (!over) {
        int before = handled;
        pthread_kill(target, SIGUSR1);
        while (handled == before && !over)
            sched_yield();
    }
    return NULL;
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
    struct sigaction action;
    pthread_t thread;
    size_t i;
    int round;
    memset(&action, 0, sizeof action);
    action.sa_handler = count_signal; /* without SA_RESTART */
    need(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    target = pthread_self();
    need(pthread_create(&thread, NULL, storm, NULL) == 0, "pthread_create");
    for (round = 0; round < 20 * times(); round++) {
        cd_options *options = named_options();
        cd_cancel *cancel = cd_cancel_new();
        for (i = 0; i < sizeof cases / sizeof cases[0]; i++)
            CHECK_CODE(cases[i].code,
                       log_in_as(options, i % 2 ? cancel : NULL, 0, cases[i].username));
        CHECK_CODE(CD_OK, cd_connect(options, cancel, 0, NULL));
        cd_cancel_free(cancel);
        cd_options_free(options);
    }
    /* A timeout and a back-off take as long as without signals. */
    {
        cd_options *options = named_options();
        int64_t begun = now_ms(), took;
        CHECK_CODE(CD_ERR_TIMEOUT, log_in_as(options, NULL, 300, "slow@example.com"));
        took = now_ms() - begun;
        CHECK(took >= 300 && took < 300 + 5 * slack_ms());
        begun = now_ms();
        CHECK_CODE(CD_OK, log_in_as(options, NULL, 0, "busy@example.com")); /* Retry-After: 1 */
        took = now_ms() - begun;
        CHECK(took >= 1000 && took < 2000 + 5 * slack_ms());
        cd_options_free(options);
    }
    over = 1;
    pthread_join(thread, NULL);
    printf("%d signals, %d waits interrupted\n", (int)handled, interrupted);
    CHECK(interrupted > 100);
}

static void *look_up(void *argument) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    CHECK_CODE(CD_OK, log_in((const cd_options *)argument));
    return NULL;
}

/* The signals that the thread with this name blocks, from /proc; 0 = this thread does not exist. */
static uint64_t blocked_by(const char *name) {
    DIR *folder = opendir("/proc/self/task");
    struct dirent *entry;
    uint64_t blocked = 0;
    need(folder != NULL, "/proc/self/task");
    while ((entry = readdir(folder)) != NULL) {
        char path[300], line[200];
        FILE *status;
        int is_it = 0;
        unsigned long long mask;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        if (entry->d_name[0] == '.' || (status = fopen(path, "r")) == NULL)
            continue;
        while (fgets(line, sizeof line, status) != NULL) {
            if (strncmp(line, "Name:\t", 6) == 0)
                is_it = strncmp(line + 6, name, strlen(name)) == 0;
            if (is_it && sscanf(line, "SigBlk: %llx", &mask) == 1)
                blocked = mask;
        }
        fclose(status);
    }
    closedir(folder);
    return blocked;
}

/*
 * All other threads block the signal, so that it stays pending until one of these handles it. A
 * thread of the library that is in a lookup must not.
 */
static void library_thread_blocks_signals(void) {
    cd_options *options = named_options();
    sigset_t all, before, pending;
    uint64_t mask;
    pthread_t thread;
    int number;
    sig_atomic_t taken;
    need(pthread_sigmask(SIG_SETMASK, NULL, &before) == 0, "pthread_sigmask");
    resolver_hang(1);
    while (sem_trywait(&resolver_asked) == 0)
        ;
    need(pthread_create(&thread, NULL, look_up, options) == 0, "pthread_create");
    while (sem_wait(&resolver_asked) != 0)
        ;
    mask = blocked_by("couchdrop-dns");
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
    resolver_hang(0);
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
    give_up_after(60);
    signal_state_is_unchanged();
    logins_in_a_storm();
    library_thread_blocks_signals();
    return checks_result();
}
