/* The logger: its levels, its thread, and the absence of secrets. */
#include "check.h"

#include <pthread.h>

typedef struct {
    int32_t max_level;
    pthread_t thread;
    int lines[5]; /* by level */
} listener;

static void record_message(void *user_data, int32_t level, const char *message) {
    listener *l = (listener *)user_data;
    CHECK(pthread_equal(l->thread, pthread_self()));
    CHECK(level >= CD_LOG_ERROR && level <= l->max_level);
    CHECK(strlen(message) > 0);
    CHECK(strchr(message, '\n') == NULL);
    CHECK(strstr(message, "ada@example.com") == NULL);
    CHECK(strstr(message, PASSWORD) == NULL);
    CHECK(strstr(message, "correct+horse") == NULL);
    if (level >= CD_LOG_ERROR && level <= CD_LOG_DEBUG)
        l->lines[level]++;
}

static void level_limits_messages(int32_t max_level) {
    listener l;
    cd_options *options = fake_server_options();
    cd_token *token = NULL;
    memset(&l, 0, sizeof l);
    l.max_level = max_level;
    l.thread = pthread_self();
    CHECK_CODE(CD_OK, cd_options_set_logger(options, record_message, &l, max_level, NULL));

    CHECK_LOGIN(options);
    CHECK(l.lines[CD_LOG_ERROR] == 0 && l.lines[CD_LOG_WARN] == 0);
    CHECK((l.lines[CD_LOG_INFO] > 0) == (max_level >= CD_LOG_INFO));
    CHECK((l.lines[CD_LOG_DEBUG] > 0) == (max_level >= CD_LOG_DEBUG));

    /* A failed login logs an error, and each retry before it a warning. */
    CHECK_CODE(CD_ERR_SERVER, cd_authenticate_with(options, NULL, 0, "broken@example.com", PASSWORD,
                                                   NULL, &token, NULL));
    CHECK(l.lines[CD_LOG_ERROR] > 0);
    CHECK((l.lines[CD_LOG_WARN] >= 4) == (max_level >= CD_LOG_WARN));
    cd_options_free(options);
}

/* The logger is removed again. */
static void removed_logger_is_not_called(void) {
    listener l;
    cd_options *options = fake_server_options();
    memset(&l, 0, sizeof l);
    CHECK_CODE(CD_OK, cd_options_set_logger(options, record_message, &l, CD_LOG_DEBUG, NULL));
    CHECK_CODE(CD_OK, cd_options_set_logger(options, NULL, NULL, CD_LOG_DEBUG, NULL));
    CHECK_LOGIN(options);
    CHECK(l.lines[CD_LOG_INFO] == 0 && l.lines[CD_LOG_DEBUG] == 0);
    cd_options_free(options);
}

int main(void) {
    int32_t level;
    for (level = CD_LOG_ERROR; level <= CD_LOG_DEBUG; level++)
        level_limits_messages(level);
    removed_logger_is_not_called();
    return checks_result();
}
