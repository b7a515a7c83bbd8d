/*
 * Descriptors of the host. The library writes nothing to standard output or standard error, even if
 * these are closed and their numbers go to the library's own sockets. A host that closes descriptors
 * which it does not own, as daemonising code does, gets the same numbers for its own files: a login
 * and a cancel must not touch or close any of those.
 */
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* ---- the standard streams */

/*
 * A good login and failed ones of several kinds, with new options. Returns the number of unexpected
 * results, because it must not print.
 */
static int run_logins(void) {
    static const struct {
        const char *username;
        cd_code code;
    } cases[] = {
        {ADA, CD_OK},
        {"nobody@example.com", CD_ERR_ACCESS_DENIED},
        {"down@example.com", CD_ERR_UNAVAILABLE},
        {"portal@example.com", CD_ERR_MALFORMED_RESPONSE},
        {"", CD_ERR_EMPTY_ARGUMENT},
    };
    cd_options *options = fake_server_options();
    size_t i;
    int wrong = 0;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++)
        wrong += log_in_as(options, NULL, 0, cases[i].username) != cases[i].code;
    cd_options_free(options);
    return wrong;
}

static int saved[3];

static void save_streams(void) {
    int i;
    for (i = 0; i < 3; i++) {
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
        need(saved[i] >= 0, "a standard stream");
    }
}

static void restore_streams(void) {
    int i;
    for (i = 0; i < 3; i++)
        need(dup2(saved[i], i) == i, "dup2");
}

static void library_writes_no_output(void) {
    int ends[2], wrong;
    char byte;
    need(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0, "pipe2");
    need(dup2(ends[1], STDOUT_FILENO) >= 0 && dup2(ends[1], STDERR_FILENO) >= 0, "dup2");
    wrong = run_logins();
    restore_streams();
    CHECK(wrong == 0);
    close(ends[1]);
    CHECK(read(ends[0], &byte, 1) == 0); /* end of file, without any bytes */
    close(ends[0]);
}

static void closed_streams_are_tolerated(void) {
    int wrong;
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    wrong = run_logins();
    restore_streams();
    CHECK(wrong == 0);
}

/* ---- numbers that the host uses for its own files */

#define FIRST 3
#define LAST 64

/* The other end of the socket at each number, or -1. */
static int peers[LAST];
static struct stat before[LAST];

/* Gives each number to a blocking socket, an eventfd or a file, in rotation. */
static void reuse_all(void) {
    int number;
    for (number = FIRST; number < LAST; number++)
        close(number);
    for (number = FIRST; number < LAST; number++) {
        int pair[2], made;
        peers[number] = -1;
        switch (number % 3) {
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

static void reused_descriptors_are_untouched(void) {
    int64_t started;
    cd_options *options = fake_server_options(), *unused = fake_server_options();
    cd_cancel *cancel = cd_cancel_new(), *triggered = cd_cancel_new();
    CHECK_CODE(CD_OK, log_in_as(options, cancel, 0, ADA));
    CHECK_CODE(CD_OK, log_in_as(options, triggered, 0, ADA));
    CHECK_CODE(CD_OK, cd_connect(unused, cancel, 0, NULL));
    reuse_all();

    cd_cancel_trigger(triggered);
    CHECK(cd_cancel_is_triggered(triggered));
    check_untouched();
    CHECK_CODE(CD_ERR_CANCELLED, log_in_as(options, triggered, 0, ADA));

    started = now_ms();
    CHECK_CODE(CD_OK, log_in_as(options, cancel, 20000, ADA));
    CHECK(now_ms() - started < 10000 + slack_ms());
    CHECK_CODE(CD_OK, log_in_as(options, cancel, 20000, ADA));
    check_untouched();

    cd_cancel_free(triggered);
    cd_options_free(unused);
    cd_options_free(options);
    cd_cancel_free(cancel);
    check_untouched();
}

int main(void) {
    save_streams();
    library_writes_no_output();
    closed_streams_are_tolerated();
    CHECK(run_logins() == 0);
    reused_descriptors_are_untouched();
    return checks_result();
}
