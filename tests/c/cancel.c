/* Cancels a login: before it starts, from another thread, from a signal handler, and by a check. */
#include "server.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

/* A login on its own thread, which ends when it is cancelled. */
typedef struct {
    const cd_options *options;
    const cd_cancel *cancel;
    pthread_t thread;
    cd_code code;
    cd_code error_code;
    uint32_t attempts;
    int has_token;
    int64_t ended;
} login;

static void *run_login(void *argument) {
    login *l = (login *)argument;
    cd_token *token = NULL;
    cd_error *error = NULL;
    l->code = cd_authenticate_with(l->options, l->cancel, 0, "ada@example.com", PASSWORD, NULL,
                                   &token, &error);
    l->ended = now_ms();
    l->has_token = token != NULL;
    l->error_code = cd_error_code(error);
    l->attempts = cd_error_attempts(error);
    cd_token_free(token);
    cd_error_free(error);
    return NULL;
}

/* Returns the login's connection once the login waits for its response. */
static int start_login(login *l, const server *s, const cd_options *options,
                       const cd_cancel *cancel) {
    int connection;
    memset(l, 0, sizeof *l);
    l->options = options;
    l->cancel = cancel;
    server_need(pthread_create(&l->thread, NULL, run_login, l) == 0, "pthread_create");
    connection = server_accept(s);
    server_read_request(connection);
    return connection;
}

/* The header promises 50 ms. */
static void check_cancelled(const login *l, int64_t triggered) {
    CHECK_CODE(CD_ERR_CANCELLED, l->code);
    CHECK_CODE(CD_ERR_CANCELLED, l->error_code);
    CHECK(!l->has_token);
    CHECK(l->attempts == 1);
    CHECK(l->ended - triggered < 50 + slack_ms());
}

/*
 * With a triggered handle a call ends at once and sends nothing: this listener accepts no
 * connection.
 */
static void triggered_handle_sends_nothing(void) {
    server s = server_start();
    cd_options *options = server_options(&s);
    cd_cancel *cancel = cd_cancel_new();
    cd_token *token = NULL;
    cd_error *error = NULL;
    CHECK(cd_cancel_is_triggered(cancel) == 0);
    cd_cancel_trigger(cancel);
    CHECK(cd_cancel_is_triggered(cancel) == 1);
    cd_cancel_trigger(cancel);
    CHECK_CODE(CD_ERR_CANCELLED, cd_authenticate_with(options, cancel, 0, "ada@example.com",
                                                      PASSWORD, NULL, &token, &error));
    CHECK(cd_error_attempts(error) == 0);
    CHECK(token == NULL);
    cd_error_free(error);
    CHECK_CODE(CD_ERR_CANCELLED, cd_connect(options, cancel, 0, NULL));
    cd_cancel_free(cancel);
    cd_options_free(options);
    close(s.listener);
}

static void trigger_on_another_thread_stops_call(void) {
    server s = server_start();
    cd_options *options = server_options(&s);
    cd_cancel *cancel = cd_cancel_new();
    int64_t triggered;
    login first, second;
    /* One handle cancels two logins at once. */
    int connections[2] = {start_login(&first, &s, options, cancel),
                          start_login(&second, &s, options, cancel)};
    triggered = now_ms();
    cd_cancel_trigger(cancel);
    pthread_join(first.thread, NULL);
    pthread_join(second.thread, NULL);
    check_cancelled(&first, triggered);
    check_cancelled(&second, triggered);
    close(connections[0]);
    close(connections[1]);
    cd_cancel_free(cancel);
    cd_options_free(options);
    close(s.listener);
}

static cd_cancel *to_trigger;
static volatile sig_atomic_t errno_kept;

static void run_trigger(int signal_number) {
    int before = errno;
    (void)signal_number;
    errno = EXDEV;
    cd_cancel_trigger(to_trigger);
    errno_kept = errno == EXDEV;
    errno = before;
}

