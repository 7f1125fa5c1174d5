import * as electron from 'electron';
import { fileURLToPath } from 'node:url';
import { startDesktop } from './desktop.ts';

await startDesktop(electron, { entry: import.meta.url, outFolder: fileURLToPath(new URL('..', import.meta.url)) });
