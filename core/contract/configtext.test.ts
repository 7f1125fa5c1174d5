import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkConfigText } from './configtext.ts';
import { mapJson, pathKey } from './jsonpositions.ts';
import { ruleTexts } from './texts.ts';

const id = '00000000-0000-4000-8000-000000000001';
const config = {
  schema: 1,
  id,
  name: 'Test',
  createdAt: '2026-11-20T10:00:00.000Z',
  cpu: { model: 'x86-64-v3' },
  memoryMiB: 64,
  boot: { order: ['cdrom', 'ide0'] },
  drives: [{ id: 'ide0', kind: 'disk', path: 'disk.qcow2', format: 'qcow2', readOnly: false }],
  display: {},
  serial: [{ type: 'console' }],
};
const text = (change: object = {}) => JSON.stringify({ ...config, ...change }, null, 2);
const marked = (source: string, own?: string) =>
  checkConfigText(source, own).problems.map(({ from, to, message, line }) => [source.slice(from, to), line, message]);

test('a good file has no problems and is what the schema makes of it', () => {
  const { problems, config: read } = checkConfigText(text(), id);
  expect(problems).toEqual([]);
  expect(read).toMatchObject({ name: 'Test', clock: 'utc', boot: { menu: false } });
});

test('a wrong value is marked where it stands', () => {
  expect(marked(text({ memoryMiB: 99_999 }))).toEqual([['99999', 9, expect.stringContaining('3072')]]);
  expect(marked(text({ drives: [{ ...config.drives[0], id: 'ide9' }] }))).toEqual([
    ['"ide9"', expect.any(Number), expect.stringContaining('ide0')],
  ]);
  expect(marked(text({ debug: { gdb: { type: 'tcp', port: -1 }, wait: false } }))).toEqual([
    ['-1', expect.any(Number), expect.any(String)],
  ]);
});

test('what is missing is named, what nobody knows is not dropped in silence', () => {
  const { memoryMiB: _, ...rest } = config;
  expect(marked(JSON.stringify(rest))).toEqual([['{', 1, 'memoryMiB is missing']]);
  const { kind: _kind, ...drive } = config.drives[0]!;
  expect(marked(text({ drives: [drive] }))).toEqual([
    [expect.any(String), expect.any(Number), expect.stringMatching(/^kind is missing: .*cdrom/)],
  ]);
  expect(marked(text({ memryMiB: 1 }))).toEqual([['"memryMiB"', expect.any(Number), 'there is no such field']]);
  expect(marked(text({ cpu: { model: 'i686', cores: 4 } }))).toEqual([['"cores"', expect.any(Number), 'there is no such field']]);
  expect(marked('{"schema":1,"schema":1}').some(([word, , message]) => word === '"schema"' && String(message).includes('twice'))).toBe(
    true,
  );
});

test('rules between fields have a place too', () => {
  const twice = [config.drives[0], config.drives[0]];
  expect(marked(text({ drives: twice }))).toEqual([['"ide0"', expect.any(Number), 'there are two drives at ide0']]);
  expect(marked(text({ drives: [{ ...config.drives[0], id: 'usb2' }] }))).toEqual([
    ['"usb2"', expect.any(Number), 'usb2 wants a USB controller, which the machine does not have ("usb": {})'],
  ]);
  expect(marked(text({ usb: {}, drives: [{ ...config.drives[0], id: 'usb2' }] }))).toEqual([]);
  expect(marked(text({ firmware: 'uefi', cpu: { model: 'i686' } }))).toEqual([
    ['"uefi"', expect.any(Number), 'UEFI needs a 64-bit processor'],
  ]);
  for (const path of ['/etc/passwd', '../x', 'a/../../x', 'C:\\x', '\\\\server\\x'])
    expect(marked(text({ serial: [{ type: 'file', path }] }))).toEqual([
      [JSON.stringify(path), expect.any(Number), expect.stringContaining('folder')],
    ]);
  expect(marked(text(), 'other')).toEqual([[`"${id}"`, 3, expect.stringContaining('never changes')]]);
});

describe('what is no JSON', () => {
  test.each([
    ['{"a": x}', 'x', 'value'],
    ['{"a": 1,}', '}', 'name'],
    ['{"a" 1}', '1', 'colon'],
    ['[1 2]', '2', 'comma or ]'],
    ['{"a": 1 "b": 2}', '"b"', 'comma or }'],
    ['{"a": 01}', '01', 'value'],
    ['{"a": "line\nbreak"}', '"line', 'value'],
    ['{"a": 1} x', 'x', 'more'],
    ["{'a': 1}", "'a'", 'name'],
    ['{"a": 1', '1', 'comma'],
  ])('%j is marked at %j', (source, word, message) => {
    const { error } = mapJson(source);
    expect([source.slice(error!.from, error!.to), ruleTexts[error!.rule]]).toEqual([word, expect.stringContaining(message)]);
  });

  test('it is said in every language', () => {
    expect(checkConfigText('{"a": x}').problems[0]).toMatchObject({ message: 'a value should stand here', said: { key: 'jsonValue' } });
  });

  test('an empty text has a problem, and deep nesting is refused instead of exhausting the stack', () => {
    expect(checkConfigText('').problems).toHaveLength(1);
    expect(mapJson('['.repeat(100_000)).error?.rule).toBe('jsonDeep');
  });
});

test('takes and places exactly what JSON.parse takes', () => {
  fc.assert(
    fc.property(
      fc.json({ maxDepth: 4 }),
      fc.nat(),
      fc.constantFrom('', ',', '}', '"', '\\', 'x', '\u0000', ' ', '0', '\u007f'),
      (json, where, extra) => {
        const source = json.slice(0, where % (json.length + 1)) + extra + json.slice(where % (json.length + 1));
        let value: unknown;
        let fine = true;
        try {
          value = JSON.parse(source);
        } catch {
          fine = false;
        }
        const { error, places } = mapJson(source);
        expect(error === undefined, source).toBe(fine);
        if (!fine) return;
        const whole = places.get(pathKey([]))!;
        expect(JSON.parse(source.slice(whole.from, whole.to))).toEqual(value);
      },
    ),
    { numRuns: 2000 },
  );
});
