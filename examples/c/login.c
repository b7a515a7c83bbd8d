/*
 * Logs in to Couchdrop, and lists the root folder with the token.
 *
 *     cc -o login login.c $(pkg-config --cflags --libs couchdrop libcurl)
 *     COUCHDROP_USERNAME=ada@example.com COUCHDROP_PASSWORD=... ./login
 *
 * Optional: COUCHDROP_BASE_URL and COUCHDROP_FILES_URL (another server than the real ones) and
 * COUCHDROP_CA_FILE (certificates to trust in place of the system's). Ctrl-C stops a waiting login.
 */
#define _POSIX_C_SOURCE 200809L /* sigaction and open_memstream, besides plain C */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <couchdrop.h>
#include <curl/curl.h>

static cd_cancel *interrupted;

/* cd_cancel_trigger() is async-signal-safe. */
static void on_interrupt(int signal_number) {
    (void)signal_number;
    cd_cancel_trigger(interrupted);
}

/* Returns an optional setting, or NULL if it is unset or empty. */
static const char *setting(const char *name) {
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

/* Prints all details of a failed call, and releases the error. */
static void report(cd_error *error) {
    fprintf(stderr, "login failed: %s: %s\n", cd_code_name(cd_error_code(error)),
            cd_error_message(error));
    if (cd_error_http_status(error) != 0)
        fprintf(stderr, "  HTTP status: %d\n", (int)cd_error_http_status(error));
    if (cd_error_server_message(error) != NULL)
        fprintf(stderr, "  the server says: %s\n", cd_error_server_message(error));
    if (cd_error_retry_after_seconds(error) >= 0)
        fprintf(stderr, "  try again in: %lld s\n", (long long)cd_error_retry_after_seconds(error));
    cd_error_free(error);
}

/* Logs in. If that fails, prints the reason and returns NULL. */
static cd_token *login(const cd_cancel *cancel) {
    /* Do not pass a password on the command line: other users of the machine can read it. */
    const char *username = getenv("COUCHDROP_USERNAME");
    const char *password = getenv("COUCHDROP_PASSWORD");
    const char *base_url = setting("COUCHDROP_BASE_URL");
    const char *ca_file = setting("COUCHDROP_CA_FILE");
    cd_options *options = cd_options_new();
    cd_token *token = NULL;
    cd_error *error = NULL;

    /* Each call returns CD_OK or stores an error. After an invalid setting there is no login. */
    if ((base_url != NULL && cd_options_set_base_url(options, base_url, &error) != CD_OK) ||
        (ca_file != NULL && cd_options_set_ca_file(options, ca_file, &error) != CD_OK) ||
        cd_authenticate_with(options, cancel, 0, username, password, "login-example", &token,
                             &error) != CD_OK)
        report(error);

    cd_options_free(options); /* closes the connection; keep options for further logins */
    return token;
}

/* Sends the token in the request header and prints the response, which is JSON. */
static int list_root_folder(const cd_token *token) {
    const char *files_url = setting("COUCHDROP_FILES_URL");
    const char *ca_file = setting("COUCHDROP_CA_FILE");
    char url[1024];
    char *answer = NULL;
    size_t answer_size = 0;
    FILE *body = open_memstream(&answer, &answer_size); /* curl writes to it */
    size_t size = sizeof COUCHDROP_TOKEN_HEADER ": " + cd_token_len(token);
    char *header = malloc(size);
    struct curl_slist *headers = NULL;
    CURL *curl = curl_easy_init();
    CURLcode status = CURLE_OUT_OF_MEMORY;

    if (header != NULL) {
        snprintf(header, size, "%s: %s", COUCHDROP_TOKEN_HEADER, cd_token_str(token));
        headers = curl_slist_append(NULL, header);
        cd_secure_zero(header, size); /* callers wipe their copies of a token */
    }
    if (files_url == NULL)
        files_url = "https://fileio.couchdrop.io";

    if ((size_t)snprintf(url, sizeof url, "%s/file/ls?path=/", files_url) >= sizeof url) {
        status = CURLE_URL_MALFORMAT;
    } else if (curl != NULL && headers != NULL && body != NULL) {
        /* By default libcurl follows no redirect. It would send the token to another host. */
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
        curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
        if (ca_file != NULL)
            curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file);
        status = curl_easy_perform(curl);
    }
    if (body != NULL && fclose(body) != 0 && status == CURLE_OK)
        status = CURLE_OUT_OF_MEMORY;
    if (status == CURLE_OK)
        printf("files in /: %s\n", answer);
    else
        fprintf(stderr, "listing failed: %s\n", curl_easy_strerror(status));

    curl_easy_cleanup(curl);
    if (headers != NULL)
        cd_secure_zero(headers->data, strlen(headers->data));
    curl_slist_free_all(headers);
    free(header);
    free(answer);
    return status == CURLE_OK;
}

int main(void) {
    struct sigaction action = {0};
    cd_token *token;
    int listed;

    interrupted = cd_cancel_new();
    action.sa_handler = on_interrupt;
    sigaction(SIGINT, &action, NULL);

    token = login(interrupted);

    signal(SIGINT, SIG_DFL); /* from here on no handler uses the handle */
    cd_cancel_free(interrupted);
    if (token == NULL)
        return EXIT_FAILURE;

    /* A token is a secret: print only enough to tell two tokens apart. */
    printf("logged in: token %.4s... (%zu characters)\n", cd_token_str(token), cd_token_len(token));
    curl_global_init(CURL_GLOBAL_DEFAULT);
    listed = list_root_folder(token);
    curl_global_cleanup();
    cd_token_free(token); /* wipes it */
    return listed ? EXIT_SUCCESS : EXIT_FAILURE;
}
