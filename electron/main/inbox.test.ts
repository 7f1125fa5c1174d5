import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { Inbox } from './inbox.ts';

const ID = '11111111-2222-4333-8444-555555555555';
const link = `hypervue://machine/${ID}`;
const page = `#/machines/${ID}`;

function start(argv: string[] = ['hypervue']) {
  const app = new EventEmitter();
  const inbox = new Inbox(app as never, argv);
  const prevented: string[] = [];
  const event = (name: string) => ({ preventDefault: () => prevented.push(name) });
  return {
    inbox,
    prevented,
    url: (url: string) => app.emit('open-url', event('url'), url),
    again: (args: string[]) => app.emit('second-instance', {}, args, '/'),
  };
}

test('the first start opens what its arguments name', () => {
  expect(start(['hypervue', link]).inbox.open(() => {})).toBe(page);
  expect(start(['hypervue', 'hypervue://nonsense']).inbox.open(() => {})).toBeUndefined();
});

test('what comes before the app is ready waits, also for nonsense that follows', () => {
  const { inbox, url, prevented } = start();
  url(link);
  url('hypervue://nonsense');
  expect(inbox.open(() => {})).toBe(page);
  expect(prevented).toEqual(['url', 'url']);
});

test('a second start hands its arguments over, and comes to the front in any case', () => {
  const { inbox, again, url } = start();
  const pages: (string | undefined)[] = [];
  inbox.open((wanted) => pages.push(wanted));
  again(['hypervue', '--flag', link]);
  again(['hypervue']);
  again(['hypervue', 'hypervue://machine/../x']);
  url('hypervue://nonsense');
  expect(pages).toEqual([page, undefined, undefined]);
});
