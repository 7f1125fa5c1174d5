import { readFileSync } from 'node:fs';

/** The version in package.json. `entry` is import.meta.url of the program's entry. */
export function appVersion(entry: string): string {
  for (const up of ['../../package.json', '../../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(up, entry), 'utf8')) as { version: string }).version;
    } catch {
      // One floor up.
    }
  }
  return 'unknown';
}
