/* This Source Code Form is subject to the terms of the Mozilla Public
 * License, v. 2.0. If a copy of the MPL was not distributed with this
 * file, You can obtain one at https://mozilla.org/MPL/2.0/. */

/* A library whose symbols the tests look up. README.md says how libgame.so and libgame.so.debug are made from it. */

static inline int scaled(int points) {
  return points * 3;
}

__attribute__((noinline)) int game_score(volatile int *points, int count) {
  int total = 0;
  for (int i = 0; i < count; i++)
    total += scaled(points[i]);
  return total;
}

int game_turn(volatile int *points, int count) {
  int before = game_score(points, count);
  return before + game_score(points + 1, count - 1);
}
