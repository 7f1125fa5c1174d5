import path from 'node:path';
import { z } from 'zod';
import { DEFAULT_NETWORK, type Network, networkSchema } from '../../contract/networks.ts';
import type { Logger } from '../../util/logger.ts';
import { JsonStore } from '../jsonstore.ts';

const NETWORKS_FILE = 'networks.json';

/** As it is before anybody changes it. */
export const defaultNetwork: Network = {
  id: DEFAULT_NETWORK,
  name: 'Default',
  kind: 'nat',
  description: '',
  subnet: '192.168.100.0/24',
  bridge: null,
  dhcp: { from: '192.168.100.128', to: '192.168.100.254' },
  forwards: [],
  boot: null,
};

const fileSchema = z.object({ networks: z.array(networkSchema).default([]) }).transform(({ networks }) => ({
  networks: networks.some(({ id }) => id === DEFAULT_NETWORK) ? networks : [defaultNetwork, ...networks],
}));

export type NetworkStore = JsonStore<{ networks: Network[] }>;

export const openNetworks = (configFolder: string, log: Logger): Promise<NetworkStore> =>
  JsonStore.open<{ networks: Network[] }>(path.join(configFolder, NETWORKS_FILE), fileSchema, log);
