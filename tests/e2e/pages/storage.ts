import type { Locator, Page } from 'playwright-core';

export type VolumeVerb =
  | 'attach'
  | 'detach'
  | 'resize'
  | 'clone'
  | 'linkedClone'
  | 'convert'
  | 'check'
  | 'compare'
  | 'compact'
  | 'commit'
  | 'rebase'
  | 'download'
  | 'delete';

/** The storage place: pools, the table of volumes, details and dialogs. */
export class StoragePage {
  private readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  async open(): Promise<void> {
    await this.page.getByTestId('nav-storage').click();
    await this.page.getByTestId('storage').waitFor();
  }

  row(name: string): Locator {
    return this.page.locator(`[data-testid="volume-row"][data-name=${JSON.stringify(name)}]`);
  }

  async names(): Promise<string[]> {
    return this.page.getByTestId('volume-row').evaluateAll((rows) => rows.map((row) => row.getAttribute('data-name') ?? ''));
  }

  async search(text: string): Promise<void> {
    await this.page.getByTestId('volume-search').locator('input').fill(text);
  }

  async sortBy(column: 'name' | 'pool' | 'format' | 'size' | 'allocated' | 'usedBy'): Promise<void> {
    await this.page.getByTestId(`sort-${column}`).click();
  }

  /** Opens the details of a volume. */
  async details(name: string): Promise<Locator> {
    await this.row(name).getByTestId('volume-open').click();
    const details = this.page.getByTestId('volume-details');
    await details.getByRole('heading', { name, exact: true }).waitFor();
    return details;
  }

  async closeDetails(): Promise<void> {
    await this.page.getByTestId('volume-close').click();
  }

  /** A verb of the row's menu. */
  async choose(name: string, verb: VolumeVerb): Promise<void> {
    await this.row(name).getByTestId('volume-more').click();
    await this.page.getByTestId(`volume-menu-${verb}`).click();
  }

  /** Why a verb can't be used; '' when it can. */
  async reason(name: string, verb: VolumeVerb): Promise<string> {
    const details = await this.details(name);
    const reason = (await details.getByTestId(`volume-${verb}`).getAttribute('aria-description')) ?? '';
    await this.closeDetails();
    return reason;
  }

  async fillName(name: string): Promise<void> {
    await this.page.getByTestId('place-name').locator('input').fill(name);
  }

  async fillSize(amount: number, unit: 'MiB' | 'GiB' | 'TiB'): Promise<void> {
    await this.page.getByTestId('volume-size-unit').selectOption(unit);
    const input = this.page.getByTestId('volume-size').locator('input');
    await input.fill(String(amount));
    await input.blur();
  }

  submitButton(): Locator {
    return this.page.getByTestId('dialog-submit');
  }

  /** Presses the dialog's button and waits until it is done. */
  async submit(dialog: string): Promise<void> {
    await this.submitButton().click();
    await this.page.getByTestId(dialog).waitFor({ state: 'detached', timeout: 60_000 });
  }

  async create(name: string, amount: number, unit: 'MiB' | 'GiB'): Promise<void> {
    await this.page.getByTestId('new-volume').click();
    await this.fillName(name);
    await this.fillSize(amount, unit);
    await this.submit('volume-create');
    await this.row(name).waitFor();
  }

  async import(file: string, name: string): Promise<void> {
    await this.page.getByTestId('import-volume').click();
    await this.page.getByTestId('volume-from-path').locator('input').fill(file);
    await this.fillName(name);
    await this.submit('volume-copy');
    await this.row(name).waitFor();
  }

  async addPool(name: string, folder: string): Promise<void> {
    await this.page.getByTestId('add-pool').click();
    await this.page.getByTestId('pool-name').locator('input').fill(name);
    await this.page.getByTestId('pool-folder-path').locator('input').fill(folder);
    await this.submit('pool-dialog');
    await this.page.locator(`[data-testid="pool"][data-name=${JSON.stringify(name)}]`).waitFor();
  }
}

/** The trash. */
export class TrashPage {
  private readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  async open(): Promise<void> {
    await this.page.getByTestId('nav-trash').click();
    await this.page.getByTestId('trash').waitFor();
  }

  row(name: string): Locator {
    return this.page.locator(`[data-testid="trash-row"][data-name=${JSON.stringify(name)}]`);
  }

  async restore(name: string): Promise<void> {
    await this.row(name).getByTestId('trash-restore').click();
    await this.row(name).waitFor({ state: 'detached' });
  }

  /** Opens the question; answer it with the app's `confirm`. */
  async remove(name: string): Promise<void> {
    await this.row(name).getByTestId('trash-remove').click();
    await this.page.getByTestId('confirm-dialog').waitFor();
  }

  async empty(): Promise<void> {
    await this.page.getByTestId('trash-empty').click();
    await this.page.getByTestId('confirm-dialog').waitFor();
  }
}
