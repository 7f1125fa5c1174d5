import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { SerialResume } from './serialresume.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const encoder = new TextEncoder();
const lines = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `line ${from + i}\n`).join('');

function setUp() {
  let shown = '';
  const resume = new SerialResume((bytes) => (shown += new TextDecoder().decode(bytes)));
  return { resume, shown: () => shown, receive: (text: string) => resume.received(encoder.encode(text)) };
}

test('a second connection adds only what is new, in however many pieces it comes', () => {
  const { resume, shown, receive } = setUp();
  resume.connected();
  receive(lines(0, 400));
  resume.connected();
  const again = lines(100, 420);
  for (let at = 0; at < again.length; at += 700) receive(again.slice(at, at + 700));
  vi.advanceTimersByTime(300);
  receive(lines(420, 430));
  expect(shown()).toBe(lines(0, 430));
});

test('what does not join on is shown whole', () => {
  const { resume, shown, receive } = setUp();
  resume.connected();
  receive(lines(0, 300));
  resume.connected();
  receive(lines(5000, 5100));
  vi.advanceTimersByTime(300);
  expect(shown()).toBe(lines(0, 300) + lines(5000, 5100));
});

test('a connection that ends while its beginning is collected loses nothing', () => {
  const { resume, shown, receive } = setUp();
  resume.connected();
  receive('first');
  resume.connected();
  receive('first and');
  resume.connected();
  receive('first and last');
  vi.advanceTimersByTime(300);
  expect(shown()).toBe('first and last');
});
