/* Runs a command and prints its peak memory.
 *
 *   peak COMMAND [ARGUMENT...]      prints "peak KILOBYTES" after the command's own output
 *
 * This is a small program in C because the memory that the child has before execvp counts, too. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int status;
  struct rusage usage;
  if (argc < 2) return 2;
  pid_t child = fork();
  if (child == 0) {
    execvp(argv[1], argv + 1);
    _exit(127);
  }
  if (child < 0 || wait4(child, &status, 0, &usage) != child) return 2;
  printf("peak %ld\n", usage.ru_maxrss);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
