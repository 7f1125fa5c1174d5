import type { MenuItemConstructorOptions } from 'electron';
import { expect, test } from 'vitest';
import { menuTemplate } from './menu.ts';
import { textsFor } from './texts.ts';

const english = textsFor('en', []);

const nothing = { newMachine: () => {}, showMain: () => {}, about: () => {}, showLog: () => {} };

function items(template: MenuItemConstructorOptions[]): MenuItemConstructorOptions[] {
  return template.flatMap((item) => [item, ...items((item.submenu as MenuItemConstructorOptions[]) ?? [])]);
}

test.each(['linux', 'win32', 'darwin'] as const)('on %s everything can be reached once', (platform) => {
  const all = items(menuTemplate(platform, english, nothing));
  for (const role of ['quit', 'copy', 'paste', 'zoomIn', 'zoomOut', 'resetZoom', 'togglefullscreen', 'help'])
    expect(
      all.filter((item) => item.role === role),
      role,
    ).toHaveLength(1);
  for (const label of ['New machine', 'Machines', 'Show log file', 'About Hypervue'])
    expect(
      all.filter((item) => item.label === label),
      label,
    ).toHaveLength(1);
});

test('no item of ours takes a key from the guest, and none reloads a page with a console', () => {
  for (const item of items(menuTemplate('linux', english, nothing))) {
    expect(item.accelerator).toBeUndefined();
    expect(['reload', 'forceReload']).not.toContain(item.role);
  }
});

test('items do what they say', () => {
  const done: string[] = [];
  const note = (name: string) => () => void done.push(name);
  const all = items(
    menuTemplate('linux', english, { newMachine: note('new'), showMain: note('main'), about: note('about'), showLog: note('log') }),
  );
  for (const label of ['New machine', 'Machines', 'About Hypervue', 'Show log file'])
    all.find((item) => item.label === label)!.click!(undefined as never, undefined, undefined as never);
  expect(done).toEqual(['new', 'main', 'about', 'log']);
});

test('every word is there in both languages; the system’s own counts when the settings say so', () => {
  const chinese = textsFor('zh-CN', ['en-US']);
  for (const [key, value] of Object.entries(chinese)) {
    if (typeof value === 'string') expect(value, key).toMatch(/[\u4e00-\u9fff]/);
    else if (typeof value === 'object') for (const word of Object.values(value)) expect(word, key).toMatch(/[\u4e00-\u9fff]/);
    expect(value, key).not.toEqual(english[key as keyof typeof english]);
  }
  expect(textsFor('system', ['fr-FR', 'zh-Hans-CN', 'en'])).toBe(chinese);
  expect(textsFor('system', ['en-GB', 'zh-CN'])).toBe(english);
  expect(textsFor('system', ['fr-FR'])).toBe(english);
  for (const item of items(menuTemplate('darwin', chinese, nothing)))
    if (item.type !== 'separator') expect(item.label).toMatch(/[\u4e00-\u9fff]|^Hypervue$/);
});
