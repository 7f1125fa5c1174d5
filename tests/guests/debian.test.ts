import { test } from 'vitest';
import { debianSession } from './support/debiansession.ts';

/** A whole Debian: SeaBIOS, GRUB and kernel from its disk, systemd, a login, everyday commands and a C compiler. */
test('Debian i386 boots from its disk, logs in, compiles and runs a program, and turns off cleanly', () => debianSession('i386'), 900_000);
