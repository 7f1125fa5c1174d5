import { test } from 'vitest';
import { debianSession } from './support/debiansession.ts';

/** A whole Debian: SeaBIOS, GRUB and kernel from its disk, systemd, a login, everyday commands and a C compiler. The i386 one is in tests/long. */
test(
  'Debian amd64 boots from its disk, logs in, compiles and runs a program, and turns off cleanly',
  () => debianSession('amd64'),
  1_500_000,
);
