/* A relay on loopback to the fake server's TLS that cuts a connection after a number of bytes. */
#ifndef RELAY_H
#define RELAY_H

#include "torture.h"

#include <poll.h>

/** BREAK closes first and then resets, which Linux reports as a broken pipe. */
enum cut { RESET, CLOSE, BREAK };
enum direction { TO_SERVER, TO_CLIENT };

typedef struct {
    server listening;
    /* The connection is cut after this many bytes in that direction; -1 = never. */
    enum direction direction;
    long after;
    enum cut how;
    /* The bytes passed in each direction on the last connection. */
    long passed[2];
    volatile int over;
    pthread_t thread;
} relay;

static inline int relay_connect(void) {
    const char *port = strrchr(environment("COUCHDROP_BASE_URL"), ':');
    struct sockaddr_in address;
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)atoi(port + 1));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    need(connection >= 0 && connect(connection, (struct sockaddr *)&address, sizeof address) == 0,
         "the fake server");
    return connection;
}

/* Passes bytes in both directions until one side ends, or the cut. */
static inline void relay_serve(relay *r, int client) {
    int ends[2] = {client, relay_connect()}; /* bytes from [TO_SERVER] go to the other */
    char bytes[16384];
    r->passed[TO_SERVER] = r->passed[TO_CLIENT] = 0;
    for (;;) {
        struct pollfd polls[2] = {{ends[0], POLLIN, 0}, {ends[1], POLLIN, 0}};
        int from;
        if (r->after == r->passed[r->direction])
            break;
        need(poll(polls, 2, -1) > 0, "poll");
        for (from = 0; from < 2; from++) {
            size_t most = sizeof bytes;
            ssize_t count;
            if (polls[from].revents == 0)
                continue;
            if (r->after >= 0 && from == (int)r->direction &&
                (size_t)(r->after - r->passed[from]) < most)
                most = (size_t)(r->after - r->passed[from]);
            count = recv(ends[from], bytes, most, 0);
            if (count <= 0 || send(ends[1 - from], bytes, (size_t)count, MSG_NOSIGNAL) != count) {
                close(ends[0]);
                close(ends[1]);
                return;
            }
            r->passed[from] += count;
            if (r->after == r->passed[r->direction])
                break;
        }
    }
    if (r->how == BREAK)
        shutdown(client, SHUT_WR);
    if (r->how == CLOSE)
        close(client);
    else
        server_reset(client);
    close(ends[1]);
}

static inline void *relay_run(void *argument) {
    relay *r = (relay *)argument;
    for (;;) {
        int client = server_accept(&r->listening);
        if (r->over) {
            close(client);
            return NULL;
        }
        relay_serve(r, client);
    }
}

/** Starts without a cut. */
static inline void relay_start(relay *r) {
    memset(r, 0, sizeof *r);
    r->listening = server_start();
    r->after = -1;
    need(pthread_create(&r->thread, NULL, relay_run, r) == 0, "pthread_create");
}

/** Stops the relay once no connection is left. */
static inline void relay_stop(relay *r) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int last = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    r->over = 1;
    need(getsockname(r->listening.listener, (struct sockaddr *)&address, &size) == 0 &&
             connect(last, (struct sockaddr *)&address, size) == 0,
         "the relay");
    pthread_join(r->thread, NULL);
    close(last);
    close(r->listening.listener);
}

/** Options that lead through the relay, without retries. */
static inline cd_options *relay_options(const relay *r) {
    cd_options *options = fake_server_options();
    char url[60];
    snprintf(url, sizeof url, "https://127.0.0.1%s", strrchr(r->listening.url, ':'));
    CHECK_CODE(CD_OK, cd_options_set_base_url(options, url, NULL));
    CHECK_CODE(CD_OK, cd_options_set_max_retries(options, 0, NULL));
    return options;
}

#endif
