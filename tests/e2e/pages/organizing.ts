import type { Locator, Page } from 'playwright-core';

export type BulkVerb = 'start' | 'pause' | 'resume' | 'shutdown' | 'saveState' | 'reset' | 'forceOff' | 'snapshot' | 'delete';

/** What keeps many machines in order on the Machines page: choosing several, tags, folders, filters and saved views. */
export class Organizing {
  private readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  /** Chooses just these, by the boxes of their cards or rows. */
  async choose(...names: string[]): Promise<void> {
    const clear = this.page.getByTestId('selection-clear');
    if (await clear.isVisible()) await clear.click();
    for (const name of names)
      await this.page
        .locator(`[data-name=${JSON.stringify(name)}]`)
        .getByTestId('choose')
        .check();
    await this.page.getByTestId('selection-bar').waitFor();
  }

  /** Opens the question about the chosen ones; `bulk-ok` answers it. */
  async bulk(verb: BulkVerb): Promise<Locator> {
    await this.page.getByTestId(`bulk-${verb}`).click();
    const dialog = this.page.getByTestId('bulk-dialog');
    await dialog.waitFor();
    return dialog;
  }

  async bulkNow(verb: BulkVerb): Promise<void> {
    const dialog = await this.bulk(verb);
    await dialog.getByTestId('bulk-ok').click();
    await dialog.waitFor({ state: 'detached' });
  }

  /** Puts a tag on the chosen ones. */
  async tag(name: string): Promise<void> {
    await this.page.getByTestId('bulk-tags').click();
    const dialog = this.page.getByTestId('bulk-tags-dialog');
    await dialog.getByTestId('tag-input').fill(name);
    await dialog.getByTestId('tag-input').press('Enter');
    await dialog.getByTestId('bulk-tags-ok').click();
    await dialog.waitFor({ state: 'detached' });
  }

  /** Moves the chosen ones into a folder, which is made if there is none. */
  async move(path: string): Promise<void> {
    await this.page.getByTestId('bulk-move').click();
    const dialog = this.page.getByTestId('move-dialog');
    await dialog.getByTestId('move-path').fill(path);
    await dialog.getByTestId('move-ok').click();
    await dialog.waitFor({ state: 'detached' });
  }

  folder(path: string): Locator {
    return this.page.locator(`[data-testid="folder"][data-path=${JSON.stringify(path)}]`);
  }

  async filterByTag(name: string): Promise<void> {
    await this.page.locator(`[data-testid="filter-tag"][data-tag=${JSON.stringify(name)}]`).click();
  }

  async saveView(name: string): Promise<void> {
    await this.page.getByTestId('views').click();
    await this.page.getByTestId('views-save').click();
    await this.page.getByTestId('name-prompt-field').locator('input').fill(name);
    await this.page.getByTestId('name-prompt-ok').click();
    await this.page.getByTestId('name-prompt').waitFor({ state: 'detached' });
  }

  async view(name: string): Promise<void> {
    await this.page.getByTestId('views').click();
    await this.page.getByRole('menuitem', { name, exact: true }).click();
  }

  /** Names in the order shown, in either layout. */
  async shown(): Promise<string[]> {
    return this.page
      .locator('[data-testid="machine-card"], [data-testid="machine-row"]')
      .evaluateAll((machines) => machines.map((machine) => machine.getAttribute('data-name') ?? ''));
  }
}
