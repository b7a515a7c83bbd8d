/* Cost of a login after cd_connect: connect BASE_URL CA_FILE prints the nanoseconds of both
 * calls. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <couchdrop.h>

static long long nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void check(cd_code code, cd_error *error) {
    if (code == CD_OK)
        return;
    fprintf(stderr, "libcouchdrop: %s\n", cd_error_message(error));
    exit(1);
}

int main(int count, char **arguments) {
    cd_error *error;
    cd_token *token;
    if (count != 3)
        return 2;
    cd_options *options = cd_options_new();
    check(cd_options_set_base_url(options, arguments[1], &error), error);
    check(cd_options_set_ca_file(options, arguments[2], &error), error);
    long long start = nanoseconds();
    check(cd_connect(options, NULL, 0, &error), error);
    long long connected = nanoseconds();
    check(cd_authenticate_with(options, NULL, 0, "ada@example.com", "correct horse battery staple",
                               NULL, &token, &error),
          error);
    printf("%lld %lld\n", connected - start, nanoseconds() - connected);
    cd_token_free(token);
    cd_options_free(options);
    return 0;
}
