import { test } from 'vitest';
import { textInstaller } from './support/installersession.ts';

/** Debian 12's installer up to its first screen and beyond: a large initrd, udev and many drivers, then newt. With X and GTK it is in `npm run test:long`, for its time. */
test('Debian’s i386 installer asks for a language in text mode and goes on to the location', () => textInstaller('i386'), 1_200_000);
