import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const built = fileURLToPath(new URL('../../out/main', import.meta.url));

/** The built files that are loaded with `entry`. */
function loaded(entry: string, found = new Map<string, string>()): Map<string, string> {
  if (found.has(entry)) return found;
  const text = readFileSync(path.join(built, entry), 'utf8');
  found.set(entry, text);
  for (const [, name] of text.matchAll(/(?:\bfrom|^import) ?"\.\/([^"]+)"/gm)) loaded(name!, found);
  return found;
}

// Each machine has these threads, and each thread its own copy of what it loads.
test.each(['machinethread.js', 'compilethread.js'])('%s loads no schemas, which would take megabytes of every machine', (entry) => {
  const files = [...loaded(entry)];
  expect(files.length).toBeGreaterThan(2);
  expect(files.filter(([, text]) => text.includes('ZodType')).map(([name]) => name)).toEqual([]);
});

test.each(['machinethread.js', 'compilethread.js'])('%s has no character that makes V8 keep all of it with two bytes each', (entry) => {
  expect([...new Set(readFileSync(path.join(built, entry), 'utf8').match(/[^\0-\xff]/g))]).toEqual([]);
});
