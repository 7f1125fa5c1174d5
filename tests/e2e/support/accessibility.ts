import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Violations of WCAG A and AA on the page as it is, one line each. */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  // The page's CSP forbids injected scripts; the debugger's evaluation does not go through it.
  await page.evaluate(axeSource);
  const result = (await page.evaluate(
    `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'], rules: { 'scrollable-region-focusable': { enabled: true } } })`,
  )) as { violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] };
  return result.violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html.slice(0, 160)} ${node.failureSummary.slice(0, 200)}`),
  );
}
