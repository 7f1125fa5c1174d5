import { expect, test } from 'vitest';
import { pastedPath } from './pastedpath.ts';

test.each([
  ['/home/a/debian 12.iso', '/home/a/debian 12.iso'],
  ["'/home/a/debian 12.iso' ", '/home/a/debian 12.iso'],
  ['"C:\\images\\a.iso"', 'C:\\images\\a.iso'],
  ['file:///home/a/debian%2012.iso', '/home/a/debian 12.iso'],
  ['file://localhost/a.iso\n', '/a.iso'],
  ['file:///C:/images/a.iso', 'C:/images/a.iso'],
  // What is none of these stays, so that nothing changes under somebody who types.
  ['file://server/a.iso', 'file://server/a.iso'],
  ['file:///a%zz', 'file:///a%zz'],
  ['"', '"'],
  ['""', '""'],
  [' /a ', ' /a '],
])('%j is %j', (text, path) => expect(pastedPath(text)).toBe(path));
