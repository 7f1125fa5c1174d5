import { expect, test } from 'vitest';
import { methods } from './methods.ts';

test('a settings patch brings no defaults along, so it changes only what it names', () => {
  expect(methods['settings.set'].params.parse({ machinesView: 'table' })).toEqual({ machinesView: 'table' });
});
