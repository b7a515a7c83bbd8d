/* The library, from C. */
#include "baseline.h"

#include <couchdrop.h>

static void fail(cd_error *error) {
    fprintf(stderr, "libcouchdrop: %s\n", cd_error_message(error));
    exit(1);
}

static void *open_handle(const char *base_url, const char *ca_file) {
    cd_options *options = cd_options_new();
    cd_error *error;
    if (cd_options_set_base_url(options, base_url, &error) != CD_OK ||
        cd_options_set_ca_file(options, ca_file, &error) != CD_OK)
        fail(error);
    return options;
}

static void *open_caller(void *handle) {
    return handle;
}

static char *login(void *caller) {
    cd_token *token;
    cd_error *error;
    if (cd_authenticate_with(caller, NULL, 0, USERNAME, PASSWORD, NULL, &token, &error) != CD_OK)
        fail(error);
    char *copy = strdup(cd_token_str(token));
    cd_token_free(token);
    return copy;
}

static void close_all(void *handle) {
    cd_options_free(handle);
}
