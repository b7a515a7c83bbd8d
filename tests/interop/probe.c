/*
 * Uses the library by commands on standard input, one per line, and prints the result of each on
 * standard output. Settings are commands and not arguments: every user can read a program's
 * arguments, and settings may contain proxy credentials.
 *
 *   set NAME VALUE     an option by the name of its setter; without a value it is NULL
 *   login, connect
 *   wait_closed        until the peer of every TCP connection here has closed it
 *   privileged         prints if this process has privileges that its caller lacks
 *
 * The response to each is "log LEVEL MESSAGE" lines, and then one line: code, status, attempts,
 * milliseconds, message, separated by tabs. The message of a successful login is the token. It is
 * not a secret here, since the servers put their view of the login into it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* poll's POLLRDHUP */
#endif

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <time.h>

#include <couchdrop.h>

#define USERNAME "ada@example.com"
#define PASSWORD "correct horse battery staple"
#define MAX_DESCRIPTORS 256
#define MAX_WAIT_MS 10000

__attribute__((noreturn)) static void fail(const char *what, const char *which) {
    fprintf(stderr, "probe: %s%s\n", what, which);
    exit(2);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_log(void *user_data, int32_t level, const char *message) {
    (void)user_data;
    printf("log\t%d\t%s\n", (int)level, message);
}

static cd_code set(cd_options *options, const char *name, const char *value, cd_error **error) {
    uint32_t number = value != NULL ? (uint32_t)strtoul(value, NULL, 10) : 0;
    if (strcmp(name, "base_url") == 0)
        return cd_options_set_base_url(options, value, error);
    if (strcmp(name, "proxy") == 0)
        return cd_options_set_proxy(options, value, error);
    if (strcmp(name, "ca_file") == 0)
        return cd_options_set_ca_file(options, value, error);
    if (strcmp(name, "timeout_ms") == 0)
        return cd_options_set_timeout_ms(options, number, error);
    if (strcmp(name, "connect_timeout_ms") == 0)
        return cd_options_set_connect_timeout_ms(options, number, error);
    if (strcmp(name, "max_retries") == 0)
        return cd_options_set_max_retries(options, number, error);
    if (strcmp(name, "logger") == 0)
        return cd_options_set_logger(options, on_log, NULL, (int32_t)number, error);
    fail("no option ", name);
}

static void wait_closed(void) {
    struct pollfd connections[MAX_DESCRIPTORS];
    nfds_t count = 0, i;
    int descriptor;
    int64_t until = now_ms() + MAX_WAIT_MS;
    for (descriptor = 3; descriptor < MAX_DESCRIPTORS; descriptor++) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        if (getpeername(descriptor, (struct sockaddr *)&peer, &size) == 0 &&
            (peer.ss_family == AF_INET || peer.ss_family == AF_INET6)) {
            connections[count].fd = descriptor;
            connections[count++].events = POLLRDHUP;
        }
    }
    if (count == 0)
        fail("no connection to wait for", "");
    for (i = 0; i < count; i++) {
        int64_t left = until - now_ms();
        if (left < 0 || poll(&connections[i], 1, (int)left) != 1)
            fail("a connection stayed open", "");
    }
}

int main(void) {
    cd_options *options = cd_options_new();
    char line[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        cd_error *error = NULL;
        cd_token *token = NULL;
        cd_code code = CD_OK;
        const char *message = "";
        int64_t began = now_ms();
        char *rest = line, *command, *name, *value;
        line[strcspn(line, "\n")] = '\0';
        command = strsep(&rest, " ");
        name = strsep(&rest, " ");
        value = rest;
        if (strcmp(command, "set") == 0 && name != NULL)
            code = set(options, name, value, &error);
        else if (strcmp(command, "login") == 0)
            code = cd_authenticate_with(options, NULL, 0, USERNAME, PASSWORD, NULL, &token, &error);
        else if (strcmp(command, "connect") == 0)
            code = cd_connect(options, NULL, 0, &error);
        else if (strcmp(command, "wait_closed") == 0)
            wait_closed();
        else if (strcmp(command, "privileged") == 0)
            message = getauxval(AT_SECURE) != 0 ? "yes" : "no";
        else
            fail("no command ", command);
        if (token != NULL)
            message = cd_token_str(token);
        if (error != NULL)
            message = cd_error_message(error);
        printf("%s\t%d\t%u\t%lld\t%s\n", cd_code_name(code), (int)cd_error_http_status(error),
               (unsigned)cd_error_attempts(error), (long long)(now_ms() - began), message);
        fflush(stdout);
        cd_token_free(token);
        cd_error_free(error);
    }
    cd_options_free(options);
    return EXIT_SUCCESS;
}
