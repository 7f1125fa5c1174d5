import { expect, test } from 'vitest';
import { vmStates } from '../../../core/contract/vm.ts';
import { en } from '../i18n/en.ts';
import { formatBytes, formatDuration } from './useformat.ts';
import { verbNames, verbReason } from './verbs.ts';

const config = {} as never;

test('every verb in every state is either usable or has a reason that is written down', () => {
  for (const state of vmStates)
    for (const verb of verbNames) {
      const reason = verbReason(verb, { state, config });
      if (reason !== null) expect(Object.keys(en.verbs.reason), `${verb} while ${state}`).toContain(reason);
    }
});

test('each state offers the right verbs', () => {
  const usable = (state: (typeof vmStates)[number]) => verbNames.filter((verb) => verbReason(verb, { state, config }) === null);
  expect(usable('off')).toEqual(['start', 'snapshot', 'clone', 'template', 'export', 'delete']);
  expect(usable('crashed')).toEqual(['start', 'snapshot', 'clone', 'template', 'export', 'delete']);
  expect(usable('starting')).toEqual(['forceOff']);
  expect(usable('running')).toEqual(['pause', 'shutdown', 'restart', 'reset', 'saveState', 'snapshot', 'forceOff']);
  expect(usable('paused')).toEqual(['resume', 'reset', 'saveState', 'snapshot', 'forceOff']);
  expect(usable('saved')).toEqual(['start', 'discardState', 'snapshot', 'export', 'delete']);
  expect(usable('stopping')).toEqual(['forceOff']);
});

test('a template never starts', () => {
  expect(verbReason('start', { state: 'off', config: { template: true } as never })).toBe('template');
});

test('a machine whose vm.json is unreadable can only be deleted', () => {
  expect(verbReason('start', { state: 'off', config: null })).toBe('unreadable');
  expect(verbReason('delete', { state: 'off', config: null })).toBeNull();
});

test('sizes are binary with at most one decimal, durations h:mm:ss', () => {
  expect(formatBytes(0)).toBe('0 B');
  expect(formatBytes(1536)).toBe('1.5 KiB');
  expect(formatBytes(20 * 1024 ** 3)).toBe('20 GiB');
  expect(formatBytes(150.4 * 1024 ** 2)).toBe('150 MiB');
  expect(formatDuration(65)).toBe('1:05');
  expect(formatDuration(7509)).toBe('2:05:09');
});

test('what the engine can’t do is disabled with the reason', () => {
  const running = { state: 'running', config } as const;
  expect(verbReason('saveState', running, { saveState: false, liveSnapshots: true })).toBe('engineNoStates');
  expect(verbReason('saveState', running, { saveState: true, liveSnapshots: true })).toBe(null);
  expect(verbReason('pause', running, { saveState: false, liveSnapshots: true })).toBe(null);
  expect(verbReason('snapshot', running, { saveState: true, liveSnapshots: false })).toBe('engineLive');
  expect(verbReason('snapshot', { state: 'off', config }, { saveState: true, liveSnapshots: false })).toBe(null);
  expect(verbReason('snapshot', { state: 'stopping', config })).toBe('whileChanging');
});
