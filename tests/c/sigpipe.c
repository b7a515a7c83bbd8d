/*
 * SIGPIPE keeps its default action, which kills the process. A server that resets its connections
 * must not raise it.
 */
#include "server.h"

#include <pthread.h>
#include <signal.h>

#define LOGINS 50

/* Connections that are reset at once, during the request, and after the response. */
static void *run_server(void *argument) {
    const server *s = (const server *)argument;
    char byte;
    int i, connection;
    for (i = 0; i < LOGINS; i++)
        server_reset(server_accept(s));
    for (i = 0; i < LOGINS; i++) {
        connection = server_accept(s);
        server_need(read(connection, &byte, 1) == 1, "read");
        shutdown(connection, SHUT_WR); /* after this Linux reports a reset as a broken pipe */
        server_reset(connection);
    }
    for (i = 0; i < LOGINS; i++) {
        connection = server_accept(s);
        server_read_request(connection);
        server_respond(connection);
        server_reset(connection);
    }
    return NULL;
}

static cd_code log_in(const cd_options *options, const char *text) {
    cd_token *token = NULL;
    cd_code code = cd_authenticate_with(options, NULL, 0, text, text, text, &token, NULL);
    cd_token_free(token);
    return code;
}

int main(void) {
    server s = server_start();
    cd_options *options = server_options(&s);
    static char longest[65536];
    pthread_t thread;
    int i, little = 4096;
    memset(longest, '%', sizeof longest - 1); /* each is three bytes in a form */
    setsockopt(s.listener, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    signal(SIGPIPE, SIG_DFL);
    server_need(pthread_create(&thread, NULL, run_server, &s) == 0, "pthread_create");
    for (i = 0; i < LOGINS; i++) {
        cd_code code = log_in(options, "ada");
        CHECK(code == CD_ERR_CONNECT || code == CD_ERR_CONNECTION_LOST);
    }
    /* More bytes than the server's buffer takes, so that the reset comes during the send. */
    for (i = 0; i < LOGINS; i++)
        CHECK_CODE(CD_ERR_CONNECTION_LOST, log_in(options, longest));
    /* Each login finds the pooled connection closed, and opens a new one. */
    for (i = 0; i < LOGINS; i++)
        CHECK_CODE(CD_OK, log_in(options, "ada"));
    pthread_join(thread, NULL);
    cd_options_free(options);
    close(s.listener);
    return checks_result();
}
