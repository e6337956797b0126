/* The baseline: what the least possible WebSocket server costs.
 *
 * It answers each handshake (RFC 6455 section 4.2.2), then waits for orders on stdin, one a line,
 * and answers each with one line of JSON:
 *
 *   fan ROUNDS PERIOD_US BURST    send BURST ready frames, joined, to every socket, ROUNDS times,
 *                                 one round a period
 *                                 -> {"deliveries", "short_sends", "cpu_us", "wall_us"}
 *
 * At the start it prints {"port"}. It stops at the end of stdin. `cpu_us` is its own user and
 * system time (getrusage) from the first round to the last. It is no real server: it does not
 * read frames, never pings, and gives up when a socket's buffer is full.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_BYTES = 210, MAX_SOCKETS = 20000, MAX_REQUEST = 4096, MAX_EVENTS = 1024, MAX_BURST = 64 };

static const char WEBSOCKET_GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

static int sockets[MAX_SOCKETS]; /* those whose handshake is done */
static int socket_count;
static int epoll_fd, listener, timer;
static uint8_t frames[FRAME_BYTES * MAX_BURST];

static long burst, rounds_left, deliveries, short_sends;
static int64_t cpu_at_start, wall_at_start;

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* --- SHA-1 (RFC 3174) and base64 (RFC 4648), for Sec-WebSocket-Accept --- */

static uint32_t rotate(uint32_t word, int by) { return word << by | word >> (32 - by); }

static void sha1_block(uint32_t state[5], const uint8_t block[64]) {
    uint32_t w[80];
    for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
               (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    for (int t = 16; t < 80; t++) w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int t = 0; t < 80; t++) {
        uint32_t f, k;
        if (t < 20) f = (b & c) | (~b & d), k = 0x5A827999;
        else if (t < 40) f = b ^ c ^ d, k = 0x6ED9EBA1;
        else if (t < 60) f = (b & c) | (b & d) | (c & d), k = 0x8F1BBCDC;
        else f = b ^ c ^ d, k = 0xCA62C1D6;
        uint32_t next = rotate(a, 5) + f + e + w[t] + k;
        e = d, d = c, c = rotate(b, 30), b = a, a = next;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

static void sha1(const uint8_t *text, size_t length, uint8_t digest[20]) {
    uint32_t state[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    uint8_t padded[192] = {0}; /* a key and the GUID need at most two blocks */
    size_t blocks = (length + 9 + 63) / 64;
    if (blocks * 64 > sizeof padded) die("sha1");
    memcpy(padded, text, length);
    padded[length] = 0x80;
    for (int i = 0; i < 8; i++)
        padded[blocks * 64 - 1 - i] = (uint8_t)((uint64_t)length * 8 >> (8 * i));
    for (size_t i = 0; i < blocks; i++) sha1_block(state, padded + 64 * i);
    for (int i = 0; i < 20; i++) digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const uint8_t *bytes, size_t length, char *text) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < length; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (i + 1 < length) group |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < length) group |= bytes[i + 2];
        *text++ = digits[group >> 18];
        *text++ = digits[group >> 12 & 63];
        *text++ = i + 1 < length ? digits[group >> 6 & 63] : '=';
        *text++ = i + 2 < length ? digits[group & 63] : '=';
    }
    *text = 0;
}

/* --- clocks --- */

static int64_t cpu_us(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * INT64_C(1000000) +
           used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

static int64_t wall_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* --- sockets --- */

static void watch(int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
}

static void accept_all(void) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(fd);
    }
    if (errno != EAGAIN && errno != ECONNABORTED) die("accept");
}

static void forget(int fd) {
    for (int i = 0; i < socket_count; i++)
        if (sockets[i] == fd) {
            sockets[i] = sockets[--socket_count];
            break;
        }
    close(fd);
}

