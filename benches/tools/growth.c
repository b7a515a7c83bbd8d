/*
 * Measures if the cost of a login grows with the number of logins: growth BASE_URL CA_FILE LOGINS
 *
 * Logs in that often on one handle. Under callgrind, with --instr-atstart=no, it counts two windows
 * of 100 logins, before the thousandth and before the last, and dumps the counts. Without callgrind
 * it prints resident memory (KiB) and heap in use (bytes) at the thousandth login and at each tenth
 * of all logins.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <couchdrop.h>
#include <valgrind/callgrind.h>

#define WINDOW 100

static void fail(cd_error *error) {
    fprintf(stderr, "libcouchdrop: %s\n", cd_error_message(error));
    exit(1);
}

static void say(long logins) {
    static char line[256];
    long resident = 0;
    FILE *status = fopen("/proc/self/smaps_rollup", "r");
    while (fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "Rss: %ld", &resident) == 1)
            break;
    fclose(status); /* frees its buffer */
    printf("%ld %ld %zu\n", logins, resident, mallinfo2().uordblks);
    fflush(stdout);
}

int main(int count, char **arguments) {
    cd_error *error;
    if (count != 4)
        return 2;
    long logins = atol(arguments[3]);
    static char buffer[4096];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer); /* not on the heap, which is measured */
    cd_options *options = cd_options_new();
    if (cd_options_set_base_url(options, arguments[1], &error) != CD_OK ||
        cd_options_set_ca_file(options, arguments[2], &error) != CD_OK)
        fail(error);
    if (!RUNNING_ON_VALGRIND)
        say(0); /* allocates its own memory first */
    for (long i = 1; i <= logins; i++) {
        cd_token *token;
        if (i == 1000 - WINDOW + 1 || i == logins - WINDOW + 1) {
            CALLGRIND_START_INSTRUMENTATION;
            CALLGRIND_ZERO_STATS;
        }
        if (cd_authenticate_with(options, NULL, 0, "ada@example.com",
                                 "correct horse battery staple", NULL, &token, &error) != CD_OK)
            fail(error);
        cd_token_free(token);
        if (i == 1000 || i == logins) {
            CALLGRIND_DUMP_STATS;
            CALLGRIND_STOP_INSTRUMENTATION;
        }
        if (!RUNNING_ON_VALGRIND && (i == 1000 || i % (logins / 10) == 0))
            say(i);
    }
    cd_options_free(options);
    return 0;
}
