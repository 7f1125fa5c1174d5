import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { en } from './en.ts';

/** Every message is said somewhere: one that is left over from what is gone would be translated for nobody. */
const source = path.join(import.meta.dirname, '..');

function keysOf(messages: object, prefix = ''): string[] {
  return Object.entries(messages).flatMap(([key, value]) =>
    typeof value === 'string' ? [prefix + key] : keysOf(value as object, `${prefix}${key}.`),
  );
}

function texts(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'i18n' ? [] : texts(full);
    return /\.(vue|ts)$/.test(entry.name) && !entry.name.endsWith('.test.ts') ? [readFileSync(full, 'utf8')] : [];
  });
}

const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Keys that code puts together: `a.${x}.b` stands for every key of that shape. */
function shapes(text: string): RegExp[] {
  return [...text.matchAll(/`([\w-]+\.(?:[\w.-]|\$\{(?:[^{}`]|`[^`]*`|\{[^}]*\})*\})*)`/g)].flatMap(([, template]) => {
    const parts = template!.split(/\$\{(?:[^{}`]|`[^`]*`|\{[^}]*\})*\}/);
    // Nothing but a variable says nothing.
    return parts.length > 1 && /^[\w-]+\./.test(parts[0]!) && parts.every((part) => /^[\w.-]*$/.test(part))
      ? [new RegExp(`^${parts.map(literal).join('.+')}$`)]
      : [];
  });
}

/** Keys that are made from a short name in a place that is known: a question's, a failed verb's, what a passphrase is for. */
const MADE = [
  (name: string) => [`confirm.${name}.title`, `confirm.${name}.text`, `confirm.${name}.confirm`],
  (name: string) => [`failed.${name}`],
];

test('every message is used', () => {
  const all = texts(source);
  const code = all.join('\n');
  const patterns = all.flatMap(shapes);
  // Also the values of attributes, where they stand in double quotes.
  const literals = new Set([...code.matchAll(/(['"])([\w.-]+)\1/g)].map(([, , text]) => text!));
  const made = new Set([...literals].flatMap((name) => MADE.flatMap((keys) => keys(name))));
  const used = (key: string) => literals.has(key) || made.has(key) || patterns.some((pattern) => pattern.test(key));
  expect(keysOf(en).filter((key) => !used(key))).toEqual([]);
});

test('a key that nobody says is found', () => {
  const [pattern] = shapes('t(`a.$' + '{x}.b`)');
  expect([pattern!.test('a.one.b'), pattern!.test('a.one.c')]).toEqual([true, false]);
  expect(shapes('t(`$' + '{x}`)')).toEqual([]);
});

test('every task of the manager has a title', () => {
  const core = path.join(source, '../../core/manager');
  const files = readdirSync(core, { recursive: true, encoding: 'utf8' }).filter(
    (file) => file.endsWith('.ts') && !file.endsWith('.test.ts'),
  );
  const kinds = new Set(
    files.flatMap((file) =>
      [...readFileSync(path.join(core, file), 'utf8').matchAll(/'((?:vm|disk|snapshot|trash)\.[a-zA-Z]+)'/g)].map(([, kind]) => kind!),
    ),
  );
  const run = files.map((file) => readFileSync(path.join(core, file), 'utf8')).join('\n');
  const started = [...kinds].filter((kind) => new RegExp(`(run|task|work)\\w*\\(\\s*(?:[^'()]*\\? )?'${kind}'`, 'i').test(run));
  expect(started.length).toBeGreaterThan(10);
  const titles = new Set(keysOf(en));
  expect(started.filter((kind) => !titles.has(`task.kind.${kind.replaceAll('.', '_')}`))).toEqual([]);
});