/* Answer a handshake. A request arrives whole here: the clients are ours and on this machine. */
static void answer(int fd, char *request) {
    char *key = strcasestr(request, "\r\nSec-WebSocket-Key:");
    if (key == NULL || strstr(request, "\r\n\r\n") == NULL || socket_count == MAX_SOCKETS) {
        close(fd);
        return;
    }
    key += strlen("\r\nSec-WebSocket-Key:");
    key += strspn(key, " ");
    char joined[128], accept[32], response[256];
    uint8_t digest[20];
    int length = snprintf(joined, sizeof joined, "%.*s%s", (int)strcspn(key, " \r"), key,
                          WEBSOCKET_GUID);
    if (length >= (int)sizeof joined) {
        close(fd);
        return;
    }
    sha1((uint8_t *)joined, (size_t)length, digest);
    base64(digest, sizeof digest, accept);
    length = snprintf(response, sizeof response,
                      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                      "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
    if (send(fd, response, (size_t)length, MSG_NOSIGNAL) != length) {
        close(fd);
        return;
    }
    sockets[socket_count++] = fd;
}

static void read_socket(int fd) {
    char bytes[MAX_REQUEST + 1];
    ssize_t length = recv(fd, bytes, MAX_REQUEST, 0);
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0) {
        forget(fd);
        return;
    }
    bytes[length] = 0;
    if (strncmp(bytes, "GET ", 4) == 0) answer(fd, bytes);
}

/* --- orders --- */

static void order(char *line) {
    long period_us;
    if (sscanf(line, "fan %ld %ld %ld", &rounds_left, &period_us, &burst) != 3 ||
        rounds_left < 1 || period_us < 1 || burst < 1 || burst > MAX_BURST) {
        fprintf(stderr, "baseline: unknown order: %s\n", line);
        exit(2);
    }
    deliveries = short_sends = 0;
    cpu_at_start = cpu_us();
    wall_at_start = wall_us();
    struct timespec period = {period_us / 1000000, period_us % 1000000 * 1000};
    struct itimerspec times = {.it_interval = period, .it_value = period};
    if (timerfd_settime(timer, 0, &times, NULL)) die("timerfd_settime");
}

static void fan_out(void) {
    uint64_t expired;
    if (read(timer, &expired, sizeof expired) != sizeof expired) return;
    for (int i = 0; i < socket_count; i++) {
        if (send(sockets[i], frames, FRAME_BYTES * burst, MSG_NOSIGNAL | MSG_DONTWAIT) ==
            FRAME_BYTES * burst)
            deliveries += burst;
        else
            short_sends++;
    }
    if (--rounds_left > 0) return;
    struct itimerspec never = {0};
    timerfd_settime(timer, 0, &never, NULL);
    printf("{\"deliveries\":%ld,\"short_sends\":%ld,\"cpu_us\":%lld,\"wall_us\":%lld}\n", deliveries,
           short_sends, (long long)(cpu_us() - cpu_at_start),
           (long long)(wall_us() - wall_at_start));
    fflush(stdout);
}

static void read_orders(void) {
    static char line[256];
    static size_t filled;
    ssize_t length = read(STDIN_FILENO, line + filled, sizeof line - 1 - filled);
    if (length <= 0) exit(0);
    filled += (size_t)length;
    line[filled] = 0;
    char *end = strchr(line, '\n');
    if (end == NULL) return;
    *end = 0;
    filled = 0;
    order(line);
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) ||
        listen(listener, 4096) || getsockname(listener, (struct sockaddr *)&address, &size))
        die("listen");
    for (uint8_t *frame = frames; frame < frames + sizeof frames; frame += FRAME_BYTES) {
        frame[0] = 0x81, frame[1] = 126, frame[2] = 0, frame[3] = FRAME_BYTES - 4;
        memset(frame + 4, 'x', FRAME_BYTES - 4);
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (epoll_fd < 0 || timer < 0) die("epoll_create1");
    watch(listener);
    watch(timer);
    watch(STDIN_FILENO);
    printf("{\"port\":%d}\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int ready = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) accept_all();
            else if (fd == timer) fan_out();
            else if (fd == STDIN_FILENO) read_orders();
            else read_socket(fd);
        }
    }
}
