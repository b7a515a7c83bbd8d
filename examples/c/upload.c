/*
 * Uploads files to the root folder, for as long as standard input names some, one in each line.
 *
 *     cc -o upload upload.c $(pkg-config --cflags --libs couchdrop libcurl)
 *     ls *.csv | COUCHDROP_USERNAME=ada@example.com COUCHDROP_PASSWORD=... ./upload
 *
 * A session logs in before the first upload. If the service refuses a token with 401 or 403, the
 * session gives a new one, and the upload is repeated once. Optional: COUCHDROP_BASE_URL and
 * COUCHDROP_FILES_URL (another server than the real ones) and COUCHDROP_CA_FILE (certificates to
 * trust in place of the system's).
 */
#define _POSIX_C_SOURCE 200809L /* getline, fseeko and ftello, besides plain C */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <couchdrop.h>
#include <curl/curl.h>

/* Returns an optional setting, or NULL if it is unset or empty. */
static const char *setting(const char *name) {
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

/* Prints the reason of a failed call, and releases the error. */
static void report(const char *what, cd_error *error) {
    fprintf(stderr, "%s: %s: %s\n", what, cd_code_name(cd_error_code(error)),
            cd_error_message(error));
    cd_error_free(error);
}

/* Makes a session, which must be freed before its options. If that fails, returns NULL. */
static cd_session *open_session(cd_options *options) {
    const char *base_url = setting("COUCHDROP_BASE_URL");
    const char *ca_file = setting("COUCHDROP_CA_FILE");
    cd_session *session = NULL;
    cd_error *error = NULL;

    if ((base_url != NULL && cd_options_set_base_url(options, base_url, &error) != CD_OK) ||
        (ca_file != NULL && cd_options_set_ca_file(options, ca_file, &error) != CD_OK) ||
        cd_session_new(options, getenv("COUCHDROP_USERNAME"), getenv("COUCHDROP_PASSWORD"),
                       "upload-example", &session, &error) != CD_OK)
        report("no session", error);
    return session;
}

/* Returns the session's token; `rejected` is the one that the service has just refused, or NULL. */
static cd_token *get_token(cd_session *session, const cd_token *rejected) {
    cd_token *token = NULL;
    cd_error *error = NULL;

    if (cd_session_token(session, NULL, 0, rejected != NULL ? cd_token_str(rejected) : NULL, &token,
                         &error) != CD_OK)
        report("login failed", error);
    return token;
}

/* Makes the header with the token; the caller wipes and frees it. NULL if there is no memory. */
static struct curl_slist *token_header(const cd_token *token) {
    size_t size = sizeof COUCHDROP_TOKEN_HEADER ": " + cd_token_len(token);
    char *line = malloc(size);
    struct curl_slist *headers = NULL;

    if (line != NULL) {
        snprintf(line, size, "%s: %s", COUCHDROP_TOKEN_HEADER, cd_token_str(token));
        headers = curl_slist_append(NULL, line);
        cd_secure_zero(line, size); /* callers wipe their copies of a token */
        free(line);
    }
    return headers;
}

/* libcurl would print the response. */
static size_t ignore(char *data, size_t size, size_t count, void *user_data) {
    (void)data;
    (void)user_data;
    return size * count;
}

/* Sends the file from its start. Returns the HTTP status, or 0 without a response. */
static long send_file(CURL *curl, const char *url, FILE *file, const cd_token *token) {
    const char *ca_file = setting("COUCHDROP_CA_FILE");
    struct curl_slist *headers = token_header(token);
    CURLcode done = CURLE_OUT_OF_MEMORY;
    off_t size = fseeko(file, 0, SEEK_END) == 0 ? ftello(file) : -1;
    long status = 0;

    if (size < 0) {
        done = CURLE_READ_ERROR; /* a pipe, for instance: it could not be sent again */
    } else if (headers != NULL) {
        rewind(file);
        curl_easy_reset(curl); /* keeps the connection */
        /* By default libcurl follows no redirect. It would send the token to another host. */
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_READDATA, file);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, ignore);
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 30L);
        if (ca_file != NULL)
            curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file);
        done = curl_easy_perform(curl);
    }
    if (done == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    else
        fprintf(stderr, "upload failed: %s\n", curl_easy_strerror(done));

    if (headers != NULL)
        cd_secure_zero(headers->data, strlen(headers->data));
    curl_slist_free_all(headers);
    return status;
}

/* Sends the file, and once more with a new token if the service refuses the token. */
static long send_with_session(cd_session *session, CURL *curl, const char *url, FILE *file) {
    cd_token *token = get_token(session, NULL);
    cd_token *renewed;
    long status = token != NULL ? send_file(curl, url, file, token) : 0;

    if (status == 401 || status == 403) {
        renewed = get_token(session, token);
        /* The same token: it is new, so the service refuses the upload, not the token. */
        if (renewed != NULL && strcmp(cd_token_str(renewed), cd_token_str(token)) != 0)
            status = send_file(curl, url, file, renewed);
        cd_token_free(renewed);
    }
    cd_token_free(token);
    return status;
}

static int upload(cd_session *session, CURL *curl, const char *path) {
    const char *files_url = setting("COUCHDROP_FILES_URL");
    const char *slash = strrchr(path, '/');
    char *name = curl_easy_escape(curl, slash != NULL ? slash + 1 : path, 0);
    FILE *file = fopen(path, "rb");
    char url[4096];
    long status = 0;

    if (files_url == NULL)
        files_url = "https://fileio.couchdrop.io";
    if (file == NULL)
        perror(path);
    else if (name != NULL && (size_t)snprintf(url, sizeof url, "%s/file/upload?path=/%s", files_url,
                                              name) < sizeof url)
        status = send_with_session(session, curl, url, file);

    if (status == 200 || status == 201)
        printf("uploaded %s\n", path);
    else
        printf("not uploaded: %s (HTTP status %ld)\n", path, status);
    fflush(stdout);
    if (file != NULL)
        fclose(file);
    curl_free(name);
    return status == 200 || status == 201;
}

int main(void) {
    cd_options *options = cd_options_new();
    cd_session *session = open_session(options);
    CURL *curl;
    char *line = NULL;
    size_t capacity = 0;
    int failed = 0;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    curl = curl_easy_init();
    if (session == NULL || curl == NULL)
        failed = 1;
    while (session != NULL && curl != NULL && getline(&line, &capacity, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (!upload(session, curl, line))
            failed = 1;
    }
    free(line);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    cd_session_free(session); /* wipes the password and the token */
    cd_options_free(options); /* closes the connection */
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
