/* The load client: opens many WebSocket connections and counts what comes.
 *
 *   client ADDRESS PORT PATH CONNECTIONS SOURCES IN_FLIGHT READY [HEADER]...
 *
 * Connects from SOURCES loopback addresses in turn (127.0.0.1, 127.0.0.2, ...), because one has
 * only so many ports, with at most IN_FLIGHT handshakes at a time. A connection is open when its
 * handshake is done and READY frames have come. When all are open it prints a report, then takes
 * orders on stdin, one a line, and answers each with a report:
 *
 *   report                    at once
 *   reset                     and then set the counters to 0
 *   send CONNECTION TEXT      when TEXT was sent as a frame; `all` sends to all, {n} becomes the
 *                             number of the connection
 *   await MARKS MILLISECONDS  when so many marks have come since the reset, or time is up
 *
 * A report is one line of JSON, since the last reset: {"open", "lost", "errors", "frames",
 * "bytes", "reads", "marks", "seconds", "cpu_us", "p50_us", "p99_us", "max_us"}. A mark is
 * "@<ns>@" in a frame, with CLOCK_MONOTONIC in nanoseconds: the time from it to here is a latency.
 * `errors` are frames that begin with {"type":"error". It stops at the end of stdin.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum {
    BUFFER_BYTES = 4 << 20, /* the largest frame, and what one recv takes at most */
    MAX_CONNECTIONS = 60000,
    MAX_EVENTS = 1024,
    MAX_LATENCIES = 8 << 20,
    MAX_ORDER = 1 << 16,
};

/* The example key of RFC 6455 section 1.3 and the answer it must get. */
static const char KEY[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

enum state { CONNECTING, SHAKING, WAITING, OPEN, LOST };

struct connection {
    int fd;
    enum state state;
    int frames;       /* until it is open */
    uint8_t *partial; /* bytes of a frame that is not whole yet */
    size_t partial_bytes;
};

static struct connection *connections;
static int wanted, started, open_count, lost_count, in_flight, sources, ready_frames;
static struct sockaddr_in server;
static char request[8192];
static size_t request_bytes;
static int epoll_fd;
static uint8_t buffer[BUFFER_BYTES];

static long errors, frames, marks, reads, bytes_in, awaited;
static int64_t reset_at, reset_cpu, await_until;
static uint32_t *latencies; /* microseconds */
static long latency_count;

static void die(const char *what) {
    fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int64_t cpu_us(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * INT64_C(1000000) +
           used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

/* --- reports --- */

static int by_size(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t percentile(double share) {
    if (latency_count == 0) return 0;
    return latencies[(long)(share * (double)(latency_count - 1))];
}

static void report(void) {
    double seconds = (double)(now_ns() - reset_at) / 1e9;
    int64_t cpu = cpu_us() - reset_cpu;
    qsort(latencies, (size_t)latency_count, sizeof *latencies, by_size);
    printf("{\"open\":%d,\"lost\":%d,\"errors\":%ld,\"frames\":%ld,\"bytes\":%ld,\"reads\":%ld,"
           "\"marks\":%ld,\"seconds\":%.6f,\"cpu_us\":%lld,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u}\n",
           open_count, lost_count, errors, frames, bytes_in, reads, marks, seconds, (long long)cpu,
           percentile(0.50), percentile(0.99), percentile(1.0));
    fflush(stdout);
}

static void reset(void) {
    errors = frames = marks = reads = bytes_in = latency_count = 0;
    reset_at = now_ns();
    reset_cpu = cpu_us();
}

/* --- connections --- */

static void start_next(void) {
    int index = started++, on = 1;
    struct connection *c = &connections[index];
    struct sockaddr_in source = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(index % sources)),
    };
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(c->fd, (struct sockaddr *)&source, sizeof source)) die("bind");
    if (connect(c->fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS)
        die("connect");
    struct epoll_event event = {.events = EPOLLOUT, .data.u32 = (uint32_t)index};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl");
    c->state = CONNECTING;
    in_flight++;
}

static void lose(struct connection *c) {
    if (c->state < OPEN) {
        fprintf(stderr, "client: a connection was lost before it was open\n");
        exit(1);
    }
    close(c->fd);
    free(c->partial);
    c->partial = NULL;
    c->partial_bytes = 0;
    c->state = LOST;
    open_count--;
    lost_count++;
}

static void opened(struct connection *c) {
    c->state = OPEN;
    open_count++;
    in_flight--;
    if (started < wanted) start_next();
    if (open_count == wanted) report();
}

static void connected(struct connection *c, uint32_t index) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    errno = error;
    if (error) die("connect");
    if (send(c->fd, request, request_bytes, MSG_NOSIGNAL) != (ssize_t)request_bytes) die("send");
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event)) die("epoll_ctl");
    c->state = SHAKING;
}

