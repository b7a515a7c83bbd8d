/*
 * Threads with stacks of 64 KiB, followed by a guard page: every kind of login and of failure.
 * Prints the stack usage.
 */
#include "resolver.h"
#include "server.h"

#include <sys/mman.h>

#define STACK ((size_t)64 << 10)
#define UNTOUCHED 0xa5

typedef struct {
    const char *what;
    void (*run)(void *argument);
    void *argument;
} job;

static void *run_job(void *argument) {
    job *j = (job *)argument;
    j->run(j->argument);
    return NULL;
}

/*
 * Runs `run` on a stack of this size. Returns the number of bytes used, including the C library's
 * part.
 */
static size_t on_small_stack(const char *what, void (*run)(void *), void *argument) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), untouched = 0;
    unsigned char *memory =
        mmap(NULL, page + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    job j = {what, run, argument};
    pthread_attr_t attributes;
    pthread_t thread;
    need(memory != MAP_FAILED && mprotect(memory, page, PROT_NONE) == 0, "mmap");
    memset(memory + page, UNTOUCHED, STACK);
    need(pthread_attr_init(&attributes) == 0, "pthread_attr_init");
    need(pthread_attr_setstack(&attributes, memory + page, STACK) == 0, "pthread_attr_setstack");
    need(pthread_create(&thread, &attributes, run_job, &j) == 0, "pthread_create");
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    while (untouched < STACK && memory[page + untouched] == UNTOUCHED)
        untouched++;
    munmap(memory, page + STACK);
    printf("%-45s %2zu KiB\n", what, (STACK - untouched + 1023) >> 10);
    return STACK - untouched;
}

static void do_nothing(void *unused) {
    (void)unused;
}

static void count_line(void *user_data, int32_t level, const char *message) {
    (void)level, (void)message;
    ++*(int *)user_data;
}

static void log_in_in_full(void *argument) {
    const char *username = (const char *)argument;
    cd_options *options = named_options();
    cd_cancel *cancel = cd_cancel_new();
    int lines = 0;
    CHECK_CODE(CD_OK, cd_options_set_logger(options, count_line, &lines, CD_LOG_DEBUG, NULL));
    CHECK_CODE(CD_OK, cd_options_set_user_agent(options, "stack/1", NULL));
    CHECK_CODE(CD_OK, cd_connect(options, cancel, 0, NULL));
    log_in_as(options, cancel, 2000, username);
    log_in_as(options, cancel, 2000, username);
    CHECK(lines > 0);
    cd_cancel_free(cancel);
    cd_options_free(options);
}

/* With the system's trust store, which does not contain the fake server's CA. */
static void log_in_with_system_roots(void *unused) {
    cd_options *options = cd_options_new();
    (void)unused;
    CHECK_CODE(CD_OK, cd_options_set_base_url(options, environment("COUCHDROP_BASE_URL"), NULL));
    CHECK_CODE(CD_ERR_TLS, log_in(options));
    cd_options_free(options);
}

/* Long strings, encoded as a form and as JSON. */
static void log_in_with_long_strings(void *unused) {
    static char longest[65537];
    cd_options *options = named_options();
    cd_token *token = NULL;
    cd_error *error = NULL;
    int format;
    (void)unused;
    memset(longest, '"', sizeof longest - 1);
    for (format = CD_BODY_FORM; format <= CD_BODY_JSON; format++) {
        cd_options_free(options);
        options = named_options();
        CHECK_CODE(CD_OK, cd_options_set_body_format(options, format, NULL));
        CHECK_CODE(CD_ERR_ACCESS_DENIED, cd_authenticate_with(options, NULL, 0, longest, longest,
                                                              longest, &token, &error));
        cd_error_free(error);
    }
    cd_options_free(options);
}

/* A response that only the lenient reader accepts: chunks with an extension, and trailers. */
static const char lenient[] =
    "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"
    "4;a=b\r\n{\"to\r\nd\r\nken\":\"0123456\r\n2\r\n\"}\r\n0\r\nA: b\r\n\r\n";

static void *serve_lenient_response(void *argument) {
    const server *s = (const server *)argument;
    int connection = server_accept(s);
    server_read_request(connection);
    need(send(connection, lenient, sizeof lenient - 1, MSG_NOSIGNAL) == sizeof lenient - 1, "send");
    close(connection);
    return NULL;
}

static void log_in_with_a_lenient_response(void *unused) {
    server s = server_start();
    cd_options *options = server_options(&s);
    pthread_t thread;
    (void)unused;
    need(pthread_create(&thread, NULL, serve_lenient_response, &s) == 0, "pthread_create");
    CHECK_CODE(CD_OK, log_in(options));
    pthread_join(thread, NULL);
    cd_options_free(options);
    close(s.listener);
}

/* Refused settings and a failed connection, each with its message. */
static void fail(void *unused) {
    cd_options *options = cd_options_new();
    (void)unused;
    CHECK_CODE(CD_ERR_CA_FILE, cd_options_set_ca_file(options, "/dev/null", NULL));
    CHECK_CODE(CD_ERR_INVALID_URL, cd_options_set_base_url(options, "https://a:b@c?d#e", NULL));
    CHECK_CODE(CD_OK, cd_options_set_base_url(options, "https://localhost:1", NULL));
    CHECK_CODE(CD_OK, cd_options_set_backoff_ms(options, 0, 1, NULL));
    CHECK_CODE(CD_ERR_CONNECT, log_in(options));
    cd_options_free(options);
}

int main(void) {
    static const char *const usernames[] = {
        ADA,                 "json@example.com",   "nobody@example.com", "moved@example.com",
        "down@example.com", "broken@example.com", "portal@example.com", "twofactor@example.com"};
    size_t i, most = 0, taken;
    resolver_start();
    end_if_hanging();
    on_small_stack("nothing", do_nothing, NULL);
    for (i = 0; i < sizeof usernames / sizeof usernames[0]; i++) {
        taken = on_small_stack(usernames[i], log_in_in_full, (void *)(uintptr_t)usernames[i]);
        most = taken > most ? taken : most;
    }
    taken = on_small_stack("the system's roots", log_in_with_system_roots, NULL);
    most = taken > most ? taken : most;
    taken = on_small_stack("three strings of 64 KiB", log_in_with_long_strings, NULL);
    most = taken > most ? taken : most;
    taken = on_small_stack("a lenient response", log_in_with_a_lenient_response, NULL);
    most = taken > most ? taken : most;
    taken = on_small_stack("refusals and no connection", fail, NULL);
    most = taken > most ? taken : most;
    printf("most of a stack of %zu KiB: %zu KiB\n", STACK >> 10, (most + 1023) >> 10);
    return checks_result();
}
