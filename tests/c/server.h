/* A plain HTTP server on loopback that a test drives step by step. */
#ifndef SERVER_H
#define SERVER_H

#include "check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <strings.h>
#include <sys/socket.h>

typedef struct {
    int listener;
    char url[40];
} server;

/** Listens on a free port. */
static inline server server_start(void) {
    server s;
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(s.listener >= 0, "socket");
    need(bind(s.listener, (struct sockaddr *)&address, size) == 0, "bind");
    need(listen(s.listener, 16) == 0, "listen");
    need(getsockname(s.listener, (struct sockaddr *)&address, &size) == 0, "getsockname");
    snprintf(s.url, sizeof s.url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    return s;
}

/** Waits for the next connection. */
static inline int server_accept(const server *s) {
    int connection = accept(s->listener, NULL, NULL);
    need(connection >= 0, "accept");
    return connection;
}

/** Reads one whole request and no more: the client then waits for a response. */
static inline void server_read_request(int connection) {
    char request[16384];
    size_t size = 0;
    for (;;) {
        char *end, *field;
        ssize_t count = read(connection, request + size, sizeof request - 1 - size);
        need(count > 0, "read of a request");
        size += (size_t)count;
        request[size] = '\0';
        end = strstr(request, "\r\n\r\n");
        field = strcasestr(request, "\r\ncontent-length:");
        if (end != NULL && field != NULL &&
            size >= (size_t)(end + 4 - request) + (size_t)atoll(field + 17))
            return;
    }
}

/** Responds with a token; the connection stays open. */
static inline void server_respond(int connection) {
    const char body[] = "{\"token\":\"0123456789\"}";
    char response[200];
    int size = snprintf(response, sizeof response,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        sizeof body - 1, body);
    need(send(connection, response, (size_t)size, MSG_NOSIGNAL) == size, "send");
}

/** Closes the connection with a reset. */
static inline void server_reset(int connection) {
    struct linger at_once = {1, 0};
    setsockopt(connection, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(connection);
}

/** Options that lead to the server, without retries. */
static inline cd_options *server_options(const server *s) {
    cd_options *options = cd_options_new();
    CHECK_CODE(CD_OK, cd_options_set_base_url(options, s->url, NULL));
    CHECK_CODE(CD_OK, cd_options_set_max_retries(options, 0, NULL));
    return options;
}

#endif
