/*
 * A panic returns CD_ERR_PANIC and prints nothing. Rust's Instant::now() panics if the clock cannot be read, so this
 * program has its own clock_gettime(), whose next call by a thread can be made to fail.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <couchdrop.h>

static __thread int clock_fails;
static int errors_file;

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (clock_fails) {
        clock_fails = 0;
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_clock_gettime, clock, now);
}

static void log_in(void) {
    cd_token *token = NULL;
    cd_error *error = NULL;
    cd_code code;

    clock_fails = 1;
    code = cd_authenticate("ada", "opensesame", NULL, &token, &error);
    clock_fails = 0;
    if (code != CD_ERR_PANIC || cd_error_code(error) != CD_ERR_PANIC || token != NULL) {
        printf("panic: the result is %s\n", cd_code_name(code));
        fflush(stdout);
        _exit(1);
    }
    if (lseek(errors_file, 0, SEEK_END) != 0) {
        printf("panic: a message on the standard error\n");
        fflush(stdout);
        _exit(1);
    }
    cd_error_free(error);
}

int main(void) {
    FILE *file = tmpfile();

    if (file == NULL || (errors_file = fileno(file)) < 0 || dup2(errors_file, 2) < 0) {
        return 2;
    }
    atexit(log_in); /* runs when the thread's own data is gone */
    log_in();
    return 0;
}
