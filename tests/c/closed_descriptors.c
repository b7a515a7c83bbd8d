/*
 * A host closes descriptors that it does not own, as daemonising code does, and then gets the same
 * numbers for its own files. A login and a cancel must not touch or close any of those.
 */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST 3
#define LAST 64

static void need(int done, const char *what) {
    if (!done) {
        perror(what);
        exit(2);
    }
}

/* The host's file at each number: blocking sockets, eventfds and files in rotation. */
static int peers[LAST];
static struct stat before[LAST];

static void reuse_all(void) {
    int number, kind = 0;
    for (number = FIRST; number < LAST; number++)
        close(number);
    for (number = FIRST; number < LAST; number++) {
        int pair[2], made;
        peers[number] = -1;
        switch (kind++ % 3) {
        case 0:
            need(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
            made = pair[0];
            /* Move the peer above the numbers that the test checks. */
            peers[number] = fcntl(pair[1], F_DUPFD, LAST);
            need(peers[number] >= LAST && close(pair[1]) == 0, "the peer of a socket");
            break;
        case 1:
            made = eventfd(0, 0);
            break;
        default:
            made = fileno(tmpfile());
        }
        need(made >= 0, "a descriptor of the host");
        if (made != number)
            need(dup2(made, number) == number && close(made) == 0, "dup2");
        need(fstat(number, &before[number]) == 0, "fstat");
    }
}

/* Checks that each is still open and of the same kind, and that nothing was written to it. */
static void check_untouched(void) {
    int number;
    for (number = FIRST; number < LAST; number++) {
        struct stat now;
        uint64_t count = 1;
        char byte;
        if (fstat(number, &now) != 0) {
            FAIL("a descriptor of the host is closed");
            continue;
        }
        CHECK(now.st_ino == before[number].st_ino && now.st_mode == before[number].st_mode);
        CHECK(now.st_size == before[number].st_size);
        if (peers[number] >= 0)
            CHECK(recv(peers[number], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
        else if (!S_ISREG(now.st_mode))
            CHECK(fcntl(number, F_SETFL, O_NONBLOCK) == 0 &&
                  read(number, &count, sizeof count) < 0 && errno == EAGAIN);
    }
}

static cd_code log_in(cd_options *options, cd_cancel *cancel, uint32_t timeout_ms) {
    cd_token *token = NULL;
    cd_code code = cd_authenticate_with(options, cancel, timeout_ms, "ada@example.com", PASSWORD,
                                        NULL, &token, NULL);
    cd_token_free(token);
    return code;
}

int main(void) {
    int64_t started;
    cd_options *options = fake_server_options(), *unused = fake_server_options();
    cd_cancel *cancel = cd_cancel_new(), *triggered = cd_cancel_new();
    CHECK_CODE(CD_OK, log_in(options, cancel, 0));
    CHECK_CODE(CD_OK, log_in(options, triggered, 0));
    CHECK_CODE(CD_OK, cd_connect(unused, cancel, 0, NULL));
    reuse_all();

    cd_cancel_trigger(triggered);
    CHECK(cd_cancel_is_triggered(triggered));
    check_untouched();
    CHECK_CODE(CD_ERR_CANCELLED, log_in(options, triggered, 0));

    started = now_ms();
    CHECK_CODE(CD_OK, log_in(options, cancel, 20000));
    CHECK(now_ms() - started < 10000 + slack_ms());
    CHECK_CODE(CD_OK, log_in(options, cancel, 20000));
    check_untouched();

    cd_cancel_free(triggered);
    cd_options_free(unused);
    cd_options_free(options);
    cd_cancel_free(cancel);
    check_untouched();
    return checks_result();
}
