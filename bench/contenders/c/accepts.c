/* PATH ROUNDS FLOOD...: accepts what the command FLOOD put into the backlog, and closes it. Prints
   how many a second. */
#include "common.h"

static long flood(char **command) {
  char line[4096] = "", *end = line;
  for (; *command != NULL; command++) end += sprintf(end, "'%s' ", *command);
  FILE *output = popen(line, "r");
  long count = 0;
  if (output == NULL || fscanf(output, "%ld", &count) != 1) wrong("No flood");
  pclose(output);
  return count;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  int listener = listen_on(argv[1], SOCK_NONBLOCK);
  long rounds = atol(argv[2]), accepted = 0;
  double spent = 0;
  for (int warm = 1; accepted < rounds; warm = 0) {
    long count = flood(argv + 3);
    double begin = now();
    for (long i = 0; i < count; i++) {
      int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd < 0) die("accept4");
      close(fd);
    }
    if (warm) continue;
    spent += now() - begin;
    accepted += count;
  }
  printf("%f\n", accepted / spent);
  return 0;
}
