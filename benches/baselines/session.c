/* A session's current token, from C: BASE_URL CA_FILE CALLS prints the nanoseconds of each call, on average. */
#include <couchdrop.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void check(cd_code code, cd_error *error) {
    if (code != CD_OK) {
        fprintf(stderr, "libcouchdrop: %s\n", cd_error_message(error));
        exit(1);
    }
}

static void get(cd_session *session) {
    cd_token *token;
    cd_error *error;
    check(cd_session_token(session, NULL, 0, NULL, &token, &error), error);
    cd_token_free(token);
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    const long calls = atol(argv[3]);
    cd_options *options = cd_options_new();
    cd_session *session;
    cd_error *error;
    check(cd_options_set_base_url(options, argv[1], &error), error);
    check(cd_options_set_ca_file(options, argv[2], &error), error);
    check(cd_session_new(options, "ada@example.com", "correct horse battery staple", NULL, &session, &error), error);
    get(session);
    const int64_t start = now();
    for (long call = 0; call < calls; call++)
        get(session);
    printf("%f\n", (double)(now() - start) / (double)calls);
    cd_session_free(session);
    cd_options_free(options);
}
