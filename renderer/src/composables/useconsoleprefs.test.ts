import { createPinia, setActivePinia } from 'pinia';
import { beforeEach, expect, test } from 'vitest';
import { effectScope } from 'vue';
import { useSettings } from '../stores/settings.ts';
import { useConsolePreferences } from './useconsoleprefs.ts';
import { programName } from './useviewers.ts';

beforeEach(() => {
  localStorage.clear();
  setActivePinia(createPinia());
});

const of = (id: string) => effectScope().run(() => useConsolePreferences(() => id))!;

test('a machine is as the settings say until it has its own, which other windows follow and later ones find', () => {
  const settings = useSettings();
  const first = of('a');
  expect([first.current.value.consoleScaling, first.differs.value]).toEqual(['fit', false]);
  settings.current = { ...settings.current, consoleScaling: 'integer' };
  expect(first.current.value.consoleScaling).toBe('integer');
  first.change({ consoleScaling: 'exact', consolePassThrough: ['F11'] });
  expect([first.current.value.consoleScaling, of('b').current.value.consoleScaling, of('a').current.value.consolePassThrough]).toEqual([
    'exact',
    'integer',
    ['F11'],
  ]);
  const other = of('b');
  localStorage.setItem('hypervue.console.b', '{"consoleScaling":"fit"}');
  window.dispatchEvent(new StorageEvent('storage', { key: 'hypervue.console.b' }));
  expect(other.current.value.consoleScaling).toBe('fit');
  first.reset();
  expect([first.current.value.consoleScaling, localStorage.getItem('hypervue.console.a')]).toEqual(['integer', null]);
});

test('what is kept and makes no sense counts as nothing', () => {
  for (const kept of ['{"consoleScaling":"huge"}', 'not json', '[]', 'null']) {
    localStorage.setItem('hypervue.console.a', kept);
    expect(of('a').current.value.consoleScaling, kept).toBe('fit');
  }
});

test('windows without a name are told apart by program and system', () => {
  expect(programName('Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36')).toBe('Chrome, Linux');
  expect(programName('Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Electron/41.0 Safari/537.36')).toBe('Hypervue, Windows');
  expect(programName('Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15) Gecko/20100101 Firefox/140.0')).toBe('Firefox, macOS');
  expect(programName('something')).toBe('Browser');
});
