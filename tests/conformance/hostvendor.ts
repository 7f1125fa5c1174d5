import { existsSync, readFileSync } from 'node:fs';

/**
 * The interpreter does what Intel's processors do where manuals leave a choice. As a reference an AMD host is asked about less: fuzz/amd.ts, and
 * `ownUnderflow` of fp/compare.ts.
 */
export const HOST_IS_AMD = existsSync('/proc/cpuinfo') && /^vendor_id\s*:\s*AuthenticAMD$/m.test(readFileSync('/proc/cpuinfo', 'utf8'));
