import { test } from 'vitest';
import { graphicalInstaller, textInstaller } from './support/installersession.ts';

/** Debian 12's installer up to its first screen and beyond: a large initrd, udev and many drivers, then newt, or X with GTK. */
test('Debian’s i386 installer asks for a language in text mode and goes on to the location', () => textInstaller('i386'), 1_200_000);
test('Debian’s i386 installer shows its list of languages in graphics; keys and mouse work', () => graphicalInstaller('i386'), 1_500_000);
