import { test } from 'vitest';
import { graphicalInstaller, textInstaller } from './support/installersession.ts';

/** Debian 12's installer up to its first screen and beyond: a large initrd, udev and many drivers, then newt, or X with GTK. The i386 ones are in tests/long. */
test('Debian’s amd64 installer asks for a language in text mode and goes on to the location', () => textInstaller('amd64'), 1_200_000);
test('Debian’s amd64 installer shows its list of languages in graphics; keys and mouse work', () => graphicalInstaller('amd64'), 1_500_000);
