// Logins in the constructors and destructors of static and thread-local C++ objects.
#include "../cpp/check.hpp"

#include <thread>

// Logs in when it is constructed and destroyed. Options older than the object outlive it.
struct Session {
    explicit Session(const char *named) : what(named) { log_in("made"); }
    ~Session() {
        log_in("ends");
        // main() has returned, so only this changes the exit status.
        if (checks_failed != 0)
            std::_Exit(checks_result());
    }
    Session(const Session &) = delete;
    Session &operator=(const Session &) = delete;

  private:
    void log_in(const char *when) {
        const cd_code code = thrown([&] {
            const auto token = couchdrop::authenticate({ADA, PASSWORD}, options);
            CHECK(token.view().size() == 36);
        });
        if (code != CD_OK)
            fprintf(stderr, "%s, as it is %s: ", what, when);
        CHECK_CODE(CD_OK, code);
    }

    const char *what;
    couchdrop::Options options = options_for_fake_server();
};

static Session before_main("a static object");

static Session &in_function() {
    static Session session("a static object of a function");
    return session;
}

static void in_thread() {
    thread_local Session session("a thread's object");
    (void)session;
}

int main() {
    in_function();
    in_thread();
    std::thread(in_thread).join();
    return checks_result();
}
