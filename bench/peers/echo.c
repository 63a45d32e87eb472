/* PATH: the echo server of the round trips: one blocking process for each connection. */
#include "../contenders/c/common.h"
#include <signal.h>

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  static char data[65536];
  int listener = listen_on(argv[1], 0);
  signal(SIGCHLD, SIG_IGN);
  ready();
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) die("accept");
    if (fork() == 0) {
      ssize_t length;
      close(listener);
      while ((length = recv(fd, data, sizeof data, 0)) > 0) send_all(fd, data, length);
      _exit(0);
    }
    close(fd);
  }
}
