/*
 * A server with worker processes: it sets the options, and forks before the first login. Each
 * process then sets more options, logs in and frees them. tests/fork.rs forks during logins.
 */
#include "check.h"

#include <sys/wait.h>

static void use(cd_options *options) {
    CHECK_CODE(CD_OK, cd_options_set_timeout_ms(options, 20000, NULL));
    CHECK_CODE(CD_OK, log_in(options));
    CHECK_CODE(CD_OK, log_in(options));
    cd_options_free(options);
}

int main(void) {
    cd_options *options = fake_server_options();
    int i, status = 0;
    for (i = 0; i < 3; i++) {
        pid_t child = fork();
        need(child >= 0, "fork");
        if (child == 0) {
            alarm(60); /* a child that hangs fails */
            use(options);
            _exit(checks_result()); /* the exit handlers belong to the parent */
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    use(options);
    return checks_result();
}
