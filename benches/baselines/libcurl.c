/* libcurl, with jansson to parse the response. Each thread has its own easy handle, as libcurl
 * requires. */
#include "baseline.h"

#include <curl/curl.h>
#include <jansson.h>

#define MAX_RESPONSE_BYTES 65536

struct handle {
    char *url;
    const char *ca_file;
};

struct caller {
    CURL *curl;
    char *answer;
    size_t size;
};

static void *open_handle(const char *base_url, const char *ca_file) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct handle *handle = calloc(1, sizeof *handle);
    handle->ca_file = ca_file;
    if (asprintf(&handle->url, "%s/authenticate", base_url) < 0)
        abort();
    return handle;
}

static size_t take(char *data, size_t one, size_t size, void *to) {
    struct caller *caller = to;
    (void)one;
    if (size > MAX_RESPONSE_BYTES - caller->size)
        return 0;
    char *answer = realloc(caller->answer, caller->size + size);
    if (answer == NULL)
        return 0;
    memcpy(answer + caller->size, data, size);
    caller->answer = answer;
    caller->size += size;
    return size;
}

static void *open_caller(void *from) {
    struct handle *handle = from;
    struct caller *caller = calloc(1, sizeof *caller);
    caller->curl = curl_easy_init();
    curl_easy_setopt(caller->curl, CURLOPT_URL, handle->url);
    curl_easy_setopt(caller->curl, CURLOPT_PROTOCOLS_STR,
                     strncmp(handle->url, "https:", 6) == 0 ? "https" : "http");
    curl_easy_setopt(caller->curl, CURLOPT_CAINFO, handle->ca_file);
    curl_easy_setopt(caller->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(caller->curl, CURLOPT_TIMEOUT_MS, 30000L);
    curl_easy_setopt(caller->curl, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    curl_easy_setopt(caller->curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(caller->curl, CURLOPT_WRITEDATA, caller);
    return caller;
}

static char *login(void *from) {
    struct caller *caller = from;
    char *username = curl_easy_escape(caller->curl, USERNAME, 0),
         *password = curl_easy_escape(caller->curl, PASSWORD, 0);
    char *body;
    if (asprintf(&body, "username=%s&password=%s", username, password) < 0)
        abort();
    curl_free(username);
    curl_free(password);
    curl_easy_setopt(caller->curl, CURLOPT_POSTFIELDS, body);
    CURLcode code = curl_easy_perform(caller->curl);
    free(body);
    long status = 0;
    curl_easy_getinfo(caller->curl, CURLINFO_RESPONSE_CODE, &status);
    json_t *answer = code == CURLE_OK && status == 200
                         ? json_loadb(caller->answer, caller->size, 0, NULL)
                         : NULL;
    const char *token = json_string_value(json_object_get(answer, "token"));
    if (token == NULL) {
        fprintf(stderr, "libcurl: %s, status %ld\n", curl_easy_strerror(code), status);
        exit(1);
    }
    char *copy = strdup(token);
    json_decref(answer);
    free(caller->answer);
    caller->answer = NULL;
    caller->size = 0;
    return copy;
}

static void close_all(void *handle) {
    free(((struct handle *)handle)->url);
    free(handle);
    curl_global_cleanup();
}
