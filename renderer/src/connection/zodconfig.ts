import { config } from 'zod';

/** zod otherwise probes `new Function`, which the page's Content-Security-Policy reports as a violation. Import before any schema. */
config({ jitless: true });
