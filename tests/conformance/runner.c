/*
 * Runs the cases from standard input through the C interface: see README.md.
 *
 * Uses only C99, POSIX's poll() and couchdrop.h, so that it builds on every platform of the
 * library.
 */
#define _POSIX_C_SOURCE 200112L

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <couchdrop.h>

/* A case while its lines are read. NULL is a missing string. */
typedef struct {
    cd_options *options;
    char *username, *password, *system;
    uint32_t call_timeout_ms;
    unsigned long times;
    int connects, sets_late;
    char *cancel;
    /* The result of the first call that failed, or of the last one. */
    cd_code code;
    cd_error *error;
    cd_token *token;
} a_case;

static void fail(const char *what, const char *which) {
    fprintf(stderr, "runner: %s%s\n", what, which);
    exit(2);
}

/* The next line without its end, to be freed; NULL at the end of input. */
static char *read_line(void) {
    size_t size = 1024, length = 0;
    char *line = malloc(size);
    while (line != NULL && fgets(line + length, (int)(size - length), stdin) != NULL) {
        length += strlen(line + length);
        if (length > 0 && line[length - 1] == '\n') {
            line[length - 1] = '\0';
            return line;
        }
        size *= 2;
        line = realloc(line, size);
    }
    free(line);
    return NULL;
}

static int digit(char letter) {
    const char *digits = "0123456789ABCDEF", *at = letter != '\0' ? strchr(digits, letter) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* Replaces each %XX with its byte. */
static void decode(char *text) {
    char *to = text;
    while (*text != '\0') {
        int high = *text == '%' ? digit(text[1]) : -1;
        int low = high >= 0 ? digit(text[2]) : -1;
        if (low >= 0) {
            *to++ = (char)(high * 16 + low);
            text += 3;
        } else {
            *to++ = *text++;
        }
    }
    *to = '\0';
}

static char *copy(const char *text) {
    char *copied = text != NULL ? malloc(strlen(text) + 1) : NULL;
    return copied != NULL ? strcpy(copied, text) : NULL;
}

/* Applies one line of a case, such as `max_retries 2`. */
static void set(a_case *it, const char *name, const char *value) {
    cd_options *options = it->options;
    cd_error **error = &it->error;
    char *end = NULL;
    uint32_t number = value != NULL ? (uint32_t)strtoul(value, &end, 10) : 0;

    if (strcmp(name, "username") == 0)
        it->username = copy(value);
    else if (strcmp(name, "password") == 0)
        it->password = copy(value);
    else if (strcmp(name, "system") == 0)
        it->system = copy(value);
    else if (strcmp(name, "call_timeout_ms") == 0)
        it->call_timeout_ms = number;
    else if (strcmp(name, "times") == 0)
        it->times = number;
    else if (strcmp(name, "connect") == 0)
        it->connects = 1;
    else if (strcmp(name, "set_late") == 0)
        it->sets_late = 1;
    else if (strcmp(name, "cancel") == 0)
        it->cancel = copy(value);
    else if (it->code != CD_OK)
        return;
/* Sets an option if the line has its name. */
#define SET(option, ...)                                                                           \
    else if (strcmp(name, #option) == 0) it->code =                                                \
        cd_options_set_##option(options, __VA_ARGS__, error);
#define TEXT(option) SET(option, value)
#define NUMBER(option, type) SET(option, (type)number)
#define DURATION(option) SET(option##_ms, number)
#define DURATIONS(option) SET(option##_ms, number, (uint32_t)strtoul(end, NULL, 10))
#include "options.def"
    else
        fail("no setting ", name);
}

/* Nonzero once the `cancel` line has arrived. */
static int32_t line_has_come(void *user_data) {
    struct pollfd input;
    (void)user_data;
    input.fd = 0;
    input.events = POLLIN;
    return poll(&input, 1, 0) > 0;
}

static void call(a_case *it) {
    cd_cancel *cancel = cd_cancel_new();
    if (it->cancel != NULL && strcmp(it->cancel, "before") == 0)
        cd_cancel_trigger(cancel);
    else if (it->cancel != NULL)
        cd_cancel_set_check(cancel, line_has_come, NULL);

    while (it->code == CD_OK && it->times-- > 0) {
        cd_token_free(it->token);
        if (it->connects)
            it->code = cd_connect(it->options, cancel, it->call_timeout_ms, &it->error);
        else
            it->code = cd_authenticate_with(it->options, cancel, it->call_timeout_ms, it->username,
                                            it->password, it->system, &it->token, &it->error);
    }
    cd_cancel_free(cancel);
    if (it->sets_late && it->code == CD_OK)
        it->code = cd_options_set_max_retries(it->options, 1, &it->error);
}

static void print_text(const char *name, const char *text) {
    printf(",\"%s\":", name);
    if (text == NULL) {
        fputs("null", stdout);
        return;
    }
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < ' ')
            printf("\\u%04x", (unsigned)(unsigned char)*text);
        else
            putchar(*text);
    }
    putchar('"');
}

/* `none` is the value of a missing number. */
static void print_number(const char *name, int64_t number, int64_t none) {
    if (number == none)
        printf(",\"%s\":null", name);
    else
        printf(",\"%s\":%" PRId64, name, number);
}

static void print(const a_case *it) {
    const cd_error *error = it->error;
    printf("{\"code\":\"%s\"", cd_code_name(it->code));
    print_text("token", it->code == CD_OK ? cd_token_str(it->token) : NULL);
    print_text("message", error != NULL ? cd_error_message(error) : NULL);
    print_number("http_status", cd_error_http_status(error), 0);
    print_text("server_message", cd_error_server_message(error));
    print_number("retry_after", cd_error_retry_after_seconds(error), -1);
    print_number("attempts", error != NULL ? (int64_t)cd_error_attempts(error) : -1, -1);
    printf(",\"retryable\":%s}\n", cd_code_is_retryable(it->code) ? "true" : "false");
    fflush(stdout);
}

static void begin(a_case *it) {
    memset(it, 0, sizeof *it);
    it->options = cd_options_new();
    it->times = 1;
}

static void end(a_case *it) {
    cd_token_free(it->token);
    cd_error_free(it->error);
    cd_options_free(it->options);
    free(it->username);
    free(it->password);
    free(it->system);
    free(it->cancel);
}

int main(void) {
    a_case it;
    char *line;
    begin(&it);
    while ((line = read_line()) != NULL) {
        char *value = strchr(line, ' ');
        if (value != NULL) {
            *value++ = '\0';
            decode(value);
        }
        if (strcmp(line, "run") == 0) {
            call(&it);
            print(&it);
            if (it.cancel != NULL && strcmp(it.cancel, "waiting") == 0)
                free(read_line());
            end(&it);
            begin(&it);
        } else {
            set(&it, line, value);
        }
        free(line);
    }
    end(&it);
    return EXIT_SUCCESS;
}
