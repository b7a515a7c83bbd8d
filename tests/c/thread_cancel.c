/*
 * pthread_cancel() of a thread that logs in, during each phase. Its type is deferred: the other
 * type allows no library call. The cancellation takes effect after the login, so the thread still
 * gets the result, and it never unwinds through the library. Nothing is leaked, and the next login
 * succeeds.
 */
#include "resolver.h"

/* Each phase, the log message at its beginning, and the account that reaches it. */
static const struct {
    const char *name, *begins, *username;
    cd_code code;
} phases[] = {
    {"the lookup", "looking up", ADA, CD_OK},
    {"connecting", "connecting to", ADA, CD_OK},
    {"the handshake", "connected to", ADA, CD_OK},
    {"waiting for the response", "TLS handshake with", ADA, CD_OK},
    {"the back-off", "retrying in", "down@example.com", CD_ERR_UNAVAILABLE},
};

typedef struct {
    const char *begins, *username;
    cd_options *options;
    cd_cancel *cancel;
    sem_t reached, go_on;
    cd_code code;
    int was_cancellable, went_on;
} login;

/* Waits at the beginning of the phase until the thread was cancelled. sem_wait() is a cancellation point, too. */
static void at_phase(void *user_data, int32_t level, const char *message) {
    login *l = (login *)user_data;
    (void)level;
    if (strncmp(message, l->begins, strlen(l->begins)) != 0)
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

/* Cancels the thread once `reached` is posted, calls `then`, and checks that the thread got this result. */
static void check_cancelled(login *l, sem_t *reached, void (*then)(login *), cd_code expected) {
    void *result = NULL;
    pthread_t thread;
    need(pthread_create(&thread, NULL, run_login, l) == 0, "pthread_create");
    sem_wait(reached);
    need(pthread_cancel(thread) == 0, "pthread_cancel");
    then(l);
    pthread_join(thread, &result);
    CHECK_CODE(expected, l->code);
    CHECK(l->was_cancellable);
    CHECK(result == PTHREAD_CANCELED && !l->went_on);
}

static void go_on(login *l) {
    sem_post(&l->go_on);
}

static void trigger_and_go_on(login *l) {
    cd_cancel_trigger(l->cancel);
    sem_post(&l->go_on);
}

static void in_phase(size_t phase, int trigger) {
    int before = settled_descriptors(), failed = checks_failed;
    login l;
    memset(&l, 0, sizeof l);
    l.begins = phases[phase].begins;
    l.username = phases[phase].username;
    l.options = named_options();
    l.cancel = cd_cancel_new();
    need(sem_init(&l.reached, 0, 0) == 0 && sem_init(&l.go_on, 0, 0) == 0, "sem_init");
    CHECK_CODE(CD_OK, cd_options_set_max_retries(l.options, 2, NULL));
    CHECK_CODE(CD_OK, cd_options_set_logger(l.options, at_phase, &l, CD_LOG_DEBUG, NULL));
    check_cancelled(&l, &l.reached, trigger ? trigger_and_go_on : go_on,
                    trigger ? CD_ERR_CANCELLED : phases[phase].code);
    CHECK_CODE(phases[phase].code, log_in_as(l.options, NULL, 10000, l.username));
    cd_options_free(l.options);
    cd_cancel_free(l.cancel);
    CHECK(settled_descriptors() == before);
    if (checks_failed != failed)
        fprintf(stderr, "... when cancelled in %s%s\n", phases[phase].name,
                trigger ? ", and triggered" : "");
}

static void end_lookup(login *l) {
    (void)l;
    set_lookups_hang(0);
}

/* A slow lookup is waited for, and not abandoned. */
static void during_a_slow_lookup(void) {
    login l;
    memset(&l, 0, sizeof l);
    l.options = named_options();
    l.username = ADA;
    set_lookups_hang(1);
    check_cancelled(&l, &lookup_begun, end_lookup, CD_OK);
    cd_options_free(l.options);
}

int main(void) {
    size_t phase;
    int round, trigger;
    resolver_start();
    end_if_hanging();
    for (round = 0; round < repeats(1); round++) {
        for (trigger = 0; trigger < 2; trigger++)
            for (phase = 0; phase < sizeof phases / sizeof phases[0]; phase++)
                in_phase(phase, trigger);
        during_a_slow_lookup();
    }
    return checks_result();
}