/* The handler runs on the thread that waits. */
static void trigger_in_a_signal_handler_stops_call(int flags) {
    server s = server_start();
    cd_options *options = server_options(&s);
    struct sigaction action;
    int64_t triggered;
    int connection;
    login l;
    memset(&action, 0, sizeof action);
    action.sa_handler = run_trigger;
    action.sa_flags = flags;
    server_need(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    to_trigger = cd_cancel_new();
    errno_kept = 0;
    connection = start_login(&l, &s, options, to_trigger);
    triggered = now_ms();
    pthread_kill(l.thread, SIGUSR1);
    pthread_join(l.thread, NULL);
    check_cancelled(&l, triggered);
    CHECK(errno_kept);
    signal(SIGUSR1, SIG_DFL);
    cd_cancel_free(to_trigger);
    close(connection);
    cd_options_free(options);
    close(s.listener);
}

static void ignore_signal(int signal_number) {
    (void)signal_number;
}

/* A signal of the host interrupts the wait, but not the login. */
static void signal_without_trigger_continues(void) {
    server s = server_start();
    cd_options *options = server_options(&s);
    struct sigaction action;
    int connection, i;
    login l;
    memset(&action, 0, sizeof action);
    action.sa_handler = ignore_signal;
    server_need(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    connection = start_login(&l, &s, options, NULL);
    for (i = 0; i < 100; i++)
        pthread_kill(l.thread, SIGUSR1);
    server_respond(connection);
    pthread_join(l.thread, NULL);
    CHECK_CODE(CD_OK, l.code);
    CHECK(l.has_token);
    signal(SIGUSR1, SIG_DFL);
    close(connection);
    cd_options_free(options);
    close(s.listener);
}

typedef struct {
    pthread_t thread;
    int calls;
    int stop_after; /* calls; 0 = never */
    int64_t last;
    int64_t longest_gap;
} checker;

static int32_t check(void *user_data) {
    checker *c = (checker *)user_data;
    int64_t now = now_ms();
    CHECK(pthread_equal(c->thread, pthread_self()));
    if (now - c->last > c->longest_gap)
        c->longest_gap = now - c->last;
    c->last = now;
    return ++c->calls == c->stop_after;
}

/* A login that gets no response, and calls the check while it waits. */
static cd_code checked_login(const cd_options *options, const cd_cancel *cancel,
                             uint32_t timeout_ms, checker *c) {
    cd_token *token = NULL;
    cd_code code;
    c->thread = pthread_self();
    c->last = now_ms();
    code = cd_authenticate_with(options, cancel, timeout_ms, "slow@example.com", PASSWORD, NULL,
                                &token, NULL);
    CHECK(token == NULL);
    return code;
}

static void check_stops_call(void) {
    cd_options *options = fake_server_options();
    cd_cancel *cancel = cd_cancel_new();
    checker c = {0};
    cd_cancel_set_check(cancel, check, &c);

    /* The check is called at least every 50 ms. A nonzero result stops only its own call. */
    c.stop_after = 10;
    CHECK_CODE(CD_ERR_CANCELLED, checked_login(options, cancel, 60000, &c));
    CHECK(c.calls == 10);
    CHECK(c.longest_gap <= 50 + slack_ms());
    CHECK(cd_cancel_is_triggered(cancel) == 0);

    /* The login continues while the check returns 0. */
    memset(&c, 0, sizeof c);
    CHECK_CODE(CD_ERR_TIMEOUT, checked_login(options, cancel, 300, &c));
    CHECK(c.calls > 0);
    cd_cancel_free(cancel);

    /* The check is removed. */
    cancel = cd_cancel_new();
    memset(&c, 0, sizeof c);
    cd_cancel_set_check(cancel, check, &c);
    cd_cancel_set_check(cancel, NULL, NULL);
    CHECK_CODE(CD_ERR_TIMEOUT, checked_login(options, cancel, 300, &c));
    CHECK(c.calls == 0);
    cd_cancel_free(cancel);
    cd_options_free(options);
}

int main(void) {
    triggered_handle_sends_nothing();
    trigger_on_another_thread_stops_call();
    trigger_in_a_signal_handler_stops_call(0);
    trigger_in_a_signal_handler_stops_call(SA_RESTART);
    signal_without_trigger_continues();
    check_stops_call();
    return checks_result();
}
