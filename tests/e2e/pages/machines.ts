import type { Locator, Page } from 'playwright-core';

export type State = 'off' | 'starting' | 'running' | 'paused' | 'stopping' | 'crashed' | 'saved';

/** The Machines page: cards in the grid view. */
export class MachinesPage {
  private readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  card(name: string): Locator {
    return this.page.locator(`[data-testid="machine-card"][data-name=${JSON.stringify(name)}]`);
  }

  async names(): Promise<string[]> {
    return this.page.getByTestId('machine-card').evaluateAll((cards) => cards.map((card) => card.getAttribute('data-name') ?? ''));
  }

  async waitForState(name: string, state: State, timeout = 30_000): Promise<void> {
    await this.page.locator(`[data-testid="machine-card"][data-name=${JSON.stringify(name)}][data-state="${state}"]`).waitFor({ timeout });
  }

  async start(name: string): Promise<void> {
    await this.card(name).getByTestId('start-button').click();
  }

  async pause(name: string): Promise<void> {
    await this.card(name).getByTestId('pause-button').click();
  }

  async resume(name: string): Promise<void> {
    await this.card(name).getByTestId('resume-button').click();
  }

  async shutDown(name: string): Promise<void> {
    await this.card(name).getByTestId('shutdown-button').click();
  }

  /** A verb of the card's menu; destructive ones open the confirmation. */
  async choose(name: string, verb: 'reset' | 'forceOff' | 'clone' | 'template' | 'export' | 'delete'): Promise<void> {
    await this.card(name).getByTestId('more-button').click();
    await this.page.getByTestId(`menu-${verb}`).click();
  }

  /** Chooses the machine for what is done with several. */
  async tick(name: string): Promise<void> {
    await this.card(name).getByTestId('choose').check();
    await this.page.getByTestId('selection-bar').waitFor();
  }

  async open(name: string): Promise<void> {
    await this.card(name).getByRole('link').click();
    await this.page.getByTestId('machine-page').waitFor();
  }

  async search(text: string): Promise<void> {
    await this.page.getByTestId('machine-search').locator('input').fill(text);
  }

  async create(): Promise<void> {
    await this.page.getByTestId('nav-new').click();
    await this.page.getByTestId('wizard').waitFor();
  }

  async trySample(): Promise<void> {
    await this.page.getByTestId('empty-sample').click();
  }
}
