import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { pageOfArguments, pageOfFile, pageOfLink } from './openrequests.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'hv-open-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string) => {
  const full = path.join(folder, name);
  writeFileSync(full, '');
  return full;
};
const ID = '11111111-2222-4333-8444-555555555555';

test.each([
  [`hypervue://machine/${ID}`, `#/machines/${ID}`],
  [`HYPERVUE://machine/${ID}/`, `#/machines/${ID}`],
  [`hypervue://machine/${ID}/console`, `#/machines/${ID}/console`],
  ['hypervue://new', '#/new'],
  ['hypervue://new?iso=/isos/debian%2012.iso', '#/open?path=%2Fisos%2Fdebian%2012.iso'],
  ['hypervue://new?disk=/images/a.qcow2', '#/open?path=%2Fimages%2Fa.qcow2'],
  ['hypervue://attach', '#/servers'],
])('%s opens %s', (link, page) => expect(pageOfLink(link)).toBe(page));

test.each([
  'hypervue:',
  'hypervue://',
  'hypervue://machine',
  'hypervue://machine/../../settings',
  `hypervue://machine/${ID}/delete`,
  `hypervue://machine/${ID}/console/more`,
  `hypervue://machine/${ID}?start=1`,
  `hypervue://machine/${ID}#/settings`,
  `hypervue://machine/${ID}%00`,
  `hypervue://user@machine/${ID}`,
  'hypervue://machine/javascript:alert(1)',
  'hypervue://new?iso=relative.iso',
  'hypervue://new?iso=//evil.example/share/a.iso',
  'hypervue://new?iso=%5C%5Cevil.example%5Cshare%5Ca.iso',
  'hypervue://new?iso=/etc/../etc/a.iso',
  'hypervue://new?iso=/etc/passwd',
  'hypervue://new?iso=https://evil.example/a.iso',
  'hypervue://new?iso=/a%0a.iso',
  'hypervue://new?iso=/a%E2%80%AEosi.iso',
  'hypervue://new?iso=/a.iso&iso=/b.iso',
  'hypervue://new?kernel=/boot/vmlinuz',
  'hypervue://settings',
  'hypervue://attach?url=https://evil.example',
  `hypervue://new?iso=/${'a'.repeat(5000)}.iso`,
  'https://machine/',
  'app://hypervue/index.html',
  'not a link',
])('%s is refused', (link) => expect(pageOfLink(link)).toBeUndefined());

test('files that the system hands over open when they exist and are of a kind there is', () => {
  const iso = file('Ubuntu "24".iso');
  expect(pageOfFile(iso, '/')).toBe(`#/open?path=${encodeURIComponent(iso)}`);
  expect(pageOfFile('Ubuntu "24".iso', folder)).toBe(`#/open?path=${encodeURIComponent(iso)}`);
  expect(pageOfFile(file('vm.json'), '/')).toContain('vm.json');
  mkdirSync(path.join(folder, 'folder.iso'));
  for (const other of [file('other.json'), file('a.exe'), path.join(folder, 'missing.iso'), path.join(folder, 'folder.iso')])
    expect(pageOfFile(other, '/'), other).toBeUndefined();
});

test('of a command line the last thing that makes sense counts, and switches never', () => {
  const iso = file('a.iso');
  const open = `#/open?path=${encodeURIComponent(iso)}`;
  expect(pageOfArguments(['/usr/bin/hypervue', '--no-sandbox', iso], '/')).toBe(open);
  expect(pageOfArguments(['/usr/bin/hypervue', iso, 'hypervue://evil'], '/')).toBe(open);
  expect(pageOfArguments(['/usr/bin/hypervue', '--gpu-launcher=calc', `hypervue://machine/${ID}`], '/')).toBe(`#/machines/${ID}`);
  expect(pageOfArguments(['electron', folder], '/')).toBeUndefined();
  expect(pageOfArguments([iso], '/')).toBeUndefined();
});