/* Return the bytes of the handshake's answer, 0 if it is not whole yet. */
static size_t shaken(uint8_t *bytes, size_t length) {
    uint8_t *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (end == NULL) return 0;
    size_t head = (size_t)(end - bytes) + 4;
    if (length < 12 || memcmp(bytes, "HTTP/1.1 101", 12) != 0 ||
        memmem(bytes, head, ACCEPT, strlen(ACCEPT)) == NULL) {
        fprintf(stderr, "client: the handshake was refused: %.*s\n", (int)length, bytes);
        exit(1);
    }
    return head;
}

/* Send one frame of a client: masked (RFC 6455 section 5.3), with a key of no secrecy. */
static void send_frame(struct connection *c, uint8_t opcode, const uint8_t *payload,
                       size_t length) {
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    static uint8_t out[MAX_ORDER + 16];
    size_t head = 2;
    out[0] = 0x80 | opcode;
    if (length < 126) {
        out[1] = (uint8_t)(0x80 | length);
    } else {
        out[1] = 0x80 | 126;
        out[2] = (uint8_t)(length >> 8);
        out[3] = (uint8_t)length;
        head = 4;
    }
    memcpy(out + head, mask, 4);
    for (size_t i = 0; i < length; i++) out[head + 4 + i] = payload[i] ^ mask[i % 4];
    size_t whole = head + 4 + length;
    if (send(c->fd, out, whole, MSG_NOSIGNAL) != (ssize_t)whole) die("send");
}

static void note_marks(const uint8_t *payload, size_t length) {
    const uint8_t *end = payload + length, *at = payload;
    int64_t now = 0;
    while ((at = memchr(at, '@', (size_t)(end - at))) != NULL) {
        int64_t sent = 0;
        const uint8_t *digit = ++at;
        while (digit < end && *digit >= '0' && *digit <= '9') sent = sent * 10 + (*digit++ - '0');
        if (digit == at || digit == end || *digit != '@') continue;
        if (now == 0) now = now_ns();
        marks++;
        if (latency_count < MAX_LATENCIES)
            latencies[latency_count++] = (uint32_t)((now - sent) / 1000);
        at = digit + 1;
    }
}

static void take_frame(struct connection *c, const uint8_t *head, const uint8_t *payload,
                       size_t length) {
    static const char error[] = "{\"type\":\"error\"";
    uint8_t opcode = head[0] & 15;
    if (opcode == 9) {
        send_frame(c, 10, payload, length);
        return;
    }
    if (opcode > 2) return; /* a close frame is followed by the end of the stream */
    frames++;
    bytes_in += (long)((size_t)(payload - head) + length);
    if (length >= sizeof error - 1 && memcmp(payload, error, sizeof error - 1) == 0) {
        if (errors++ == 0) fprintf(stderr, "client: %.*s\n", (int)length, payload);
    }
    note_marks(payload, length);
    if (c->state == WAITING && ++c->frames >= ready_frames) opened(c);
}

/* Take all whole frames; return how many bytes they had. */
static size_t take_frames(struct connection *c, const uint8_t *bytes, size_t length) {
    size_t taken = 0;
    while (length - taken >= 2) {
        const uint8_t *head = bytes + taken;
        size_t left = length - taken, size = head[1] & 127, skip = 2;
        if (size == 126) {
            if (left < 4) break;
            size = (size_t)head[2] << 8 | head[3];
            skip = 4;
        } else if (size == 127) {
            if (left < 10) break;
            size = 0;
            for (int i = 2; i < 10; i++) size = size << 8 | head[i];
            skip = 10;
        }
        if (size > BUFFER_BYTES - skip) {
            fprintf(stderr, "client: a frame of %zu bytes\n", size);
            exit(1);
        }
        if (left - skip < size) break;
        take_frame(c, head, head + skip, size);
        taken += skip + size;
    }
    return taken;
}

static void keep(struct connection *c, const uint8_t *bytes, size_t length) {
    free(c->partial);
    c->partial = NULL;
    c->partial_bytes = length;
    if (length == 0) return;
    c->partial = malloc(length);
    if (c->partial == NULL) die("malloc");
    memcpy(c->partial, bytes, length);
}

