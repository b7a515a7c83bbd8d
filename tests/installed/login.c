/*
 * A user's program: logs in to the fake server, and prints the library's version and the length of the
 * token.
 */
#include <stdio.h>
#include <stdlib.h>

#include <couchdrop.h>

#ifdef WITH_OTHER
int other(void); /* another library written in Rust, which catches its own panic and returns 1 */
#else
#define other() 1
#endif

int main(void) {
    cd_options *options = cd_options_new();
    cd_token *token = NULL;
    cd_error *error = NULL;

    if (cd_options_set_base_url(options, getenv("COUCHDROP_BASE_URL"), &error) != CD_OK ||
        cd_options_set_ca_file(options, getenv("COUCHDROP_CA_FILE"), &error) != CD_OK ||
        cd_authenticate_with(options, NULL, 0, "ada@example.com", "correct horse battery staple",
                             NULL, &token, &error) != CD_OK) {
        fprintf(stderr, "%s\n", cd_error_message(error));
        cd_error_free(error);
    } else if (other() == 1) {
        printf("%s %s %zu\n", COUCHDROP_VERSION, cd_version(), cd_token_len(token));
    }
    cd_token_free(token);
    cd_options_free(options);
    return 0;
}
