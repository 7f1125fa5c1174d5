import { expect, test } from 'vitest';
import { passphraseProblem, strengthOf } from './passphrase.ts';

test('a passphrase is typed twice, the same both times', () => {
  expect(passphraseProblem({ on: false, first: '', second: '' })).toBeNull();
  expect(passphraseProblem({ on: true, first: '', second: '' })).toBe('empty');
  expect(passphraseProblem({ on: true, first: 'one', second: 'two' })).toBe('mismatch');
  expect(passphraseProblem({ on: true, first: 'a\tb', second: 'a\tb' })).toBe('characters');
  expect(passphraseProblem({ on: true, first: '密码 ü', second: '密码 ü' })).toBeNull();
});

test('what everybody tries first is weak, however long', () => {
  for (const text of [
    '',
    'a',
    'password',
    'Password123',
    'aaaaaaaaaaaaaaaaaaaaaaaa',
    'abcdefghijklmnop',
    '12345678901234567890',
    'ababababababababab',
  ])
    expect([text, strengthOf(text)]).toEqual([text, 'weak']);
  expect(strengthOf('tr0ub4dor&3')).toBe('fair');
  expect(strengthOf('correct horse battery staple')).toBe('strong');
  expect(strengthOf('vK7#qZ2!mRw9')).toBe('strong');
});
