/* fork(): logins in the child, then in the parent, and a fork during another thread's login. */
#include "server.h"

#include <pthread.h>
#include <sys/wait.h>

static pid_t start_child(void) {
    pid_t child = fork();
    if (child == 0) {
        alarm(60); /* a child that hangs fails */
        checks_failed = 0;
    }
    return child;
}

/* Skips the exit handlers, which belong to the parent. */
static void end_child(void) {
    _exit(checks_result());
}

static int succeeded(pid_t child) {
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The child uses and frees the parent's options. The parent's connection stays usable. */
static void fork_between_logins(void) {
    cd_options *options = fake_server_options();
    pid_t child;
    CHECK_LOGIN(options);
    if ((child = start_child()) == 0) {
        pid_t grandchild;
        CHECK_LOGIN(options);
        if ((grandchild = start_child()) == 0) {
            cd_options *own = fake_server_options();
            CHECK_LOGIN(own);
            CHECK_LOGIN(options);
            cd_options_free(own);
            cd_options_free(options);
            end_child();
        }
        CHECK(succeeded(grandchild));
        CHECK_LOGIN(options);
        cd_options_free(options);
        end_child();
    }
    CHECK(succeeded(child));
    CHECK_LOGIN(options);
    cd_options_free(options);
}

/* Like a server with worker processes: the options are set, but not used before the fork. */
static void fork_before_the_first_login(void) {
    cd_options *options = fake_server_options();
    pid_t child;
    if ((child = start_child()) == 0) {
        CHECK_CODE(CD_OK, cd_options_set_timeout_ms(options, 20000, NULL));
        CHECK_LOGIN(options);
        cd_options_free(options);
        end_child();
    }
    CHECK(succeeded(child));
    CHECK_CODE(CD_OK, cd_options_set_timeout_ms(options, 20000, NULL));
    CHECK_LOGIN(options);
    cd_options_free(options);
}

typedef struct {
    const cd_options *options;
    const cd_cancel *cancel;
    cd_code code;
} login;

static void *run_login(void *argument) {
    login *l = (login *)argument;
    cd_token *token = NULL;
    l->code = cd_authenticate_with(l->options, l->cancel, 0, "ada@example.com", PASSWORD, NULL,
                                   &token, NULL);
    cd_token_free(token);
    return NULL;
}

/* A cancel handle that the child triggers does not stop the parent's login. */
static void fork_during_a_login(void) {
    server s = server_start();
    cd_options *waiting = server_options(&s), *options = fake_server_options();
    cd_cancel *cancel = cd_cancel_new();
    login l = {waiting, cancel, CD_ERR_INTERNAL};
    cd_token *token = NULL;
    pthread_t thread;
    pid_t child;
    int connection;
    server_need(pthread_create(&thread, NULL, run_login, &l) == 0, "pthread_create");
    connection = server_accept(&s);
    server_read_request(connection);

    if ((child = start_child()) == 0) {
        CHECK_LOGIN(options);
        cd_cancel_trigger(cancel);
        CHECK(cd_cancel_is_triggered(cancel) == 1);
        CHECK_CODE(CD_ERR_CANCELLED, cd_authenticate_with(options, cancel, 0, "ada@example.com",
                                                          PASSWORD, NULL, &token, NULL));
        cd_options_free(waiting);
        end_child();
    }
    CHECK(succeeded(child));
    CHECK(cd_cancel_is_triggered(cancel) == 0);
    server_respond(connection);
    pthread_join(thread, NULL);
    CHECK_CODE(CD_OK, l.code);

    cd_cancel_free(cancel);
    cd_options_free(waiting);
    cd_options_free(options);
    close(connection);
    close(s.listener);
}

int main(void) {
    fork_between_logins();
    fork_before_the_first_login();
    fork_during_a_login();
    return checks_result();
}
