import type { AppPage } from '../../tests/e2e/pages/app.ts';
import type { Showcase } from './showcase.ts';

/** A page or dialog of the app, and the way there. */
export interface Place {
  name: string;
  /** After the hash of the address. */
  path(showcase: Showcase): string;
  /** From the page to what the picture is about; ends when that is there. */
  reach?(app: AppPage, showcase: Showcase): Promise<void>;
}

const tab = (name: string, place: string, reach?: Place['reach']): Place => ({
  name,
  path: ({ linux }) => `/machines/${linux}${place}`,
  ...(reach && { reach }),
});

/** Steps of the wizard, each reached through those before. */
const steps = ['source', 'system', 'resources', 'disk', 'summary'];
const wizard = steps.map(
  (step, index): Place => ({
    name: `wizard-${step}`,
    path: () => '/new',
    async reach(app, { linuxImage }) {
      await app.wizard.source('iso', linuxImage);
      for (let at = 0; at < index; at++) await app.wizard.next();
      if (step === 'summary') await app.wizard.waitForSummary();
    },
  }),
);

/** The first step once more, of a start from the network. */
const wizardNetwork: Place = {
  name: 'wizard-network',
  path: () => '/new',
  async reach(app) {
    await app.wizard.source('network');
    await app.wizard.network('default');
    await app.byId('hands-out').waitFor();
  },
};

/** Every place, with something in it. */
export const places: Place[] = [
  { name: 'machines', path: () => '/machines', reach: (app) => app.page.waitForTimeout(1500) },
  tab('machine', ''),
  tab('console', '/console', (app) => app.machine().focusConsole()),
  tab('serial', '/serial'),
  tab('snapshots', '/snapshots'),
  tab('hardware', '/hardware'),
  ...['cpu', 'memory', 'boot', 'display', 'ide0', 'net0', 'serial0'].map((part) => tab(`hardware-${part}`, `/hardware?device=${part}`)),
  tab('hardware-config', '/hardware?device=config', (app) => app.byId('config-fine').waitFor()),
  tab('hardware-explain', '/hardware?device=explain', (app) => app.byId('explain-command').waitFor()),
  tab('performance', '/performance'),
  tab('log', '/log'),
  ...wizard,
  wizardNetwork,
  {
    name: 'storage',
    path: () => '/storage',
    reach: (app) => app.byId('volume-table').waitFor(),
  },
  {
    name: 'storage-details',
    path: () => '/storage',
    async reach(app) {
      await app.storage.details('web.qcow2');
      await app.byId('volume-map').waitFor();
    },
  },
  {
    name: 'storage-new-disk',
    path: () => '/storage',
    async reach(app) {
      await app.byId('new-volume').click();
      await app.byId('volume-options').click();
    },
  },
  {
    name: 'networks',
    path: () => '/networks',
    async reach(app) {
      await app.networks.details('Default');
      await app.byId('network-forward').waitFor();
    },
  },
  {
    name: 'networks-new',
    path: () => '/networks',
    async reach(app) {
      await app.byId('network-table').waitFor();
      await app.byId('new-network').click();
      await app.networks.fill('name', 'Office');
    },
  },
  { name: 'host-devices', path: () => '/host-devices', reach: (app) => app.byId('host-pci').waitFor() },
  {
    name: 'host-passthrough',
    path: () => '/host-devices',
    async reach(app) {
      await app.byId('host-pci').waitFor();
      await app.byId('host-pci-passthrough').last().click();
      await app.byId('check-engine').waitFor();
    },
  },
  { name: 'trash', path: () => '/trash', reach: (app) => app.trash.row('old.qcow2').waitFor() },
  { name: 'host', path: () => '/host' },
  { name: 'settings', path: () => '/settings', reach: (app) => app.byId('settings').waitFor() },
  { name: 'diagnostics', path: () => '/diagnostics', reach: (app) => app.byId('diagnose-summary').waitFor() },
  { name: 'welcome', path: () => '/welcome', reach: (app) => app.byId('welcome-checks').waitFor() },
  {
    name: 'commands',
    path: () => '/machines',
    async reach(app) {
      await app.page.keyboard.press('Control+k');
      await app.byId('palette-field').fill('debian');
    },
  },
  { name: 'access', path: () => '/access', reach: (app) => app.byId('access').waitFor() },
  { name: 'servers', path: () => '/servers' },
  { name: 'about', path: () => '/about' },
];
