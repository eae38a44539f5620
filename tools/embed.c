/* Writes a file as the elements of a C array, to be included between its braces:
 *   embed <FILE >FILE.inc
 * Runs on the machine that builds, see CC_FOR_BUILD in the Makefile. */
#include <stdio.h>

int main(void) {
  int c, column = 0;
  while ((c = getchar()) != EOF) {
    printf("%d,%s", c, ++column % 20 == 0 ? "\n" : "");
  }
  putchar('\n');
  return ferror(stdin) || fflush(stdout) != 0 ? 1 : 0;
}
