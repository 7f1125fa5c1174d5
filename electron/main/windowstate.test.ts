import { EventEmitter } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { nullLogger } from '../../core/util/logger.ts';
import { WindowState } from './windowstate.ts';

let folder: string;
beforeEach(() => {
  vi.useFakeTimers();
  folder = mkdtempSync(path.join(tmpdir(), 'hv-state-'));
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

const screen = { x: 0, y: 0, width: 1920, height: 1080 };
const second = { x: 1920, y: 0, width: 2560, height: 1440 };
const first = { width: 1200, height: 780 };
const open = (screens = [screen, second]) => new WindowState(folder, () => screens, nullLogger);

class FakeWindow extends EventEmitter {
  bounds = { x: 0, y: 0, width: 1, height: 1 };
  maximized = false;
  full = false;
  getNormalBounds = () => this.bounds;
  isMaximized = () => this.maximized;
  isFullScreen = () => this.full;
  isDestroyed = () => false;
  maximize = () => {
    this.maximized = true;
  };
  setFullScreen = (on: boolean) => {
    this.full = on;
  };
}

function leave(state: WindowState, key: string, bounds: FakeWindow['bounds'], maximized = false): void {
  const window = new FakeWindow();
  state.track(key, window);
  Object.assign(window, { bounds, maximized });
  window.emit('close');
}

test('each window comes back where it was, after a restart too', () => {
  leave(open(), 'main', { x: 2000, y: 50, width: 1400, height: 900 }, true);
  leave(open(), 'console:a', { x: 10, y: 20, width: 800, height: 600 });
  const again = open();
  expect(again.options('main', first)).toEqual({ x: 2000, y: 50, width: 1400, height: 900 });
  expect(again.options('console:a', first)).toEqual({ x: 10, y: 20, width: 800, height: 600 });
  expect(again.options('console:b', first)).toEqual(first);
  const window = new FakeWindow();
  again.track('main', window);
  expect(window.maximized).toBe(true);
});

test('a window whose screen is gone, or whose bar could not be grasped, comes up at its size on one that is there', () => {
  leave(open(), 'main', { x: 2000, y: 50, width: 2400, height: 1300 });
  expect(open([screen]).options('main', first)).toEqual({ width: 1920, height: 1080 });
  leave(open(), 'main', { x: 100, y: 1070, width: 900, height: 700 });
  expect(open([screen]).options('main', first)).toEqual({ width: 900, height: 700 });
  expect(open([]).options('main', first)).toEqual({ width: 900, height: 700 });
});

test('moving writes once it has settled', () => {
  const window = new FakeWindow();
  open().track('main', window);
  for (let x = 0; x < 50; x++) {
    window.bounds = { x, y: 0, width: 900, height: 700 };
    window.emit('move');
  }
  expect(() => readFileSync(path.join(folder, 'windows.json'))).toThrow();
  vi.advanceTimersByTime(500);
  expect(JSON.parse(readFileSync(path.join(folder, 'windows.json'), 'utf8')).main.x).toBe(49);
});

test.each([
  '',
  '{',
  '{"main":{"x":"1"}}',
  '{"main":{"x":1e300,"y":0,"width":1,"height":1}}',
  '[]',
  '{"main":{"x":0,"y":0,"width":-5,"height":9}}',
])('a file of %j is as good as none', (text) => {
  writeFileSync(path.join(folder, 'windows.json'), text);
  expect(open().options('main', first)).toEqual(first);
});

test('the windows used last are remembered, not all there ever were', () => {
  const state = open();
  for (let i = 0; i < 130; i++) leave(state, `console:${i}`, { x: i, y: 0, width: 800, height: 600 });
  const kept = JSON.parse(readFileSync(path.join(folder, 'windows.json'), 'utf8'));
  expect(Object.keys(kept)).toHaveLength(100);
  expect(kept['console:129']).toBeDefined();
});
