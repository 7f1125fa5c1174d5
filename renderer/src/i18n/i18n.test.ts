import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'vue/compiler-sfc';
import { en } from './en.ts';
import { i18n, resolveLocale } from './index.ts';
import { zhCN } from './zh-CN.ts';

const source = path.join(import.meta.dirname, '..');

function flat(messages: object, prefix = ''): Map<string, string> {
  const all = new Map<string, string>();
  for (const [key, value] of Object.entries(messages)) {
    if (typeof value === 'string') all.set(prefix + key, value);
    else for (const [sub, text] of flat(value as object, `${prefix}${key}.`)) all.set(sub, text);
  }
  return all;
}

function* files(folder: string, extension: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) yield* files(full, extension);
    else if (entry.name.endsWith(extension)) yield full;
  }
}

/** Of each form of a message: languages have one for each kind of number that they tell apart. */
const placeholders = (text: string) =>
  text.split(' | ').map((form) =>
    [...form.matchAll(/\{(\w+)\}/g)]
      .map((match) => match[1])
      .sort()
      .join(),
  );

test('both languages have exactly the same keys', () => {
  expect([...flat(zhCN).keys()].sort()).toEqual([...flat(en).keys()].sort());
});

test('both languages use the same placeholders in each message', () => {
  const chinese = flat(zhCN);
  for (const [key, text] of flat(en)) {
    const forms = placeholders(text);
    for (const form of [...forms, ...placeholders(chinese.get(key) ?? '')]) expect([key, form]).toEqual([key, forms[0]]);
  }
});

test('no message is empty, and no Chinese message was left in English by accident', () => {
  const same = [
    'app.name',
    'said.plain',
    'unit.mib',
    'unit.gib',
    'table.cpu',
    'hardware.utc',
    'serial.port',
    'serial.size',
    'console.shot.size',
    'console.release.ctrl-alt',
    'console.release.ctrl-alt-g',
    'drive.fd0',
    'drive.fd1',
    'facts.cpuValue',
    'history.machine.cpu',
    'hostDevices.block.kind.raid',
    'hostDevices.pci.title',
    'hostDevices.usb.speed',
    'hostDevices.usb.title',
    'networks.kind.nat',
    'networks.forwardFrom',
    'networks.card.modelShort.virtio',
    'networks.card.modelShort.e1000',
    'networks.wizard.summary',
    'host.cpu',
    'firmware.kind.bios',
    'firmware.kind.uefi',
    'settings.language.en',
    'settings.language.zh-CN',
  ];
  const english = flat(en);
  for (const [key, text] of flat(zhCN)) {
    expect(text.trim(), key).not.toBe('');
    if (!same.includes(key)) expect(text, key).not.toBe(english.get(key));
  }
});

test('what the window says of a way out names no command of the command line', () => {
  // Of the server's own options and of rights: there is no other way.
  const commandOnly = [
    'portFree',
    'portTaken',
    'portTakenHere',
    'fixDeviceBusy',
    'fixOtherPort',
    'fixPortForbidden',
    'fixNoOwnAddress',
    'fixServerForeign',
    'fixServerAddress',
    'fixServerPlain',
    'fixTrialRights',
    'libraryNamed',
  ];
  const named = (messages: object) =>
    Object.entries(messages).flatMap(([key, text]) => (/hypervue(:|：| [a-z])|(^|[^\w-])--[a-z]/.test(String(text)) ? [key] : []));
  expect(named({ some: 'Repair it (hypervue disk check --repair).', none: 'Repair it -- now.' })).toEqual(['some']);
  for (const { said } of [en, zhCN]) expect(named(said).filter((key) => !commandOnly.includes(key))).toEqual([]);
});

test('every key that code names exists', () => {
  const keys = flat(en);
  const missing: string[] = [];
  for (const extension of ['.vue', '.ts'])
    for (const file of files(source, extension)) {
      if (file.endsWith('.test.ts')) continue;
      const text = readFileSync(file, 'utf8');
      for (const match of text.matchAll(/\$?\bt\(\s*'([\w.-]+)'/g))
        if (!keys.has(match[1]!)) missing.push(`${path.basename(file)}: ${match[1]}`);
      for (const match of text.matchAll(/\bkey: '((?:toast|common)\.[\w.]+)'/g))
        if (!keys.has(match[1]!)) missing.push(`${path.basename(file)}: ${match[1]}`);
      for (const match of text.matchAll(/showError\('(\w+)'/g))
        if (!keys.has(`failed.${match[1]}`)) missing.push(`${path.basename(file)}: failed.${match[1]}`);
    }
  expect(missing).toEqual([]);
});

interface Node {
  type: number;
  tag?: string;
  content?: unknown;
  children?: Node[];
  props?: { type: number; name: string; value?: { content: string } }[];
  branches?: Node[];
}

/** Text and attributes that people would read. Node types as in @vue/compiler-core: 1 element, 2 text; prop type 6 is a static attribute. */
function literals(node: Node): string[] {
  const found: string[] = [];
  const hasWords = (text: string) => /\p{L}/u.test(text);
  if (node.type === 2 && typeof node.content === 'string' && hasWords(node.content)) found.push(node.content.trim());
  for (const prop of node.props ?? [])
    if (
      prop.type === 6 &&
      ['title', 'placeholder', 'aria-label', 'alt', 'label', 'aria-description', 'content'].includes(prop.name) &&
      hasWords(prop.value?.content ?? '')
    )
      found.push(`${prop.name}="${prop.value?.content}"`);
  if (node.tag !== 'svg') for (const child of node.children ?? []) found.push(...literals(child));
  return found;
}

test('no template contains a literal string that people would read', () => {
  const found: string[] = [];
  let count = 0;
  for (const file of files(source, '.vue')) {
    const { descriptor } = parse(readFileSync(file, 'utf8'), { filename: file });
    count++;
    if (descriptor.template?.ast)
      for (const text of literals(descriptor.template.ast as unknown as Node)) found.push(`${path.basename(file)}: ${text}`);
  }
  expect(count).toBeGreaterThan(30);
  expect(found).toEqual([]);
});

test('the literal finder sees text and attributes', () => {
  const { descriptor } = parse('<template><p title="Hello">{{ ok }} <b>World</b></p></template>');
  expect(literals(descriptor.template!.ast as unknown as Node)).toEqual(['title="Hello"', 'World']);
});

test('the system language is the first known one', () => {
  expect(resolveLocale('system', ['fr-FR', 'zh-Hans-CN', 'en'])).toBe('zh-CN');
  expect(resolveLocale('system', ['en-GB', 'zh'])).toBe('en');
  expect(resolveLocale('system', ['fr'])).toBe('en');
  expect(resolveLocale('zh-CN', ['en'])).toBe('zh-CN');
});

test('one is not said in the plural', () => {
  const say = (key: string, named: Record<string, unknown>) => i18n.global.t(key, named);
  expect([0, 1, 2].map((n) => say('storage.count', { n }))).toEqual(['0 volumes', '1 volume', '2 volumes']);
  expect(say('trash.total', { n: 1, size: '8 KiB' })).toBe('1 item, 8 KiB');
});

test('a name that turns the direction of writing leaves the sentence around it as it is', () => {
  expect(i18n.global.t('toast.poolAdded', { name: 'a\u202eb\u2066c' })).not.toMatch(/[\u202a-\u202e\u2066-\u2069]/);
  expect(i18n.global.t('toast.poolAdded', { name: '\u05d0\u05d1' })).toContain('\u05d0\u05d1');
});