static void readable(struct connection *c) {
    size_t filled = c->partial_bytes, taken = 0;
    if (filled > 0) memcpy(buffer, c->partial, filled);
    ssize_t length = recv(c->fd, buffer + filled, BUFFER_BYTES - filled, 0);
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0) {
        lose(c);
        return;
    }
    reads++;
    filled += (size_t)length;
    if (c->state == SHAKING) {
        taken = shaken(buffer, filled);
        if (taken > 0) {
            c->state = WAITING;
            if (ready_frames == 0) opened(c);
        }
    }
    if (c->state != SHAKING) taken += take_frames(c, buffer + taken, filled - taken);
    if (filled > taken || c->partial_bytes > 0) keep(c, buffer + taken, filled - taken);
}

/* --- orders --- */

static void send_text(int index, const char *text) {
    char whole[MAX_ORDER], *out = whole, *end = whole + sizeof whole - 16;
    for (; *text && out < end; text++) {
        if (strncmp(text, "{n}", 3) == 0) {
            out += sprintf(out, "%d", index);
            text += 2;
        } else {
            *out++ = *text;
        }
    }
    if (connections[index].state == OPEN)
        send_frame(&connections[index], 1, (uint8_t *)whole, (size_t)(out - whole));
}

static void order(char *line) {
    long count, milliseconds;
    int index, skip = 0;
    if (strcmp(line, "report") == 0) {
        report();
    } else if (strcmp(line, "reset") == 0) {
        report();
        reset();
    } else if (sscanf(line, "await %ld %ld", &count, &milliseconds) == 2) {
        awaited = count;
        await_until = now_ns() + milliseconds * INT64_C(1000000);
    } else if (strncmp(line, "send all ", 9) == 0) {
        for (int i = 0; i < wanted; i++) send_text(i, line + 9);
        report();
    } else if (sscanf(line, "send %d %n", &index, &skip) == 1 && skip > 0 && index < wanted) {
        send_text(index, line + skip);
        report();
    } else {
        fprintf(stderr, "client: unknown order: %s\n", line);
        exit(2);
    }
}

static void read_orders(void) {
    static char text[MAX_ORDER];
    static size_t filled;
    ssize_t length = read(STDIN_FILENO, text + filled, sizeof text - 1 - filled);
    if (length <= 0) exit(0);
    filled += (size_t)length;
    text[filled] = 0;
    char *line = text, *end;
    while ((end = strchr(line, '\n')) != NULL) {
        *end = 0;
        order(line);
        line = end + 1;
    }
    filled -= (size_t)(line - text);
    memmove(text, line, filled);
}

static int wait_ms(void) {
    if (await_until == 0) return -1;
    int64_t left = await_until - now_ns();
    if (marks < awaited && left > 0) return (int)(left / 1000000) + 1;
    await_until = 0;
    report();
    return -1;
}

int main(int argc, char **argv) {
    if (argc < 8) {
        fprintf(stderr, "usage: client ADDRESS PORT PATH CONNECTIONS SOURCES IN_FLIGHT READY "
                        "[HEADER]...\n");
        return 2;
    }
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)atoi(argv[2]));
    if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) die("address");
    wanted = atoi(argv[4]);
    sources = atoi(argv[5]);
    ready_frames = atoi(argv[7]);
    if (wanted < 1 || wanted > MAX_CONNECTIONS || sources < 1) die("arguments");
    request_bytes = (size_t)snprintf(
        request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n", argv[3], argv[1], argv[2], KEY);
    for (int i = 8; i < argc && request_bytes < sizeof request; i++)
        request_bytes += (size_t)snprintf(request + request_bytes, sizeof request - request_bytes,
                                          "%s\r\n", argv[i]);
    if (request_bytes + 2 >= sizeof request) die("headers");
    memcpy(request + request_bytes, "\r\n", 2);
    request_bytes += 2;

    connections = calloc((size_t)wanted, sizeof *connections);
    latencies = malloc(MAX_LATENCIES * sizeof *latencies);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (connections == NULL || latencies == NULL || epoll_fd < 0) die("start");
    struct epoll_event orders = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &orders)) die("epoll_ctl");
    reset();
    for (int limit = atoi(argv[6]); started < wanted && started < limit;) start_next();

    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int count = epoll_wait(epoll_fd, events, MAX_EVENTS, wait_ms());
        if (count < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.u32 == UINT32_MAX) {
                read_orders();
                continue;
            }
            struct connection *c = &connections[events[i].data.u32];
            if (c->state == CONNECTING) connected(c, events[i].data.u32);
            else if (c->state != LOST) readable(c);
        }
    }
}
