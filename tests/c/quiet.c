/*
 * The library writes nothing to standard output or standard error, even if these are closed and
 * their numbers go to the library's own sockets. Its descriptors are closed with the objects that
 * opened them.
 */
#include "check.h"

#include <fcntl.h>
#include <unistd.h>

static int kept[3];

static void need(int done, const char *what) {
    if (!done) {
        perror(what);
        exit(2);
    }
}

static void restore_standard_streams(void) {
    int i;
    for (i = 0; i < 3; i++)
        need(dup2(kept[i], i) == i, "dup2");
}

/*
 * A good login and failed ones of several kinds, with new options. Returns the number of unexpected
 * results.
 */
static int logins(void) {
    static const struct {
        const char *username, *password;
        cd_code code;
    } cases[] = {
        {"ada@example.com", PASSWORD, CD_OK},
        {"ada@example.com", "not my password", CD_ERR_ACCESS_DENIED},
        {"down@example.com", PASSWORD, CD_ERR_UNAVAILABLE},
        {"portal@example.com", PASSWORD, CD_ERR_MALFORMED_RESPONSE},
        {"", PASSWORD, CD_ERR_EMPTY_ARGUMENT},
    };
    cd_options *options = fake_server_options();
    size_t i;
    int wrong = 0;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cd_token *token = NULL;
        cd_error *error = NULL;
        wrong += cd_authenticate_with(options, NULL, 0, cases[i].username, cases[i].password, NULL,
                                      &token, &error) != cases[i].code;
        cd_token_free(token);
        cd_error_free(error);
    }
    cd_options_free(options);
    return wrong;
}

static void library_writes_no_output(void) {
    int ends[2], wrong;
    char written[200];
    ssize_t count;
    need(pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0, "pipe2");
    need(dup2(ends[1], STDOUT_FILENO) >= 0 && dup2(ends[1], STDERR_FILENO) >= 0, "dup2");
    wrong = logins();
    restore_standard_streams();
    CHECK(wrong == 0);
    close(ends[1]);
    count = read(ends[0], written, sizeof written);
    CHECK(count == 0); /* end of file, without any bytes */
    close(ends[0]);
}

static void closed_streams_are_tolerated(void) {
    int wrong;
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    wrong = logins();
    restore_standard_streams();
    CHECK(wrong == 0);
}

/* Fills `is_open`, and returns the number of open descriptors. */
static int open_descriptors(char is_open[1024]) {
    int descriptor, count = 0;
    for (descriptor = 0; descriptor < 1024; descriptor++) {
        is_open[descriptor] = fcntl(descriptor, F_GETFD) >= 0;
        count += is_open[descriptor];
    }
    return count;
}

/* A program that is started in the meantime inherits no descriptor of the library. */
static void descriptors_are_closed(void) {
    char before[1024], during[1024], after[1024];
    cd_options *options;
    cd_cancel *cancel;
    cd_token *token = NULL;
    int i, count = open_descriptors(before);

    options = fake_server_options();
    cancel = cd_cancel_new();
    CHECK_CODE(CD_OK, cd_authenticate_with(options, cancel, 0, "ada@example.com", PASSWORD, NULL,
                                           &token, NULL));
    CHECK(open_descriptors(during) > count); /* at least the connection in the pool */
    for (i = 0; i < 1024; i++)
        CHECK(before[i] || !during[i] || (fcntl(i, F_GETFD) & FD_CLOEXEC) != 0);
    cd_token_free(token);
    cd_cancel_free(cancel);
    cd_options_free(options);

    open_descriptors(after);
    CHECK(memcmp(before, after, sizeof before) == 0);
}

int main(void) {
    int i;
    for (i = 0; i < 3; i++) {
        kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
        need(kept[i] >= 0, "a standard stream");
    }
    library_writes_no_output();
    closed_streams_are_tolerated();
    CHECK(logins() == 0);
    descriptors_are_closed();
    return checks_result();
}
