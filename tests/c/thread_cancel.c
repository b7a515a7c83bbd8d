/*
 * pthread_cancel() of a thread that logs in. The cancellation takes effect after the login, so the
 * thread still gets the result, and it never unwinds through the library.
 */
#include "server.h"

#include <pthread.h>

static const cd_options *options;
static cd_code code = CD_ERR_INTERNAL;
static int was_cancellable, went_on;

static void *run_login(void *argument) {
    cd_token *token = NULL;
    int before;
    (void)argument;
    code = cd_authenticate_with(options, NULL, 0, "ada@example.com", PASSWORD, NULL, &token, NULL);
    cd_token_free(token);
    /*
     * The library has restored the thread's cancel state; the next line acts on the cancellation.
     */
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before);
    was_cancellable = before == PTHREAD_CANCEL_ENABLE;
    pthread_testcancel();
    went_on = 1;
    return NULL;
}

int main(void) {
    server s = server_start();
    cd_options *own = server_options(&s);
    void *result = NULL;
    pthread_t thread;
    int connection;
    options = own;
    server_need(pthread_create(&thread, NULL, run_login, NULL) == 0, "pthread_create");
    connection = server_accept(&s);
    server_read_request(connection);
    server_need(pthread_cancel(thread) == 0, "pthread_cancel");
    server_respond(connection);
    pthread_join(thread, &result);

    CHECK_CODE(CD_OK, code);
    CHECK(was_cancellable);
    CHECK(result == PTHREAD_CANCELED);
    CHECK(!went_on);
    close(connection);
    cd_options_free(own);
    close(s.listener);
    return checks_result();
}
