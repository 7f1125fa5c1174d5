import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'vue/compiler-sfc';
import { en } from './en.ts';

/** No words outside the messages: in expressions of templates, in scripts of the pages, and in the desktop's own menus and dialogs. Plain text of templates is i18n.test.ts's. */
const source = path.join(import.meta.dirname, '..');
const desktop = path.join(import.meta.dirname, '../../../electron/main');

/** Names that are the same in every language: the program, and what stands on a key. */
const NAMES = new Set(['Hypervue', 'Print Screen']);

function files(folder: string, endings: RegExp): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'i18n' ? [] : files(full, endings);
    return endings.test(entry.name) && !entry.name.endsWith('.test.ts') ? [full] : [];
  });
}

/** Words for people: several of them, or one that begins like a sentence. Keys, ids and CSS have neither. */
const isWords = (text: string) =>
  !NAMES.has(text) && (/\p{L}{2,} \p{L}{2,}/u.test(text) || /^\p{Lu}\p{Ll}+[.!?…]?$/u.test(text) || /[\u4e00-\u9fff]/.test(text));

const quoted = (expression: string) => [...expression.matchAll(/'((?:[^'\\]|\\.)*)'/g)].map(([, text]) => text!);

interface Node {
  type: number;
  content?: { content?: string } | string;
  children?: Node[];
  branches?: Node[];
  props?: { type: number; name: string; arg?: { content: string }; exp?: { content: string } }[];
}

const READ = ['title', 'placeholder', 'aria-label', 'alt', 'label', 'aria-description', 'aria-valuetext', 'content', 'reason', 'text'];

/** Literals in `{{ … }}` and in bound attributes that people read. Types as in @vue/compiler-core: 5 interpolation; prop 7 directive. */
function inExpressions(node: Node): string[] {
  const found: string[] = [];
  if (node.type === 5 && typeof node.content === 'object') found.push(...quoted(node.content.content ?? '').filter(isWords));
  for (const prop of node.props ?? [])
    if (prop.type === 7 && prop.name === 'bind' && READ.includes(prop.arg?.content ?? ''))
      found.push(...quoted(prop.exp?.content ?? '').filter(isWords));
  for (const child of [...(node.children ?? []), ...(node.branches ?? [])]) found.push(...inExpressions(child));
  return found;
}

/** Values of properties that are shown: a toast's detail, a dialog's title, a menu's label. */
const SHOWN =
  /\b(?:title|label|message|detail|placeholder|text|tooltip|toolTip|body|checkboxLabel|buttonLabel|sublabel)(?::|\s*=)\s*(?:[^,;\n'`]*\?\s*)?(['`])((?:[^'`\\\n]|\\.)+)\1/g;
const shown = (code: string) => [...code.matchAll(SHOWN)].map(([, , text]) => text!).filter(isWords);

test('no expression of a template says words of its own', () => {
  const all = files(source, /\.vue$/);
  expect(all.length).toBeGreaterThan(50);
  const found = all.flatMap((file) => {
    const { descriptor } = parse(readFileSync(file, 'utf8'), { filename: file });
    return descriptor.template?.ast
      ? inExpressions(descriptor.template.ast as unknown as Node).map((text) => `${path.basename(file)}: ${text}`)
      : [];
  });
  expect(found).toEqual([]);
});

test('no script of a page, and no menu or dialog of the desktop app, says words of its own', () => {
  const found = [...files(source, /\.(vue|ts)$/), ...files(desktop, /\.ts$/).filter((file) => path.basename(file) !== 'texts.ts')].flatMap(
    (file) => {
      const text = readFileSync(file, 'utf8');
      const script = file.endsWith('.vue') ? text.slice(0, Math.max(text.indexOf('<template>'), 0)) : text;
      // What travels as an error has the manager's words, which are English and say so in their own place.
      return shown(script.replace(/new (?:Contract|Hypervue|Link)?Error\([\s\S]*?\);/g, '')).map(
        (words) => `${path.basename(file)}: ${words}`,
      );
    },
  );
  expect(found).toEqual([]);
});

/** Where a message of the manager, or of another program, is not said in the reader's language, and why. */
const UNSAID: readonly [file: string, why: string][] = [
  ['ErrorDetails.vue', 'a report that is copied, for whoever is told of the failure'],
  ['LogTab.vue', 'the log, which is as it was written'],
  ['DiagnosticsView.vue', 'said by useDiagnostics'],
  ['connection.ts', 'the browser’s own words of a connection'],
  ['RfbScreen.vue', 'the browser’s own words of a connection'],
  ['notices.ts', 'a fault of the page itself'],
];
const unsaid = (code: string) =>
  code.split('\n').filter((line) => /[\w\])!?]\.message\b/.test(line) && !/\.said\b|:key=|(?:super|Error)\(/.test(line));

test('no message of the manager is shown in its English alone', () => {
  const used = new Set<string>();
  const found = files(source, /\.(vue|ts)$/).flatMap((file) => {
    const name = path.basename(file);
    const here = unsaid(readFileSync(file, 'utf8')).map((line) => `${name}: ${line.trim()}`);
    if (here.length && UNSAID.some(([each]) => each === name)) used.add(name);
    return UNSAID.some(([each]) => each === name) ? [] : here;
  });
  expect(found).toEqual([]);
  expect(UNSAID.map(([name]) => name).filter((name) => !used.has(name))).toEqual([]);
});

test('the finder finds', () => {
  const { descriptor } = parse(`<template><p :title="a ? 'Not here' : $t('some.key')">{{ b ? 'Yes' : c }}</p></template>`);
  expect(inExpressions(descriptor.template!.ast as unknown as Node)).toEqual(['Not here', 'Yes']);
  expect(shown(`toast({ key: 'toast.x', detail: 'The disk is full' })`)).toEqual(['The disk is full']);
  expect(shown(`dialog({ title: 'Hypervue', message: ok ? 'Really quit?' : t })`)).toEqual(['Really quit?']);
  expect(unsaid('toast(error.message)\nsay(error.message, error.said)\nconst message = 1')).toEqual(['toast(error.message)']);
  expect(shown(`{ label: 'vm.start', text: \`a.\${b}\` }`)).toEqual([]);
});

function messages(of: object, prefix = ''): [string, string][] {
  return Object.entries(of).flatMap(([key, value]) =>
    typeof value === 'string' ? [[prefix + key, value] as [string, string]] : messages(value as object, `${prefix}${key}.`),
  );
}

test('a number before a word that has a plural is told in both forms', () => {
  const found = messages(en).filter(
    ([, text]) => !text.includes(' | ') && /\{(?:n|count|number|machines|files|days)\} (?!of\b|per\b|[×x]\b)[a-z]+s\b/.test(text),
  );
  expect(found.map(([key, text]) => `${key}: ${text}`)).toEqual([]);
  for (const [key, text] of messages(en)) expect(text, key).not.toMatch(/\w\(s\)/);
});
