/* A stand-in for ssh with a host behind it: as many hosts as a test wants, at no cost. It speaks the
 * control socket's protocol as far as the responder does (OpenSSH's PROTOCOL.mux), and behaves by the
 * host's address: `hang-…` never lets anybody in, `down-…` refuses, every other one sweeps.
 *
 * $STAND_IN is a folder: `log` gets "ADDRESS begin ATTEMPT UPTIME_MS" and the same with `end` a sweep, `locks/`
 * holds the hosts' locks, `report` (or `report-ADDRESS`) is the report, with ATTEMPT in place of the
 * attempt's identity; $SWEEP_MS is how long a sweep takes. As on a real host, a sweep goes on when the
 * responder has gone. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { HELLO = 0x1, NEW_SESSION = 0x10000002, ALIVE_CHECK = 0x10000004 };
#define EXIT_MESSAGE 0x80000004u
#define ALIVE 0x80000005u
#define SESSION_OPENED 0x80000006u

static const char *folder, *address = "";
static pid_t responder;

static void path_of(char *path, size_t size, const char *name, const char *of) {
    snprintf(path, size, "%s/%s%s", folder, name, of);
}

static int gone(void) { return getppid() != responder; }

static int read_all(int fd, void *to, size_t size) {
    for (size_t got = 0; got < size;) {
        ssize_t n = read(fd, (char *)to + got, size - got);
        if (n <= 0) return 0;
        got += (size_t)n;
    }
    return 1;
}

static void reply(int fd, const unsigned *words, unsigned count) {
    unsigned packet[8] = {htonl(count * 4)};
    for (unsigned i = 0; i < count; i++) packet[i + 1] = htonl(words[i]);
    if (write(fd, packet, (count + 1) * 4) < 0) exit(1);
}

static int receive_fd(int from) {
    char byte, control[CMSG_SPACE(sizeof(int))];
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    int fd = -1;
    if (recvmsg(from, &message, 0) == 1 && CMSG_FIRSTHDR(&message))
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

/* One line, in one write: lines of many processes do not mix. */
static void note(const char *what, const char *attempt) {
    char path[512], line[512];
    path_of(path, sizeof path, "log", "");
    int log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    struct timespec up;
    clock_gettime(CLOCK_BOOTTIME, &up);
    long long ms = up.tv_sec * 1000LL + up.tv_nsec / 1000000;
    int length = snprintf(line, sizeof line, "%s %s %s %lld\n", address, what, attempt, ms);
    if (log < 0 || write(log, line, (size_t)length) != length) exit(1);
    close(log);
}

/* The report, with the attempt's identity and, where another sweep runs, with its outcome. */
static void report(int out, const char *attempt, int busy) {
    char path[512];
    static char text[8 << 20];
    path_of(path, sizeof path, "report-", address);
    FILE *file = fopen(path, "re");
    if (!file) {
        path_of(path, sizeof path, "report", "");
        file = fopen(path, "re");
    }
    if (!file) exit(1);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    char *id = strstr(text, "ATTEMPT");
    if (!id) exit(1);
    FILE *to = fdopen(dup(out), "w");
    if (!to) exit(1);
    if (busy)
        fprintf(to, "{\"schema\":1,\"attempt\":\"%s\",\"host\":\"h\",\"version\":\"0\",\"trigger\":\"alert\",\"mode\":\"enforce\","
                    "\"dry_run\":false,\"started_at\":\"2026-01-05T10:00:00Z\",\"finished_at\":\"2026-01-05T10:00:00Z\","
                    "\"outcome\":\"busy\",\"freed_bytes\":0,\"disks\":[],\"workers\":[]}\n", attempt);
    else
        fprintf(to, "%.*s%s%s\n", (int)(id - text), text, attempt, id + 7);
    fclose(to);
}

static void sweep(int in, int out) {
    char request[4097] = "", attempt[64] = "?", path[512];
    size_t length = 0;
    for (ssize_t n; length < 4096 && (n = read(in, request + length, 4096 - length)) > 0;) length += (size_t)n;
    const char *id = strstr(request, "\"attempt\":\"");
    if (id) sscanf(id + 11, "%36[0-9a-f-]", attempt);
    path_of(path, sizeof path, "locks/", address);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int busy = lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0;
    note(busy ? "busy" : "begin", attempt);
    if (!busy) {
        const char *ms = getenv("SWEEP_MS");
        usleep((useconds_t)(ms ? atoi(ms) : 0) * 1000);
        note("end", attempt);
    }
    if (lock >= 0) close(lock);
    report(out, attempt, busy);
}

static void serve(int client) {
    unsigned words[2];
    static unsigned char packet[65536];
    while (read_all(client, words, 4)) {
        unsigned length = ntohl(words[0]);
        if (length < 8 || length > sizeof packet || !read_all(client, packet, length)) return;
        memcpy(words, packet, 8);
        unsigned type = ntohl(words[0]), id = ntohl(words[1]);
        if (type == HELLO) {
            reply(client, (unsigned[]){HELLO, 4}, 2);
        } else if (type == ALIVE_CHECK) {
            reply(client, (unsigned[]){ALIVE, id, (unsigned)getpid()}, 3);
        } else if (type == NEW_SESSION) {
            int in = receive_fd(client), out = receive_fd(client), err = receive_fd(client);
            reply(client, (unsigned[]){SESSION_OPENED, id, 7}, 3);
            sweep(in, out);
            close(in), close(out), close(err);
            reply(client, (unsigned[]){EXIT_MESSAGE, 7, 0}, 3);
        }
    }
}

int main(int argc, char **argv) {
    const char *control = NULL;
    for (int i = 1; i < argc; i++) {
        /* The sweep of a master whose responder has gone goes on. */
        if (!strcmp(argv[i], "-O")) return 0;
        if (!strcmp(argv[i], "-S") && i + 1 < argc) control = argv[++i];
        if (!strcmp(argv[i], "--") && i + 1 < argc) address = argv[++i];
    }
    folder = getenv("STAND_IN");
    responder = getppid();
    signal(SIGPIPE, SIG_IGN);
    if (!control || !folder) return 255;
    if (!strncmp(address, "down-", 5)) {
        fprintf(stderr, "ssh: connect to host %s port 22: Connection refused\n", address);
        return 255;
    }
    note("asked", "-");
    while (!strncmp(address, "hang-", 5) && !gone()) usleep(100000);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%s", control);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&name, sizeof name) || listen(listener, 8)) return 255;
    while (!gone()) {
        struct pollfd ready = {.fd = listener, .events = POLLIN};
        if (poll(&ready, 1, 100) <= 0) continue;
        int client = accept(listener, NULL, NULL);
        if (client >= 0) serve(client), close(client);
    }
    return 0;
}
