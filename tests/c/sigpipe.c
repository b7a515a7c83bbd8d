/*
 * SIGPIPE keeps its default action, which kills the process, while a relay to the fake server resets
 * or closes TLS connections after every byte to or from the server. A login that was cut returns an
 * error, and sends nothing twice. Plain connections are reset during a request and while idle.
 */
#include "server.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

/* ---- the relay, which serves one connection at a time */

/* BREAK closes first and then resets, which Linux reports as a broken pipe. */
enum cut { RESET, CLOSE, BREAK };
enum direction { TO_SERVER, TO_CLIENT };

/* A connection is cut after this many bytes in that direction; -1 = never. */
static struct {
    enum direction direction;
    long after;
    enum cut how;
} cut = {TO_SERVER, -1, RESET};
/* The bytes passed in each direction on the last connection. */
static long passed[2];
static int relayed;
static sem_t connection_ended;

static int connect_to_fake_server(void) {
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

/* Passes bytes from one end to the other, up to the cut. Returns 0 if one of them has ended. */
static int pass(const int ends[2], int from) {
    char bytes[16384];
    size_t most = sizeof bytes;
    ssize_t count;
    if (cut.after >= 0 && from == (int)cut.direction && (size_t)(cut.after - passed[from]) < most)
        most = (size_t)(cut.after - passed[from]);
    count = recv(ends[from], bytes, most, 0);
    if (count <= 0 || send(ends[1 - from], bytes, (size_t)count, MSG_NOSIGNAL) != count)
        return 0;
    passed[from] += count;
    return 1;
}

static void relay(int client) {
    int ends[2] = {client, connect_to_fake_server()}; /* bytes from [TO_SERVER] go to the other */
    int both_open = 1;
    passed[TO_SERVER] = passed[TO_CLIENT] = 0;
    while (both_open && passed[cut.direction] != cut.after) {
        struct pollfd polls[2] = {{ends[0], POLLIN, 0}, {ends[1], POLLIN, 0}};
        need(poll(polls, 2, -1) > 0, "poll");
        both_open = pass(ends, polls[TO_SERVER].revents != 0 ? TO_SERVER : TO_CLIENT);
    }
    if (both_open && cut.how == BREAK)
        shutdown(client, SHUT_WR);
    if (both_open && cut.how != CLOSE)
        server_reset(client);
    else
        close(client);
    close(ends[1]);
}

static void *run_relay(void *argument) {
    for (;;) {
        relay(server_accept((const server *)argument));
        relayed++;
        sem_post(&connection_ended);
    }
    return NULL;
}

/* ---- logins through it */

static server relay_server;
static int cuts;

/* More bytes than the buffers of a connection take: each character is three bytes in a form. */
static cd_code log_in_with_long_strings(const cd_options *options) {
    static char longest[65537];
    cd_token *token = NULL;
    memset(longest, '%', sizeof longest - 1);
    return cd_authenticate_with(options, NULL, 0, longest, longest, longest, &token, NULL);
}

/* One login on a new connection, which is cut. */
static cd_code log_in_with_cut(cd_code (*how_to_log_in)(const cd_options *), enum cut how,
                               enum direction direction, long after) {
    cd_options *options = fake_server_options();
    cd_code code;
    char url[60];
    cut.how = how;
    cut.direction = direction;
    cut.after = after;
    snprintf(url, sizeof url, "https://127.0.0.1%s", strrchr(relay_server.url, ':'));
    CHECK_CODE(CD_OK, cd_options_set_base_url(options, url, NULL));
    CHECK_CODE(CD_OK, cd_options_set_max_retries(options, 0, NULL));
    code = how_to_log_in(options);
    cd_options_free(options);
    while (sem_wait(&connection_ended) != 0)
        ;
    CHECK(relayed == ++cuts); /* the login made no other connection */
    return code;
}

/* After every byte, or fewer in a short variant. */
static void cut_at_every_byte(enum cut how, enum direction direction, long whole) {
    static const char *const hows[] = {"reset", "closed", "broken"}, *const directions[] = {"to", "from"};
    long after, step = whole / repeats(300) + 1, succeeded = 0;
    for (after = 0; after < whole; after += after == 0 ? 1 : step) {
        cd_code code = log_in_with_cut(log_in, how, direction, after);
        succeeded += code == CD_OK;
        if (code == CD_ERR_CONNECTION_LOST || (code == CD_OK && direction == TO_CLIENT))
            continue;
        /* A reset that arrives before the login has checked that it is connected. */
        if (code == CD_ERR_CONNECT && after == 0)
            continue;
        fprintf(stderr, "%s after %ld of %ld bytes %s the server: %s\n", hows[how], after, whole,
                directions[direction], cd_code_name(code));
        checks_failed++;
    }
    /* The last bytes of a response may be a session ticket or close_notify instead of the token. */
    CHECK(succeeded * step < whole / 2);
}

/* ---- plain connections */

#define PLAIN 50

static void *reset_plain_connections(void *argument) {
    const server *s = (const server *)argument;
    int i, connection;
    char byte;
    for (i = 0; i < PLAIN; i++) {
        connection = server_accept(s);
        need(read(connection, &byte, 1) == 1, "read");
        shutdown(connection, SHUT_WR); /* after this Linux reports a reset as a broken pipe */
        server_reset(connection);
    }
    for (i = 0; i < PLAIN; i++) {
        connection = server_accept(s);
        server_read_request(connection);
        server_respond(connection);
        server_reset(connection);
    }
    return NULL;
}

static void make_receive_buffer_small(const server *s) {
    int size = 4096;
    setsockopt(s->listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

static void plain_connections_are_reset(void) {
    server s = server_start();
    cd_options *options = server_options(&s);
    pthread_t thread;
    int i;
    make_receive_buffer_small(&s);
    need(pthread_create(&thread, NULL, reset_plain_connections, &s) == 0, "pthread_create");
    for (i = 0; i < PLAIN; i++)
        CHECK_CODE(CD_ERR_CONNECTION_LOST, log_in_with_long_strings(options));
    /* Each login finds the pooled connection closed, and opens a new one. */
    for (i = 0; i < PLAIN; i++)
        CHECK_CODE(CD_OK, log_in(options));
    pthread_join(thread, NULL);
    cd_options_free(options);
    close(s.listener);
}

int main(void) {
    int how, direction;
    long whole[2], after;
    pthread_t thread;
    signal(SIGPIPE, SIG_DFL);
    end_if_hanging();
    relay_server = server_start();
    need(sem_init(&connection_ended, 0, 0) == 0, "sem_init");
    need(pthread_create(&thread, NULL, run_relay, &relay_server) == 0, "pthread_create");
    pthread_detach(thread);

    CHECK_CODE(CD_OK, log_in_with_cut(log_in, RESET, TO_SERVER, -1));
    whole[TO_SERVER] = passed[TO_SERVER];
    whole[TO_CLIENT] = passed[TO_CLIENT];
    for (how = RESET; how <= BREAK; how++)
        for (direction = TO_SERVER; direction <= TO_CLIENT; direction++)
            cut_at_every_byte((enum cut)how, (enum direction)direction, whole[direction]);
    /* The connection is cut while the login still sends. */
    make_receive_buffer_small(&relay_server);
    for (how = RESET; how <= BREAK; how++)
        for (after = 2000; after < 500000; after += 50000 / repeats(1) + 1)
            CHECK_CODE(CD_ERR_CONNECTION_LOST,
                       log_in_with_cut(log_in_with_long_strings, (enum cut)how, TO_SERVER, after));
    plain_connections_are_reset();
    printf("%d cuts of %ld bytes to and %ld from the server\n", cuts, whole[0], whole[1]);
    return checks_result();
}
