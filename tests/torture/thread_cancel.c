/*
 * pthread_cancel() of a thread that logs in, during each phase. Its type is deferred: the other
 * type allows no library call. The cancellation takes effect after the login, so the thread still
 * gets the result. Nothing is leaked, and the next login succeeds.
 */
#include "resolver.h"

enum phase { LOOKUP, CONNECT, HANDSHAKE, RESPONSE, BACK_OFF, PHASES };
static const char *const phase_names[PHASES] = {"the lookup", "connecting", "the handshake",
                                                "waiting for the response", "the back-off"};

/* The log message at the beginning of each phase. */
static const char *const begins[PHASES] = {"looking up", "connecting to", "connected to",
                                           "TLS handshake with", "retrying in"};

typedef struct {
    enum phase phase;
    cd_options *options;
    const cd_cancel *cancel;
    const char *username;
    sem_t reached, go_on;
    cd_code code;
    int was_cancellable, went_on;
} login;

/*
 * Waits at the beginning of each phase until the thread was cancelled. sem_wait() is a cancellation
 * point, too.
 */
static void at_phase(void *user_data, int32_t level, const char *message) {
    login *l = (login *)user_data;
    (void)level;
    if (strncmp(message, begins[l->phase], strlen(begins[l->phase])) != 0)
        return;
    sem_post(&l->reached);
    while (sem_wait(&l->go_on) != 0)
        ;
    sem_post(&l->go_on); /* a phase may begin more than once */
}

static void *run_login(void *argument) {
    login *l = (login *)argument;
    int state;
    l->code = log_in_as(l->options, l->cancel, 10000, l->username);
    /* The library has restored the thread's cancel state. */
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
    l->was_cancellable = state == PTHREAD_CANCEL_ENABLE;
    pthread_testcancel();
    l->went_on = 1;
    return NULL;
}

/* Cancelled in `phase`, the login continues to `expected`; `trigger` stops it there. */
static void in_phase(enum phase phase, int trigger, cd_options *(*make)(void), const char *username,
                     cd_code expected) {
    cd_cancel *cancel = cd_cancel_new();
    login l;
    pthread_t thread;
    void *result = NULL;
    int before = settled_descriptors(), failed = checks_failed;
    memset(&l, 0, sizeof l);
    l.phase = phase;
    l.options = make();
    l.cancel = cancel;
    l.username = username;
    l.code = CD_ERR_INTERNAL;
    need(sem_init(&l.reached, 0, 0) == 0 && sem_init(&l.go_on, 0, 0) == 0, "sem_init");
    CHECK_CODE(CD_OK, cd_options_set_max_retries(l.options, 2, NULL));
    CHECK_CODE(CD_OK, cd_options_set_logger(l.options, at_phase, &l, CD_LOG_DEBUG, NULL));
    need(pthread_create(&thread, NULL, run_login, &l) == 0, "pthread_create");
    sem_wait(&l.reached);
    need(pthread_cancel(thread) == 0, "pthread_cancel");
    if (trigger)
        cd_cancel_trigger(cancel);
    sem_post(&l.go_on);
    pthread_join(thread, &result);

    CHECK(result == PTHREAD_CANCELED);
    CHECK(!l.went_on);
    CHECK_CODE(trigger ? CD_ERR_CANCELLED : expected, l.code);
    CHECK(l.was_cancellable);
    CHECK_CODE(expected, log_in_as(l.options, NULL, 10000, username));
    cd_options_free(l.options);
    cd_cancel_free(cancel);
    CHECK(settled_descriptors() == before);
    sem_destroy(&l.reached);
    sem_destroy(&l.go_on);
    if (checks_failed != failed)
        fprintf(stderr, "... when cancelled in %s%s\n", phase_names[phase],
                trigger ? ", and triggered" : "");
}

/* A slow lookup is waited for, and not abandoned. */
static void thread_cancel_during_a_lookup(void) {
    login l;
    pthread_t thread;
    void *result = NULL;
    memset(&l, 0, sizeof l);
    l.options = named_options();
    l.username = "ada@example.com";
    resolver_hang(1);
    while (sem_trywait(&resolver_asked) == 0)
        ;
    need(pthread_create(&thread, NULL, run_login, &l) == 0, "pthread_create");
    sem_wait(&resolver_asked);
    need(pthread_cancel(thread) == 0, "pthread_cancel");
    resolver_hang(0);
    pthread_join(thread, &result);
    CHECK_CODE(CD_OK, l.code);
    CHECK(result == PTHREAD_CANCELED && !l.went_on);
    cd_options_free(l.options);
}

int main(void) {
    int round, phase, trigger;
    resolver_start();
    give_up_after(60);
    for (round = 0; round < times(); round++) {
        for (trigger = 0; trigger < 2; trigger++) {
            for (phase = LOOKUP; phase < BACK_OFF; phase++)
                in_phase((enum phase)phase, trigger, named_options, "ada@example.com", CD_OK);
            in_phase(BACK_OFF, trigger, named_options, "down@example.com", CD_ERR_UNAVAILABLE);
        }
        thread_cancel_during_a_lookup();
    }
    return checks_result();
}
