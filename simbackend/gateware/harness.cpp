// A Verilated board at the end of a wire: bytes of a TCP connection, or of a pseudo-terminal, are those of its link.
//
//     board tcp PORT      listens on 127.0.0.1 (port 0: any free one) and prints "tcp://127.0.0.1:PORT"
//     board serial        opens a pseudo-terminal and prints "serial:///dev/pts/N"
//
// One connection at a time.  The clock of the board runs as fast as it can while the board is busy, and stands still
// while nothing happens; `tick` comes each millisecond of the host's time.  SIGUSR1 resets the board, as its button.

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "Vboard.h"
#include "verilated.h"

static volatile sig_atomic_t reset_asked = 0;

static long milliseconds() {
    using namespace std::chrono;
    return duration_cast<std::chrono::milliseconds>(steady_clock::now().time_since_epoch()).count();
}

static int fail(const char *what) {
    std::perror(what);
    std::exit(1);
}

static int listen_on(int port) {
    int server = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    if (bind(server, (sockaddr *)&address, sizeof address) || listen(server, 1)) fail("board: cannot listen");
    socklen_t size = sizeof address;
    getsockname(server, (sockaddr *)&address, &size);
    std::printf("tcp://127.0.0.1:%d\n", ntohs(address.sin_port));
    return server;
}

static int open_terminal() {
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) || unlockpt(terminal)) fail("board: no pseudo-terminal");
    int slave = open(ptsname(terminal), O_RDWR | O_NOCTTY);  // kept open, so that a host may come and go
    termios settings;
    tcgetattr(slave, &settings);
    cfmakeraw(&settings);
    tcsetattr(slave, TCSANOW, &settings);
    std::printf("serial://%s\n", ptsname(terminal));
    return terminal;
}

int main(int count, char **words) {
    bool tcp = count == 3 && !std::strcmp(words[1], "tcp");
    if (!tcp && !(count == 2 && !std::strcmp(words[1], "serial"))) {
        std::fprintf(stderr, "usage: board tcp PORT | board serial\n");
        return 2;
    }
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGUSR1, [](int) { reset_asked = 1; });
    int server = tcp ? listen_on(std::atoi(words[2])) : -1, link = tcp ? -1 : open_terminal();
    std::fflush(stdout);

    Vboard board;
    auto clock = [&] {
        board.clk = 1;
        board.eval();
        board.clk = 0;
        board.eval();
    };
    auto reset = [&] {
        board.rst = 1;
        clock();
        board.rst = 0;
        board.eval();
    };
    reset();

    static unsigned char in[1 << 16], out[1 << 16];
    int held = 0, taken = 0, ready = 0, idle = 0;
    long now = milliseconds();
    board.tx_ready = 1;
    for (;;) {
        if (reset_asked) {
            reset_asked = 0;
            reset();
            held = taken = ready = 0;
        }
        for (int cycle = 0; cycle < 1000; ++cycle) {  // some of its clocks, then the host's side again
            board.rx_valid = taken < held;
            board.rx_payload = taken < held ? in[taken] : 0;
            // What the board says depends on its registers alone, so it is as it was after the last clock.
            if (board.rx_valid && board.rx_ready) ++taken;
            if (board.tx_valid) out[ready++] = board.tx_payload;
            idle = board.busy || board.rx_valid || board.tx_valid ? 0 : idle + 1;
            clock();
            board.tick = 0;
            if (idle > 8) break;
        }
        for (int sent = 0; sent < ready;) {
            ssize_t step = link < 0 ? -1 : write(link, out + sent, ready - sent);
            if (step <= 0) break;  // nobody listens
            sent += step;
        }
        ready = 0;
        pollfd watched = {link < 0 ? server : link, POLLIN, 0};
        bool hungry = taken == held;
        if (hungry && poll(&watched, 1, idle > 8 ? 1 : 0) > 0) {
            if (link < 0) {
                link = accept(server, nullptr, nullptr);
                int yes = 1;
                setsockopt(link, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            } else {
                ssize_t got = read(link, in, sizeof in);
                taken = 0;
                held = got > 0 ? got : 0;
                if (got <= 0 && tcp) {
                    close(link);
                    link = -1;
                }
            }
        }
        if (milliseconds() != now) {
            now = milliseconds();
            board.tick = 1;
        }
    }
}
