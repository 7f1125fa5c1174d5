import '../../src/connection/zodconfig.ts';
import { startApp } from '../../src/app.ts';
import { mockLink } from './link.ts';

// Development only (`npx vite -c renderer/vite.config.ts`, then /dev/): the app over an in-browser manager with invented machines.
const query = new URLSearchParams(window.location.search);
startApp(
  mockLink({
    machines: Number(query.get('machines') ?? 6),
    theme: query.get('theme') ?? 'system',
    language: query.get('lang') ?? 'system',
  }),
);
